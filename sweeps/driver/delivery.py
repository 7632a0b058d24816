"""The end of a sweep: MLflow has all of it, then it is compared from there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from rich.console import Console

from gatelab.results.comparison import Comparison
from gatelab.results.review import Review, read_review
from gatelab.sweeps.driver.record.reporting import record_report
from gatelab.sweeps.driver.stops import Undelivered
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.driver.telling import telling
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.spec.spec import Spec
from gatelab.tracking.kept_reads import keep_read
from gatelab.tracking.masking import masked
from gatelab.tracking.mlflow_read import sweep_links
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import ENDS, Tags
from gatelab.tracking.store_errors import StoreRefuses, StoreUnavailable, is_there
from gatelab.tracking.views import SweepLinks

T = TypeVar("T")

LOG = logging.getLogger(__name__)
DELIVERY_SECONDS = 300.0
"""How long a sweep that is over waits for an MLflow that takes nothing; it may be restarting."""
AGAIN_SECONDS = 1.0
"""After which a store is read again that could not be."""


def compare_recorded(
    spec: Spec, home: Home, recorder: Recorder, sweep: Sweep, console: Console
) -> Comparison:
    """Compare from the record, and put the comparison there too."""
    _deliver(home, recorder)
    lacking = {
        "no score": sweep.follow_up.without_score(),
        "a score in part": sweep.follow_up.in_part(),
    }
    reason = "; ".join(f"{what}: {', '.join(who)}" for what, who in lacking.items() if who)
    end = "failed" if reason else "finished"
    tags = {Tags.END: end, Tags.END_REASON: reason or "compared"}
    recorder.end_run(spec.name, ENDS[end], tags)
    _deliver(home, recorder)
    _once_readable(home, recorder.check_all_there)  # or it would be of the runs that are left
    with telling(console, "The report is drawn"):
        review, links = _once_readable(home, lambda: _read_back(home))
        comparison = record_report(home, recorder, review, links)
    _deliver(home, recorder)
    with suppress(StoreUnavailable):  # then who asks next waits a second
        keep_read(home.uri, home.name)
    home.finish(complete=not sweep.follow_up.failed)
    return comparison


def _deliver(home: Home, recorder: Recorder) -> None:
    """Wait until the record has everything."""
    if recorder.flush(DELIVERY_SECONDS):
        return
    if recorder.refused:
        why = f"{recorder.problem} Then `gatelab resume {home.name}` delivers."
    else:
        problem = recorder.problem.rstrip(".") or "it does not answer"
        why = (
            f"MLflow at {masked(home.uri)} takes none ({problem}); "
            f"`gatelab resume {home.name}` delivers them."
        )
    raise _undelivered(home, why)


def _read_back(home: Home) -> tuple[Review, SweepLinks]:
    return read_review(home.uri, home.name), sweep_links(home.uri, home.name)


def _once_readable(home: Home, read: Callable[[], T]) -> T:
    """Read the record, and wait for a store that is away as long as for one to deliver to.

    Raises:
        Undelivered: If it stays away, or has lost what it was given.
    """
    deadline, waits = time.monotonic() + DELIVERY_SECONDS, False
    while True:
        try:
            _check_there(home)
            return read()
        except StoreUnavailable as error:
            refuses = isinstance(error, StoreRefuses)
            if refuses or time.monotonic() > deadline:
                then = "Then " if refuses else ""
                why = f"{error} {then}`gatelab resume {home.name}` ends it."
                raise _undelivered(home, why) from error
            if not waits:
                LOG.warning("The comparison waits, since %s", error)
        waits = True
        time.sleep(AGAIN_SECONDS)


def _check_there(home: Home) -> None:
    """Refuse a file that is gone, in whose place reading would make an empty store."""
    if not is_there(home.uri):
        raise StoreUnavailable(f"the store {masked(home.uri)} is gone: put it back.")


def _undelivered(home: Home, why: str) -> Undelivered:
    return Undelivered(home, f"All results of {home.name!r} lie in {home.path}, but {why}")
