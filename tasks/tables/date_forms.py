"""The forms that dates in texts may have, and which of them fit a column."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import product

import numpy as np
import numpy.typing as npt

ISO = "iso"
"""The form of dates that is no other's: year, month, day, and a time where there is one."""
_ORDERS = ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%Y{0}%m{0}%d", "%d{0}%m{0}%y", "%m{0}%d{0}%y")
_NAMED = (
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d. %B %Y"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y"),
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M", "T%H:%M:%S", " %I:%M %p")
_FORMS = (
    ISO,
    *(order.format(sign) + time for order, sign, time in product(_ORDERS, "/.-", _TIMES)),
    *(name + time for name, time in product(_NAMED, _TIMES)),
)
_LOOKED_AT = 100
"""Values by which forms are sorted out that fit none."""


def seconds(texts: Sequence[str], form: str) -> npt.NDArray[np.float64]:
    """Return dates of a form in seconds of the epoch, (texts,); NaN where one is none of it."""
    return np.array([_seconds(text, form) for text in texts])


def _seconds(text: str, form: str) -> float:
    try:
        moment = datetime.fromisoformat(text) if form == ISO else datetime.strptime(text, form)
    except ValueError:
        return np.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def likelier(texts: Sequence[str], refused: str) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the forms that fit most values, with which these are, (texts,).

    Several fit alike where days and months cannot be told apart; there is none unless it fits more
    values than the form that was refused.
    """
    some = texts[:: max(1, len(texts) // _LOOKED_AT)]
    fits = {
        form: ~np.isnan(seconds(texts, form))
        for form in _FORMS
        if form == refused or not np.isnan(seconds(some, form)).all()
    }
    most = max((int(fit.sum()) for fit in fits.values()), default=0)
    best = {form: fit for form, fit in fits.items() if most and fit.sum() == most}
    if refused in best:
        return {}
    return {ISO: best[ISO]} if ISO in best else best
