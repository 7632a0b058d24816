"""Landmines in 29 fields, from radar images: Landmine."""

from __future__ import annotations

from gatelab.tasks.data_sets.data_set import DataError, DataFile, DataSet
from gatelab.tasks.data_sets.published_tables import cells_as_table, read_cells
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import Truth, register_task

LANDMINE = DataSet(
    "landmine",
    (
        DataFile(
            "LandmineData.mat",
            "http://www.ee.duke.edu/~lcarin/LandmineData.zip",
            "2163ab20a80e33a8b65593c48cf283c540599dcb291105e63fa4af2ce24c2bea",
        ),
    ),
    source=(
        "Xue, Liao, Carin and Krishnapuram, Multi-Task Learning for Classification with Dirichlet "
        "Process Priors, JMLR 8 (2007)."
    ),
    licence="none is stated: a download for your own use.",
)


FOLIATED, BARE = 15, 14
"""Fields of each kind of ground, in this order."""


@register_task("landmine")
class Landmine(Table):
    """Tells landmines from clutter in each of 29 fields, two real clusters of 15 and 14 targets.

    Nine features of a radar image; a row is of one field, and its other targets are unknown.
    Targets 1 to 15 are of foliated regions, the others of bare earth. 3 to 9% of rows are mines.
    Source: Xue et al., "Multi-Task Learning for Classification with Dirichlet Process Priors", JMLR
    8 (2007), section 6.2.
    """

    data_sets = (LANDMINE,)
    truth = Truth(groups=(0,) * FOLIATED + (1,) * BARE)

    def __init__(self, *, split_seed: int = 0) -> None:
        """Read the file; 70% of a class of each field are train, 15% val and 15% test.

        Args:
            split_seed: Another one divides the same rows anew.

        Raises:
            DataError: If the file is not on this machine, or is none of these.
        """
        x, y = read_cells(LANDMINE, "LandmineData.mat", "feature", "label")
        path = LANDMINE.found("LandmineData.mat")
        if any(set(values) - {0, 1} for values in map(set, y)):
            raise DataError(f"{path}: labels must be 0 and 1.")
        if len(y) != FOLIATED + BARE:
            raise DataError(f"{path} holds {len(y)} fields, where {FOLIATED + BARE} are due.")
        names = [f"field_{i + 1:02}" for i in range(len(y))]
        super().__init__(
            cells_as_table(x, y, names),
            targets=dict.fromkeys(names, "binary"),
            kinds={"*": "number"},
            rare="train",
            split_seed=split_seed,
        )
