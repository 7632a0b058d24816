"""Exam scores of pupils in 139 schools: School."""

from __future__ import annotations

from gatelab.tasks.data_sets.data_set import DataFile, DataSet
from gatelab.tasks.data_sets.published_tables import cells_as_table, read_cells
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import register_task

SCHOOL = DataSet(
    "school",
    (
        DataFile(
            "school.mat",
            "https://github.com/jiayuzhou/MALSAR/raw/master/data/school.mat",
            "57fb3238fdd03a9aa17276e2ce18d9bbb5d128c3261e794fe6233b58b6909068",
        ),
    ),
    source="Inner London Education Authority; in the form of MALSAR (Zhou, Chen and Ye, 2011).",
    licence="none is stated: a download for your own use.",
)


@register_task("school")
class School(Table):
    """Tells the exam scores of pupils, with a target for each of 139 schools.

    A row is of one school, and its other targets are unknown. Source: Argyriou, Evgeniou and
    Pontil, "Convex multi-task feature learning", Machine Learning 73 (2008), section 5.
    """

    data_sets = (SCHOOL,)

    def __init__(self, *, split_seed: int = 0) -> None:
        """Read the file; 70% of the rows of each school are train, 15% val and 15% test.

        Args:
            split_seed: Another one divides the same rows anew.

        Raises:
            DataError: If the file is not on this machine, or is none of these.
        """
        x, y = read_cells(SCHOOL, "school.mat", "X", "Y")
        names = [f"school_{i + 1:03}" for i in range(len(y))]
        super().__init__(
            cells_as_table(x, y, names),
            targets=dict.fromkeys(names, "regression"),
            kinds={"*": "number"},
            split_seed=split_seed,
        )
