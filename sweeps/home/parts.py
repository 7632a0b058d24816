"""Parts: a sweep that is resumed may be run by other code, and on other data, than before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatelab.sweeps.home.files import RUN_PARTS
from gatelab.sweeps.home.home import Home
from gatelab.tracking.lines import Lines, parsed
from gatelab.tracking.schema import Tags

COMPARED = (Tags.VERSION, Tags.CODE, Tags.DATA)
"""How tags begin that two parts should have in common; another machine is no matter."""


UNKNOWN: dict[str, str] = {}
"""A part of which it is no longer known what ran it."""
PARTS_LOST = (
    f"what ran the sweep before is not known, since its {RUN_PARTS} was lost or damaged: whether "
    "code or data have changed since the launch is said by each run's tags alone."
)


def begin_part(home: Home, provenance: Mapping[str, str], *, begun: bool = False) -> list[str]:
    """Note what runs a sweep from here on.

    Args:
        home: Of the sweep.
        provenance: What runs it, as tags.
        begun: Whether it has trials, which something must have run.

    Returns:
        What has changed since the launch, a sentence for each resume at which something did.
    """
    found = {key: value for key, value in provenance.items() if key.startswith(COMPARED)}
    lines = Lines(home.path / RUN_PARTS)
    parts = [part for line, _ in lines.lines() if (part := parsed(line)) is not None]
    lost = [UNKNOWN] if begun and not parts else []
    new = [*lost, *([found] if parts[-1:] != [found] else [])]
    for one in new:
        lines.append(one)
    lines.close()
    return _changes([*parts, *new])


def runs_by(provenance: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that tell a run which code ran it, and on which data."""
    ours = f"{Tags.VERSION}gatelab"
    named = (ours, Tags.DATA, Tags.USER, Tags.SOURCE, Tags.SOURCE_TYPE)
    return {k: v for k, v in provenance.items() if k in named or k.startswith(Tags.CODE)}


def _changes(parts: Sequence[Mapping[str, str]]) -> list[str]:
    return [
        f"resumed with other code or data: {'; '.join(_change(before, after))}. Each run's tags "
        "say which code ran it, and on which data."
        if before
        else PARTS_LOST
        for before, after in zip(parts, parts[1:], strict=False)
    ]


def _change(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    keys = sorted({*before, *after})
    return [
        f"{key} was {before.get(key, 'none')}, is {after.get(key, 'none')}"
        for key in keys
        if before.get(key) != after.get(key)
    ]
