"""Census-Income, Landmine, School and SARCOS: read as published, divided, learnt as tables."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from gatelab.tasks import CensusIncome, Landmine, Sarcos, School, Task, tasks
from gatelab.tasks.census_income import CENSUS_COLUMNS
from gatelab.tasks.check import run_checks
from gatelab.tasks.check.warned import warnings_of
from gatelab.tasks.data_sets import matlab
from gatelab.tasks.data_sets.data_set import DataError
from gatelab.tasks.task import SplitName
from tests.tiny_data import write_cells, write_census, write_sarcos

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
NAMES = ["census_income", "landmine", "school", "sarcos"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data with tiny files."""
    monkeypatch.setenv("GATELAB_DATA", str(tmp_path))
    write_census(tmp_path / "census_income" / "census-income.data.gz", 300, seed=1)
    write_census(tmp_path / "census_income" / "census-income.test.gz", 150, seed=2)
    write_cells(tmp_path / "landmine" / "LandmineData.mat", ("feature", "label"), 29, 9, True)
    write_cells(tmp_path / "school" / "school.mat", ("X", "Y"), 139, 5, False)
    write_sarcos(tmp_path / "sarcos", 200, 40)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_passes_every_check(name: str) -> None:
    assert [f"{it.check}: {it.reason}" for it in run_checks(tasks.get(name)) if not it.ok] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELAB_DATA", "/nowhere")
    with pytest.raises(DataError, match=f"in /nowhere/{name}: `gatelab data get {name}`"):
        tasks.get(name)()


def rows_of(task: Task) -> list[int]:
    return [len(task.split(name).inputs) for name in SPLITS]


def test_census_income_as_published() -> None:
    """Train is one file; halves of the other are val and test. A target's column is no feature."""
    task = CensusIncome()
    assert rows_of(task) == [300, 75, 75]
    assert [(it.name, it.kind) for it in task.targets] == [
        ("income", "binary"),
        ("never_married", "binary"),
    ]
    away = {"income_over_50k", "marital_status", "instance_weight"}
    assert {*task.features} == {*CENSUS_COLUMNS} - away
    kinds = {name: column.kind for name, column in task.features.items()}
    assert (kinds["age"], kinds["industry_code"], kinds["year"]) == (
        "number",
        "category",
        "category",
    )
    assert CensusIncome(learn=["college"]).features.keys() == {*CENSUS_COLUMNS} - {
        *("education", "instance_weight"),
    }


def test_census_income_s_targets_by_hand(here: Path) -> None:
    text = gzip.decompress((here / "census_income" / "census-income.data.gz").read_bytes())
    people = [line.split(", ") for line in text.decode().splitlines()]
    task = CensusIncome(learn=["income", "never_married", "college", "capital_gain", "weeks"])
    found = task.split("train").targets.numpy()
    expected = [
        [p[41] == "50000+.", p[7] == "Never married", p[4].startswith("Bach"), p[16] != "0"]
        for p in people
    ]
    assert np.array_equal(found[:, :4], np.array(expected, float))
    weeks = task.targets[4].in_unit(task.split("train").targets[:, 4]).numpy()
    assert np.allclose(weeks, [float(p[39]) for p in people], atol=1e-4)


def test_another_division_of_census_income() -> None:
    task = CensusIncome(split="random", split_seed=1)
    assert sum(rows_of(task)) == 450 and rows_of(task) == pytest.approx([300, 75, 75], abs=3)
    assert not task.fixed_split and CensusIncome().fixed_split
    first, second = (CensusIncome(seed=seed).split("test").inputs.numpy() for seed in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"learn": ["incme"]}, "unknown 'incme'; did you mean 'income'"),
        ({"learn": []}, "`learn` must be a list"),
        ({"learn": "income"}, "`learn` must be a list"),
        ({"learn": ["income", "income"]}, "twice"),
        ({"split": "publishd"}, "unknown 'publishd'; did you mean 'published'"),
        ({"split_seed": 1}, "split_seed"),
        ({"seed": -1}, "seed >= 0"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CensusIncome(**options)


def test_landmine_s_rows_know_one_target_each(here: Path) -> None:
    task = Landmine()
    assert len(task.targets) == 29 and len(task.features) == 9
    labels = loadmat(here / "landmine" / "LandmineData.mat")["label"].ravel()
    splits = [task.split(name) for name in SPLITS]
    masks = np.concatenate([it.mask.numpy() for it in splits if it.mask is not None])
    values = np.concatenate([it.targets.numpy() for it in splits])
    assert masks.sum(1).tolist() == [1] * sum(map(len, labels))
    assert masks.sum(0).tolist() == [len(it) for it in labels]
    for target, cell in enumerate(labels):
        assert values[masks[:, target], target].sum() == cell.sum()
    for split in splits:
        assert split.mask is not None and split.mask.any(0).all(), "each field is in each split"


def test_landmine_s_two_clusters_are_known() -> None:
    truth = Landmine.truth
    assert truth.groups[:15] == (0,) * 15 and truth.groups[15:] == (1,) * 14
    assert not truth.experts  # no one made these rows, so no oracle joins


def test_school_has_a_target_a_school() -> None:
    task = School()
    assert len(task.targets) == 139 and {it.kind for it in task.targets} == {"regression"}
    split = task.split("train")
    assert split.mask is not None and (split.mask.sum(1) == 1).all()
    assert rows_of(task) == pytest.approx([0.7 * 17931, 0.15 * 17931, 0.15 * 17931], rel=0.03)


def test_the_hash_of_every_published_file_is_known() -> None:
    bundled = [it for it in map(tasks.get, tasks.names()) if it.__module__.startswith("gatelab.")]
    read = {data_set for task in bundled for data_set in task.data_sets}
    hashes = {file.name: file.sha256 for data_set in read for file in data_set.files}
    assert {"ratings.dat", "u.data", "sarcos_inv.mat", "school.mat"} <= {*hashes}
    assert all(re.fullmatch("[0-9a-f]{64}", digest or "") for digest in hashes.values()), hashes


@pytest.mark.parametrize("name", NAMES)
def test_files_that_are_not_the_published_ones_are_warned_of(here: Path, name: str) -> None:
    task = tasks.get(name)()
    warned = [line for line in warnings_of(task) if "is not the published file" in line]
    files = [file.name for data_set in task.data_sets for file in data_set.files]
    assert len(warned) == len(files) > 0
    assert all(file in line for file, line in zip(files, warned, strict=True))


def test_sarcos_as_published(here: Path) -> None:
    task = Sarcos()
    assert rows_of(task) == [180, 20, 40] and len(task.targets) == 7 and len(task.features) == 21
    rows = loadmat(here / "sarcos" / "sarcos_inv_test.mat")["sarcos_inv_test"]
    found = task.targets[6].in_unit(task.split("test").targets[:, 6]).numpy()
    assert np.allclose(found, rows[:, 27], atol=1e-4)
    assert rows_of(Sarcos(split="random")) == pytest.approx([180, 20, 40], abs=2)
    assert not np.array_equal(Sarcos(seed=1).split("val").inputs, task.split("val").inputs)


def cells(*contents: Any) -> np.ndarray:
    """Return what MATLAB has as a row of cells."""
    made = np.empty((1, len(contents)), object)
    for at, content in enumerate(contents):
        made[0, at] = content
    return made


@pytest.mark.parametrize(
    ("cls", "file", "variables", "said"),
    [
        (Landmine, "landmine/LandmineData.mat", {"feature": np.ones(3)}, "no variable 'label'"),
        (
            Landmine,
            "landmine/LandmineData.mat",
            {"feature": np.ones((3, 2)), "label": np.ones((3, 1))},
            "feature and label are not cells",
        ),
        (Sarcos, "sarcos/sarcos_inv.mat", {"sarcos_inv": np.ones((4, 21))}, r"shape \(4, 21\)"),
        (School, "school/school.mat", {"x": 1}, "no variable 'X'"),
        (
            Landmine,
            "landmine/LandmineData.mat",
            {"feature": cells(np.ones((3, 2))), "label": cells(np.ones((3, 1)))},
            "holds 1 fields, where 29",
        ),
        (School, "school/school.mat", {"X": cells("abc"), "Y": 1}, "X is no array of real"),
        (School, "school/school.mat", {"X": {"a": 1}, "Y": 1}, "X is no array of real"),
        (
            School,
            "school/school.mat",
            {"X": cells(np.ones((2, 2))), "Y": cells(np.full((2, 1), np.nan))},
            "Y holds numbers that are not finite",
        ),
        (
            Sarcos,
            "sarcos/sarcos_inv.mat",
            {"sarcos_inv": np.full((9, 28), 1j)},
            "sarcos_inv is no array of real",
        ),
    ],
)
def test_another_matlab_file_is_one_line(
    cls: type[Task], file: str, variables: dict[str, Any], said: str, here: Path
) -> None:
    savemat(here / file, variables)
    with pytest.raises(DataError, match=said) as caught:
        cls()
    assert "\n" not in str(caught.value) and str(here / file) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>", "web page"),
        (b"", "empty"),
        (b"no matlab", "no MATLAB file"),
        (b"1" * 500, "no MATLAB file"),
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + b" " * 90, "no MATLAB file|no variable"),
    ],
)
def test_what_is_no_matlab_file_is_one_line(content: bytes, said: str, here: Path) -> None:
    (here / "school" / "school.mat").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        School()
    assert "\n" not in str(caught.value)


def test_whatever_the_reader_of_matlab_files_raises_is_one_line(here: Path) -> None:
    """An array of a class that is none is an UnboundLocalError of SciPy's."""
    path = here / "school" / "school.mat"
    savemat(path, {"X": np.ones((3, 2)), "Y": np.ones((3, 1))})
    content = bytearray(path.read_bytes())
    content[144] = 0  # the first array's class
    path.write_bytes(content)
    with pytest.raises(DataError, match="school.mat is no MATLAB file: "):
        School()


def test_a_matlab_file_that_ends_the_process_of_scipy_is_one_line(here: Path) -> None:
    """The numbers of 60 rows and 5 columns, 2,400 bytes, are of a type that there is not.

    SciPy looks that up beyond the end of a list, and ends by a signal, or goes on to raise: what,
    depends on what lies there.
    """
    path = here / "school" / "school.mat"
    content = path.read_bytes()
    size = (2400).to_bytes(4, "little")
    double, none = (number.to_bytes(4, "little") for number in (9, 9 + (0x6D << 8)))
    damaged = content.replace(double + size, none + size)
    assert damaged != content
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="school.mat is no MATLAB file: .") as caught:
        School()
    assert "\n" not in str(caught.value)


def test_a_truncated_matlab_file_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read in this process, which what SciPy raises in another might end."""
    path = here / "sarcos" / "sarcos_inv.mat"
    path.write_bytes(path.read_bytes()[:20_000])
    monkeypatch.setattr(matlab, "_loaded", lambda *given: pytest.fail("it is read here"))
    with pytest.raises(DataError, match="no MATLAB file: ."):
        Sarcos()


def test_another_file_under_census_income_s_name_is_one_line(here: Path) -> None:
    path = here / "census_income" / "census-income.test.gz"
    path.write_bytes(gzip.compress(b"1, 2, 3\n"))
    with pytest.raises(DataError, match="Row #1: Expected 42 columns, got 3") as caught:
        CensusIncome()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_infinite_number_of_census_income_is_told_by_its_line(here: Path) -> None:
    path = here / "census_income" / "census-income.data.gz"
    first, *people = gzip.decompress(path.read_bytes()).decode().splitlines()
    people[4] = "inf" + people[4][people[4].index(",") :]
    path.write_bytes(gzip.compress("\n".join([first, *people]).encode()))
    with pytest.raises(DataError, match=r"census-income.data.gz, line 6: age is infinite"):
        CensusIncome()
