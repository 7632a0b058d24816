"""Parts: a sweep that is resumed may be run by other code, and on other data, than before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatelab.sweeps.home.files import RUN_PARTS
from gatelab.sweeps.home.home import Home
from gatelab.tracking.lines import Lines, parsed
from gatelab.tracking.schema import Tags

COMPARED = (Tags.VERSION, Tags.CODE, Tags.DATA)
"""How tags begin that two parts should have in common; another machine is no matter."""


def begin_part(home: Home, provenance: Mapping[str, str]) -> list[str]:
    """Note what runs a sweep from here on.

    Returns:
        What has changed since the launch, a sentence for each resume at which something did.
    """
    found = {key: value for key, value in provenance.items() if key.startswith(COMPARED)}
    lines = Lines(home.path / RUN_PARTS)
    parts = [part for line, _ in lines.lines() if (part := parsed(line)) is not None]
    if not parts or parts[-1] != found:
        parts.append(found)
        lines.append(found)
    lines.close()
    return _changes(parts)


def runs_by(provenance: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that tell a run which code ran it, and on which data."""
    ours = f"{Tags.VERSION}gatelab"
    named = (ours, Tags.DATA, Tags.USER, Tags.SOURCE, Tags.SOURCE_TYPE)
    return {k: v for k, v in provenance.items() if k in named or k.startswith(Tags.CODE)}


def _changes(parts: Sequence[Mapping[str, str]]) -> list[str]:
    return [
        f"resumed with other code or data: {'; '.join(_change(before, after))}. Each run's tags "
        "say which code ran it, and on which data."
        for before, after in zip(parts, parts[1:], strict=False)
    ]


def _change(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    keys = sorted({*before, *after})
    return [
        f"{key} was {before.get(key, 'none')}, is {after.get(key, 'none')}"
        for key in keys
        if before.get(key) != after.get(key)
    ]
