"""More: the spec of a sweep that goes on from a finished one, with more trials, seeds or splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gatelab.registry import near_misses
from gatelab.sweeps.spec.faults import raise_faults
from gatelab.sweeps.spec.overrides import overridden
from gatelab.sweeps.spec.reading import load_spec
from gatelab.sweeps.spec.rounds import round_size
from gatelab.sweeps.spec.spec import Spec, SpecError

TRIALS, ROUNDS = "search.trials", "search.rounds"
MORE = (TRIALS, "evaluation.seeds", "evaluation.splits")
"""What there may be more of. All else is as it was, or what was found would not be of this spec."""
FREE = "search.hours"
"""Which counts anew: it says nothing of what was found."""


def more_of(
    before: Spec, source: Path, folder: Path, trials: int, overrides: Sequence[str], name: str
) -> Spec:
    """Return the spec of a sweep that goes on from another, in rounds of the same size.

    Args:
        before: The spec of that one.
        source: Its file.
        folder: Of all results, in which that is.
        trials: That each search of it has come to, which a limit of time may have ended before.
        overrides: ``search.trials=48`` and the like.
        name: Of the sweep that goes on.

    Raises:
        SpecError: If anything else is to differ, or less of it, or nothing; or the trials are not
            in whole rounds.
    """
    said = overridden({}, overrides)
    _check_keys(overrides)
    texts, size = [*overrides], round_size(before.search)
    wanted = said.get("search", {}).get("trials", trials)
    if not any(text.startswith(f"{TRIALS}=") for text in overrides):
        texts.append(f"{TRIALS}={trials}")
    if isinstance(wanted, int) and wanted is not True and wanted > 0:  # else it is no number
        _check_trials(wanted, trials, size)
        texts.append(f"{ROUNDS}={wanted // size}")
    found = _loaded(source, name, texts, folder)
    _check_more(before, found, trials)
    return found


def _loaded(source: Path, name: str | None, overrides: Sequence[str], folder: Path) -> Spec:
    """Return the spec; what an override is at fault for is no fault of the file."""
    try:
        return load_spec(source, name=name, overrides=overrides, folder=folder)
    except SpecError as error:
        load_spec(source, folder=folder)  # if the file is at fault itself, this names it
        raise SpecError.of(error.faults) from error


def _check_keys(overrides: Sequence[str]) -> None:
    keys = [text.partition("=")[0] for text in overrides]
    raise_faults(
        (key, f"stays as it was in a sweep that goes on; {near_misses(key, [*MORE, FREE])}")
        for key in keys
        if key not in (*MORE, FREE)
    )


def _check_trials(wanted: int, trials: int, size: int) -> None:
    if wanted < trials:
        why = (
            f"`trials >= {trials}` must hold, as so many were searched, but got (trials={wanted})."
        )
        raise SpecError("", TRIALS, why)
    if wanted % size:
        near = [n for n in (wanted // size * size, (wanted // size + 1) * size) if n > trials]
        why = f"must be in whole rounds of {size}, as before, but got {wanted}; nearest: "
        raise SpecError("", TRIALS, f"{why}{', '.join(map(str, near))}.")


def _check_more(before: Spec, found: Spec, trials: int) -> None:
    """Check that there is more of something, and less of nothing."""
    old, new = before.evaluation, found.evaluation
    pairs = {"seeds": (old.seeds, new.seeds), "splits": (old.splits, new.splits)}
    raise_faults(
        (f"evaluation.{key}", f"`{key} >= {had}` must hold, as before, but got ({key}={has}).")
        for key, (had, has) in pairs.items()
        if has < had
    )
    if found.search.trials == trials and old == new:
        had = ", ".join(
            f"{key}={value}"
            for key, value in zip(MORE, (trials, old.seeds, old.splits), strict=True)
        )
        raise SpecError("", "", f"sweep {before.name!r} has all of that already: {had}.")
