"""A stop and a resume change nothing of what a sweep finds: seen where jobs have an order."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from gatelab.sweeps.driver.tune import ray_hooks, ray_jobs
from tests.in_process import gatelab, modules_of
from tests.launched import MODULE, SPEC, read


def scores(folder: Path, name: str) -> dict[tuple[str, ...], tuple[object, ...]]:
    """Return what every trial and every seed of a sweep had and reached."""
    record = read(folder, name)
    found = {}
    for run in [*record.of("search"), *record.of("evaluate")]:
        key = (run.gate, run.stage, run.tags.get("trial", ""), run.tags["seed"])
        found[key] = (run.params, run.end, run.metrics["val/loss"], run.metrics.get("test/loss"))
    return found


@pytest.mark.slow
def test_a_sweep_that_was_stopped_ends_as_one_that_was_not(place: Path) -> None:
    for name in ("whole", "halves"):
        (place / f"{name}.yaml").write_text(SPEC.replace("small", name))
    gatelab(place, "launch", "whole.yaml")
    said = gatelab(place, "launch", "halves.yaml", code=130, most=7)
    assert said.endswith("Stopped. `gatelab resume halves` goes on where it was.\n")
    gatelab(place, "resume", "halves")
    assert len(scores(place, "halves")) == 12 + 9
    assert scores(place, "halves") == scores(place, "whole")


STOPPED_WHERE_IT_IS_READ = (
    MODULE
    + """
import signal
if Path("stop").exists():
    signal.raise_signal(signal.SIGTERM)
"""
)


@pytest.mark.slow
def test_a_stop_says_how_to_go_on_as_soon_as_the_sweep_has_a_home(place: Path) -> None:
    (place / "mine.py").write_text(STOPPED_WHERE_IT_IS_READ)
    (place / "own.yaml").write_text(SPEC.replace("[dselect_k, top_k, softmax]", "['mine:mean']"))
    (place / "stop").touch()
    assert gatelab(place, "launch", "own.yaml", code=130) == "Stopped.\n"
    assert not (place / "gatelab_runs" / "sweeps").exists()
    (place / "stop").unlink()
    gatelab(place, "launch", "own.yaml", code=130, most=0)
    (place / "stop").touch()
    said = gatelab(place, "resume", "small", code=130)
    assert said == "Stopped. `gatelab resume small` goes on where it was.\n"


def test_what_a_users_module_sets_of_the_drivers_is_undone(tmp_path: Path) -> None:
    """Workers of tests run many modules, of which one may shorten a step for its own sweep."""
    (tmp_path / "hasty_gates.py").write_text(
        "from gatelab.sweeps.driver.tune import ray_hooks, ray_jobs\n"
        "ray_hooks.STEP_SECONDS, ray_jobs.LOST_WORKERS = 0.125, 99\n"
    )
    before = ray_hooks.STEP_SECONDS, ray_jobs.LOST_WORKERS
    with modules_of(tmp_path):
        importlib.import_module("hasty_gates")
        assert (ray_hooks.STEP_SECONDS, ray_jobs.LOST_WORKERS) == (0.125, 99)
    assert (ray_hooks.STEP_SECONDS, ray_jobs.LOST_WORKERS) == before
