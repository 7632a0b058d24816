"""A worker's loss, as on machines that are taken away: one line, where Tune has many."""

from __future__ import annotations

import logging
import re

from ray.exceptions import RayActorError


def say_in_one_line(record: logging.LogRecord) -> bool:
    """Shorten what Tune logs of a lost worker; a filter that lets everything pass."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, RayActorError):
        why = re.search(r"because (its .*?)\.", str(error))
        record.msg = (
            f"A worker was lost{f', as {why[1]}' if why else ''}: "
            "what it did goes on elsewhere from its last saved state"
        )
        record.args, record.exc_info = (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def leave_out_dropped(record: logging.LogRecord) -> bool:
    """Leave out Tune's own last word: trials that it has dropped, whose jobs others have done."""
    return not str(record.msg).startswith("Trials did not complete")
