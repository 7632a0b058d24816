"""The option ``split`` of a table: by what its rows are divided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gatelab.registry import near_misses
from gatelab.rules import shown
from gatelab.tasks.tables.contents import TableError

By = Literal["random", "column", "group", "time"]
KEYS: Mapping[By, tuple[str, ...]] = {
    "random": ("shares", "stratify"),
    "column": ("column", "val", "test"),
    "group": ("group", "shares"),
    "time": ("time", "format", "shares"),
}
"""What may be said of each way."""


@dataclass(frozen=True)
class SplitRule:
    """By what the rows of a table are divided."""

    by: By = "random"
    column: str | None = None
    """That names the split, the group or the time of a row; no feature."""
    val: str = ""
    """The column's text in rows of val; of one that names the split."""
    test: str = ""
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    """Of train, val and test."""
    format: str = "iso"
    """Of dates by which rows are divided: ``iso``, or one of ``datetime.strptime``."""
    stratify: bool = True
    """Whether rows of a class are in every split; of random ones."""

    @property
    def fixed(self) -> bool:
        """Whether the rows alone say where they belong, whatever the split seed."""
        return self.by in ("column", "time")

    def as_option(self) -> dict[str, Any]:
        """Return what the option `split` says of it, with every default."""
        said = {**asdict(self), self.by: self.column, "shares": [*self.shares]}
        return {key: said[key] for key in KEYS[self.by]}


def split_rule(given: object) -> SplitRule:
    """Return what the option ``split`` says.

    Args:
        given: ``random``, or a mapping with ``column``, ``val`` and ``test``; with ``group``; with
            ``time``, and ``format``; with ``shares`` or, of random ones, ``stratify`` alone.

    Raises:
        TableError: If it has another form.
    """
    if given == "random":
        return SplitRule()
    if not isinstance(given, Mapping):
        raise TableError(
            "`split` must be random, or a mapping with `column`, `group`, `time`, or `shares`, "
            f"but got {shown(given)}."
        )
    by: By = next((way for way in ("column", "group", "time") if way in given), "random")
    for key in given:
        if key not in KEYS[by]:
            near = near_misses(str(key), KEYS[by])
            raise TableError(f"`split` by {by} has the unknown key {key!r}; {near}")
    _check_texts(by, given)
    said: dict[str, Any] = {key: given[key] for key in ("stratify", "format") if key in given}
    if "shares" in given:
        said["shares"] = _shares(given["shares"])
    if by != "random":
        said["column"] = given[by]
    if by == "column":
        said |= {name: str(given[name]) for name in ("val", "test")}
        if said["val"] == said["test"]:
            raise TableError(f"`split`: val and test are both {said['val']!r} in {given[by]!r}.")
    return SplitRule(by, **said)


def _check_texts(by: By, given: Mapping[str, Any]) -> None:
    if by != "random" and not isinstance(given[by], str):
        raise TableError(f"`split: {by}` must name a column, but got {shown(given[by])}.")
    missing = [name for name in ("val", "test") if by == "column" and name not in given]
    if missing:
        raise TableError(f"`split` by column must say which of its values is {missing[0]}.")
    if not isinstance(given.get("stratify", True), bool):
        raise TableError(f"`stratify` must be true or false, but got {shown(given['stratify'])}.")


def _shares(given: Any) -> tuple[float, float, float]:
    numbers = isinstance(given, list | tuple) and all(
        isinstance(share, int | float) and share > 0 for share in given
    )
    if not (numbers and len(given) == 3 and math.isclose(sum(given), 1, abs_tol=1e-6)):
        raise TableError(
            "`shares` must be three numbers above 0 that add up to 1, of train, val and test, "
            f"but got {shown(given)}."
        )
    return (float(given[0]), float(given[1]), float(given[2]))
