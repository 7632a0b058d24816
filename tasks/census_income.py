"""Several facts of people in a census: Census-Income (KDD)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from gatelab.registry import near_misses
from gatelab.rules import check_not_negative
from gatelab.tasks.data_sets.data_set import DataError, DataFile, DataSet
from gatelab.tasks.data_sets.published_tables import PART_COLUMN, published_split, with_parts
from gatelab.tasks.data_sets.unpacking import opened
from gatelab.tasks.streams import stream
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import register_task

_ADDRESS = "https://archive.ics.uci.edu/ml/machine-learning-databases/census-income-mld"
CENSUS_INCOME = DataSet(
    "census_income",
    (
        DataFile(
            "census-income.data.gz",
            f"{_ADDRESS}/census-income.data.gz",
            "3676a81db7d3528f3f8b9f3c699d0f0aa28db45e6e994fa0b8ed38327539ee86",
        ),
        DataFile(
            "census-income.test.gz",
            f"{_ADDRESS}/census-income.test.gz",
            "98402b1ab879573d0a7f38a699a40258080e25e33d3401e7bf9c96d3fa0fab8c",
        ),
    ),
    source="Census-Income (KDD), UCI Machine Learning Repository, from the US Census Bureau.",
    licence="Creative Commons Attribution 4.0.",
)
CENSUS_COLUMNS = (
    *("age", "class_of_worker", "industry_code", "occupation_code", "education"),
    *("wage_per_hour", "enrolled_last_week", "marital_status", "major_industry"),
    *("major_occupation", "race", "hispanic_origin", "sex", "labor_union"),
    *("unemployment_reason", "employment", "capital_gains", "capital_losses", "dividends"),
    *("tax_filer", "previous_region", "previous_state", "household_detail"),
    *("household_summary", "instance_weight", "migration_msa", "migration_region"),
    *("migration_within_region", "in_this_house", "migration_sunbelt", "num_employer_persons"),
    *("family_under_18", "father_birth_country", "mother_birth_country", "birth_country"),
    *("citizenship", "own_business", "veterans_questionnaire", "veterans_benefits"),
    *("weeks_worked", "year", "income_over_50k"),
)
"""In the order of the file, as its description names them."""
NUMBERS = (
    *("age", "wage_per_hour", "capital_gains", "capital_losses", "dividends"),
    *("num_employer_persons", "weeks_worked"),
)
_COLLEGE = (
    *("Bachelors degree(BA AB BS)", "Masters degree(MA MS MEng MEd MSW MBA)"),
    *("Prof school degree (MD DDS DVM LLB JD)", "Doctorate degree(PhD EdD)"),
    *("Some college but no degree", "Associates degree-academic program"),
    "Associates degree-occup /vocational",
)
SOURCES = {
    "income": ("income_over_50k", "binary"),
    "never_married": ("marital_status", "binary"),
    "college": ("education", "binary"),
    "weeks": ("weeks_worked", "regression"),
    "capital_gain": ("capital_gains", "binary"),
}
"""By target the column that it is made of, which is no feature then, and its kind."""


@register_task("census_income")
class CensusIncome(Table):
    """Tells income, marital status, education, weeks worked or capital gains of people in a census.

    Published pairs are ``[income, never_married]`` and ``[college, never_married]``; the columns of
    the household nearly give away who never married, so that ``weeks`` and ``capital_gain`` are
    harder. A column that a target is made of is no feature; nor is the weight of an instance.
    Source: Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018, section 5.2.
    """

    data_sets = (CENSUS_INCOME,)

    def __init__(
        self,
        *,
        learn: Sequence[str] = ("income", "never_married"),
        split: str = "published",
        min_frequency: int = 5,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        """Read both files, and say what is learned.

        Args:
            learn: The targets: of ``income``, ``never_married``, ``college``, ``weeks`` and
                ``capital_gain``.
            split: ``published``: train is the first file, val and test are halves of the second,
                drawn by ``seed``; or ``random``: all rows in parts as large, by ``split_seed``.
            min_frequency: Categories of fewer train rows share the id of unknown ones.
            seed: Of the halves.
            split_seed: Another one divides the same rows anew, where the split is random.

        Raises:
            DataError: If a file is not on this machine, or is none of these.
            ValueError: If an option is out of its range.
        """
        check_not_negative(seed=seed)
        _check_learnt(learn)
        train, other = (_read(CENSUS_INCOME.found(file.name)) for file in CENSUS_INCOME.files)
        halves = stream("common", seed).permutation(len(other)) % 2
        parts = ["train"] * len(train) + [("val", "test")[half] for half in halves]
        table = _with_targets(pa.concat_tables([train, other]), learn)
        used = {SOURCES[target][0] for target in learn}
        super().__init__(
            with_parts(table, parts),
            targets={target: SOURCES[target][1] for target in learn},
            kinds={"*": "category", **dict.fromkeys({*NUMBERS} - used, "number")},
            drop=[
                *sorted(used),
                "instance_weight",
                *([] if split == "published" else [PART_COLUMN]),
            ],
            missing=("?",),
            split=published_split(split, parts),
            min_frequency=min_frequency,
            split_seed=split_seed,
        )


def _check_learnt(learn: object) -> None:
    if isinstance(learn, str) or not isinstance(learn, Sequence) or not learn:
        raise ValueError(f"`learn` must be a list of targets, but got {learn!r:.100}.")
    for target in learn:
        if target not in SOURCES:
            raise ValueError(
                f"`learn`: unknown {target!r:.100}; {near_misses(str(target), SOURCES)}"
            )
    if len({*learn}) != len(learn):
        raise ValueError(f"`learn` has a target twice: {learn!r:.100}.")


def _read(path: Path) -> pa.Table:
    """Return the columns of a file, texts without spaces around them."""
    types = {name: pa.float64() if name in NUMBERS else pa.string() for name in CENSUS_COLUMNS}
    try:
        with opened(path) as file:
            table = csv.read_csv(
                file,
                read_options=csv.ReadOptions(column_names=CENSUS_COLUMNS, use_threads=False),
                parse_options=csv.ParseOptions(quote_char=False),
                convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False),
            )
    except pa.ArrowInvalid as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is no file of Census-Income: {why}.") from error
    _check_finite(path, table)
    columns = {
        name: column if name in NUMBERS else pc.utf8_trim_whitespace(column)
        for name, column in zip(CENSUS_COLUMNS, table.columns, strict=True)
    }
    return pa.table(columns)


def _check_finite(path: Path, table: pa.Table) -> None:
    for name in NUMBERS:
        infinite = np.flatnonzero(np.isinf(table[name].to_numpy()))
        if len(infinite):
            raise DataError(f"{path}, line {infinite[0] + 1}: {name} is infinite.")


def _with_targets(table: pa.Table, learn: Sequence[str]) -> pa.Table:
    made: dict[str, Any] = {
        "income": lambda: pc.match_substring(table["income_over_50k"], "50000+"),
        "never_married": lambda: pc.equal(table["marital_status"], "Never married"),
        "college": lambda: pc.is_in(table["education"], value_set=pa.array(_COLLEGE)),
        "weeks": lambda: table["weeks_worked"],
        "capital_gain": lambda: pc.greater(table["capital_gains"], 0),
    }
    for target in learn:
        values = made[target]()
        numbers = np.asarray(values.to_numpy(), np.float64)
        table = table.append_column(target, pa.array(numbers))
    return table
