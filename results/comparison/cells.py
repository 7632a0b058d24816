"""Cells: what a gate's value of a unit is the mean of, and over which of them two gates pair."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

Cell = tuple[str, str]
"""A repeat of the search, and a split."""


class UnitValues(Mapping[str, float]):
    """A metric of one gate by unit (seed, split or repeat): the mean over the unit's cells."""

    def __init__(
        self,
        cells: Mapping[str, Mapping[Cell, float]],
        seeds: Collection[str] = (),
        single: Sequence[float] = (),
    ) -> None:
        """Take the values of the cells of every unit, each of which has one at least.

        Args:
            cells: Their values by unit.
            seeds: Of the training of all that the values are means of.
            single: What each evaluation gave, of which they are means.
        """
        self.cells, self.seeds, self.single = cells, frozenset(seeds), tuple(single)

    def __getitem__(self, unit: str) -> float:
        """Return the value of a unit."""
        return mean([*self.cells[unit].values()])

    def __iter__(self) -> Iterator[str]:
        """Go through the units."""
        return iter(self.cells)

    def __len__(self) -> int:
        """Return how many units have a value."""
        return len(self.cells)

    @property
    def repeats(self) -> set[str]:
        """The searches after which there is a value."""
        return {repeat for cells in self.cells.values() for repeat, _ in cells}

    @property
    def splits(self) -> set[str]:
        """The splits on which there is a value, of any unit."""
        return {split for unit in self for split in self.splits_of(unit)}

    def splits_of(self, unit: str) -> set[str]:
        """Return the splits on which a unit has a value."""
        return {split for _, split in self.cells[unit]}


def paired(first: UnitValues, second: UnitValues) -> dict[str, tuple[float, float]]:
    """Return the values of two gates by unit, over the cells that both have.

    A mean over other splits is of other rows, and would make a difference where there is none.
    """
    ours, theirs = _shared(first, second), _shared(second, first)
    return {unit: (ours[unit], theirs[unit]) for unit in ours if unit in theirs}


def common(first: UnitValues, second: UnitValues) -> tuple[list[float], list[float]]:
    """Return the values of two gates, unit by unit, over the cells that both have."""
    pairs = paired(first, second).values()
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def over_all(first: UnitValues, second: UnitValues) -> bool:
    """Return whether two gates are compared over all cells of the units that both have."""
    units = [unit for unit in first if unit in second]
    pairs = [(first.cells[unit], second.cells[unit]) for unit in units]
    return all(
        len(_of_both(ours, theirs)) == len(ours) and len(_of_both(theirs, ours)) == len(theirs)
        for ours, theirs in pairs
    )


def _shared(one: UnitValues, other: UnitValues) -> UnitValues:
    """Return a gate's values over the cells that another has too."""
    found = {unit: _of_both(one.cells[unit], other.cells[unit]) for unit in one if unit in other}
    return UnitValues({unit: cells for unit, cells in found.items() if cells})


def _of_both(ours: Mapping[Cell, float], theirs: Mapping[Cell, float]) -> dict[Cell, float]:
    """Return those of our cells that are theirs too; of other searches those on their splits."""
    if ours.keys() & theirs.keys():
        return {cell: value for cell, value in ours.items() if cell in theirs}
    splits = {split for _, split in theirs}
    return {cell: value for cell, value in ours.items() if cell[1] in splits}


def mean(values: Sequence[float]) -> float:
    """Return the mean of one value or more."""
    return sum(values) / len(values)
