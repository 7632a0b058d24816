"""Where a task's file lies says nothing of what the task is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.making import make_home
from gatelab.sweeps.spec.given import spec_of
from gatelab.sweeps.spec.given_tables import with_tables_kept
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.places import as_recorded, found_in, wherever
from gatelab.sweeps.spec.space import draws_seed
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks import Table

KEPT = "0123456789ab.parquet"


def spec(**options: object) -> Spec:
    return Spec.model_validate(
        {"name": "mine", "task": {"name": "table", **options}, "gates": ["softmax"]}
    )


def kept_in(folder: Path) -> Spec:
    table = Table(pd.DataFrame({"a": range(40), "b": range(40, 80)}), targets={"b": "regression"})
    task = {"name": "mine", "task": table, "gates": ["softmax"]}
    with with_tables_kept(task, folder) as named:
        return spec_of(named)


def test_draws_are_those_of_a_file_wherever_it_lies(tmp_path: Path) -> None:
    places = ("mine.csv", "./mine.csv", "/else/where/mine.csv")
    seeds = {draws_seed(spec(path=place)) for place in places}
    assert len(seeds) == 1
    assert draws_seed(spec(path="other.csv")) not in seeds
    one, other = (kept_in(tmp_path / name) for name in ("A", "B"))
    assert one.task != other.task
    assert draws_seed(one) == draws_seed(other)


def test_draws_of_a_file_that_is_named_alone_are_those_of_before() -> None:
    assert draws_seed(spec(path="mine.csv", min_frequency=2)) == 2747729167


@pytest.mark.parametrize(
    ("path", "recorded"),
    [
        (f"/runs/tables/{KEPT}", f"tables/{KEPT}"),
        (f"/runs/other/{KEPT}", f"/runs/other/{KEPT}"),
        ("/runs/tables/mine.parquet", "/runs/tables/mine.parquet"),
        ("./mine.csv", "./mine.csv"),
    ],
)
def test_a_frame_is_recorded_as_any_folder_has_it(path: str, recorded: str) -> None:
    assert as_recorded({"path": path, "seed": 1}) == {"path": recorded, "seed": 1}


def test_other_options_are_what_they_were() -> None:
    for options in ({}, {"seed": 1}, {"path": 3}):
        assert wherever(options) == as_recorded(options) == options


def test_a_frame_is_found_in_a_folder_that_was_moved(tmp_path: Path) -> None:
    begun = kept_in(tmp_path / "A")
    home = make_home(tmp_path / "A", begun, "sqlite:///none.db", None)
    assert home.spec.task == begun.task
    (tmp_path / "A").rename(tmp_path / "B")
    moved = Home(tmp_path / "B", "mine").spec
    assert Path(moved.task.options["path"]).parent == tmp_path / "B" / "tables"
    assert make_task(moved).targets
    assert as_recorded(moved.task.options) == as_recorded(begun.task.options)


def test_a_file_of_ones_own_is_looked_for_where_it_was(tmp_path: Path) -> None:
    for path in ("mine.csv", f"/runs/other/{KEPT}"):
        assert found_in({"path": path}, tmp_path) == {"path": path}
