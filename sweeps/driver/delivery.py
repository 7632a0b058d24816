"""The end of a sweep: MLflow has all of it, then it is compared from there."""

from __future__ import annotations

from rich.console import Console

from gatelab.results.comparison import Comparison
from gatelab.sweeps.driver.record.reporting import record_report
from gatelab.sweeps.driver.stops import Undelivered
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.driver.telling import telling
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.spec.spec import Spec
from gatelab.tracking.kept_reads import keep_read
from gatelab.tracking.masking import masked
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import ENDS, Tags
from gatelab.tracking.store_errors import StoreUnavailable

DELIVERY_SECONDS = 300.0
"""How long a sweep that is over waits for an MLflow that takes nothing; it may be restarting."""


def compare_recorded(
    spec: Spec, home: Home, recorder: Recorder, sweep: Sweep, console: Console
) -> Comparison:
    """Compare from the record, and put the comparison there too."""
    _deliver(spec, home, recorder)
    lacking = {
        "no score": sweep.follow_up.without_score(),
        "a score in part": sweep.follow_up.in_part(),
    }
    reason = "; ".join(f"{what}: {', '.join(who)}" for what, who in lacking.items() if who)
    end = "failed" if reason else "finished"
    tags = {Tags.END: end, Tags.END_REASON: reason or "compared"}
    recorder.end_run(spec.name, ENDS[end], tags)
    _deliver(spec, home, recorder)
    _check_all_there(spec, home, recorder)
    with telling(console, "The report is drawn"):
        comparison = record_report(home, recorder)
    _deliver(spec, home, recorder)
    keep_read(home.uri, home.name)
    home.finish(complete=not sweep.follow_up.failed)
    return comparison


def _deliver(spec: Spec, home: Home, recorder: Recorder) -> None:
    """Wait until the record has everything."""
    if recorder.flush(DELIVERY_SECONDS):
        return
    what = f"All results of {spec.name!r} lie in {home.path}, but"
    if recorder.refused:
        raise Undelivered(f"{what} {recorder.problem} Then `gatelab resume {spec.name}` delivers.")
    problem = recorder.problem.rstrip(".") or "it does not answer"
    raise Undelivered(
        f"{what} MLflow at {masked(home.uri)} takes none ({problem}); "
        f"`gatelab resume {spec.name}` delivers them."
    )


def _check_all_there(spec: Spec, home: Home, recorder: Recorder) -> None:
    """Compare nothing where runs are missing that were recorded: it would be of the others alone.

    Raises:
        Undelivered: If somebody has deleted one.
    """
    try:
        recorder.check_all_there()
    except StoreUnavailable as error:
        what = f"All results of {spec.name!r} lie in {home.path}, but {error}"
        raise Undelivered(f"{what} Then `gatelab resume {spec.name}` ends it.") from error
