"""The specs of published data sets: each loads, and the small ones run, on tiny files."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import yaml

from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import load_spec
from gatelab.tasks import tasks
from tests.commands import ROOT
from tests.in_process import gatelab
from tests.tiny_data import write_cells, write_census, write_images, write_ratings, write_sarcos

PRESETS = sorted((ROOT / "examples" / "data_sets").glob("*.yaml"))
SMALL = [path for path in PRESETS if path.stem.endswith("_small")]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data with tiny files of every format."""
    folder = tmp_path / "data"
    monkeypatch.setenv("GATELAB_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_images(folder / "mnist", seed=1)
    write_images(folder / "fashion_mnist", seed=2)
    write_ratings(folder / "movielens_1m" / "ratings.dat", 60, 80, 2000, "::")
    write_ratings(folder / "movielens_100k" / "u.data", 60, 80, 2000, "\t")
    write_census(folder / "census_income" / "census-income.data.gz", 600, seed=1)
    write_census(folder / "census_income" / "census-income.test.gz", 400, seed=2)
    write_cells(folder / "landmine" / "LandmineData.mat", ("feature", "label"), 29, 9, True)
    write_cells(folder / "school" / "school.mat", ("X", "Y"), 139, 5, False)
    write_sarcos(folder / "sarcos", 400, 80)
    return folder


def test_every_data_set_has_a_published_and_a_small_one() -> None:
    read = [name for name in tasks.names() if tasks.get(name).data_sets]
    ours = [name for name in read if tasks.get(name).__module__.startswith("gatelab.tasks.")]
    listed = {*ours, "mmoe_synthetic", "synthetic_groups", "recommender_8"}
    assert listed == {it.stem for it in PRESETS if it not in SMALL}
    assert {f"{name}_small" for name in listed} == {it.stem for it in SMALL}


@pytest.mark.parametrize("path", PRESETS, ids=lambda it: it.stem)
def test_each_loads(path: Path) -> None:
    spec = load_spec(path)
    assert spec.task.name == path.stem.removesuffix("_small")
    assert spec.name == path.stem.replace("_", "-")


def test_the_specs_of_the_results_load(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = ROOT / "examples" / "results"
    monkeypatch.chdir(data)
    census = data / "census_income" / "census-income.test.gz"
    monkeypatch.setattr(sys, "argv", ["tables.py", str(census)])
    runpy.run_path(str(results / "tables.py"))
    assert load_spec(results / "pairs.yaml").task.name == "multi_mnist"
    for name in ("diabetes", "tumours"):
        assert load_spec(results / f"{name}.yaml").task.name == "table"
        assert make_task(load_spec(results / f"{name}.yaml")).targets
    task = yaml.safe_load((results / "census.yaml").read_text())["task"]  # of true cells alone
    named = {*task["kinds"], *task["targets"]}
    assert named == set((data / "census.csv").read_text().partition("\n")[0].split(","))


@pytest.mark.slow
@pytest.mark.parametrize("path", SMALL, ids=lambda it: it.stem)
def test_the_small_one_runs(path: Path, place: Path) -> None:
    """With fewer epochs and trials, and few of the pairs."""
    content = yaml.safe_load(path.read_text())
    content["training"] |= {"max_epochs": 2, "patience": 1}
    content["search"] = {"trials": 1}
    content |= {"gates": {"dselect_k": content["gates"]["dselect_k"]}, "baselines": False}
    for rows in ("train_rows", "val_rows", "test_rows"):
        if rows in (content["task"] if isinstance(content["task"], dict) else {}):
            content["task"][rows] = 100
    (place / "small.yaml").write_text(yaml.safe_dump(content))
    said = gatelab(place, "launch", "small.yaml")
    assert "dselect_k" in said and " failed: " not in said
