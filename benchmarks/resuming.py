"""A large sweep, resumed until its first job: ``python -m benchmarks.load resumed``."""

from __future__ import annotations

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.clock import measured, report
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.making import make_home

TRIALS, STUDIES = 10_000, 20
LARGE = {
    "name": "large",
    "task": "synthetic_groups",
    "gates": {f"gate_{n}": {"gate": "softmax"} for n in range(STUDIES)},
    "optimizer": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
    "training": {"max_epochs": 6, "patience": None},
    "search": {"sampler": "random", "early_stopping": {"grace_epochs": 2}},
    "resources": {"members": 1},
    "evaluation": {"seeds": 2},
}
NOBODY = "http://127.0.0.1:9"
"""An MLflow that is away: the spool keeps all. To deliver 10,000 trials would take ten minutes."""


def resumed(folder: Path, trials: int = TRIALS) -> None:
    """Measure a resume of a large sweep until its first job, in a process of its own."""
    seconds, _ = measured("benchmarks.resuming", "make", str(folder), str(trials))
    spool, studies = Home(folder, "large").spool, Home(folder, "large").path / "studies.journal"
    files = [f"{file.stat().st_size / 2**20:.0f} MiB" for file in (spool, studies)]
    _, said = measured("benchmarks.resuming", "resume", str(folder), str(trials))
    cpu, mebibytes = map(float, said.split()[-2:])
    report(
        f"load: seconds of CPU until the first job of {trials} trials resumed",
        cpu,
        "none",
        memory=f"{mebibytes:.0f} MiB",
        spool=files[0],
        studies=files[1],
        made=f"in {seconds:.0f} s",
    )


def _large(folder: Path, trials: int, *, again: bool) -> None:
    """Run all trials but as many as there are gates, or resume until there is a job."""
    from benchmarks.scale import Reports
    from gatelab import resume
    from gatelab.sweeps.driver import running
    from gatelab.sweeps.driver.stops import Interrupted
    from gatelab.sweeps.driver.sweep import Sweep
    from gatelab.sweeps.spec.reading import parse_spec
    from gatelab.training.jobs import Setting
    from tests.in_process import in_this_process

    def run_jobs(sweep: Sweep, setting: Setting) -> None:
        for _ in range(1 if again else trials - STUDIES):
            (job,) = sweep.next_jobs()
            if again:
                kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                print(time.process_time(), kibibytes / 1024)
                return
            work = Reports([job], setting.recipe.max_epochs)
            while not sweep.progress(job, *work.step()):
                pass

    search = {**LARGE["search"], "trials": trials // STUDIES}  # type: ignore[dict-item]
    with in_this_process():
        running.run_jobs = run_jobs
        if not again:
            make_home(folder, parse_spec({**LARGE, "search": search}), NOBODY, None)
        with suppress(Interrupted):
            resume("large", folder=folder)


if __name__ == "__main__":
    _large(Path(sys.argv[2]), int(sys.argv[3]), again=sys.argv[1] == "resume")
