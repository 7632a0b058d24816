"""MovieLens: what was watched and what was not, masks, weights, and files of ratings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatelab.tasks import MovieLens1M, MovieLens100K, Task, tasks
from gatelab.tasks.check import run_checks
from gatelab.tasks.data_sets.data_set import DataError
from gatelab.tasks.movielens import cut_off, with_unwatched
from gatelab.tasks.task import SplitName
from tests.bad_specs import run
from tests.tiny_data import write_ratings

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data with ratings of 20 users and 30 movies, whose ids are odd."""
    monkeypatch.setenv("GATELAB_DATA", str(tmp_path))
    write_ratings(tmp_path / "movielens_1m" / "ratings.dat", 20, 30, 250, "::")
    write_ratings(tmp_path / "movielens_100k" / "u.data", 20, 30, 250, "\t")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["movielens_1m", "movielens_100k"])
def test_each_passes_every_check(name: str) -> None:
    assert [f"{it.check}: {it.reason}" for it in run_checks(tasks.get(name)) if not it.ok] == []


def test_both_formats_are_read_alike() -> None:
    for name in SPLITS:
        first, second = MovieLens1M().split(name), MovieLens100K().split(name)
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)


def test_every_rating_is_a_row_and_the_others_were_not_watched(here: Path) -> None:
    rows = write_ratings(here / "movielens_1m" / "ratings.dat", 20, 30, 250, "::")
    parts = [MovieLens1M().split(name) for name in SPLITS]
    pairs = np.concatenate([it.inputs.numpy() for it in parts])
    targets = np.concatenate([it.targets.numpy() for it in parts])
    masks = np.concatenate([it.mask.numpy() for it in parts if it.mask is not None])
    found = {tuple(p): t[1] for p, t in zip(pairs.tolist(), targets, strict=True) if t[0]}
    assert found == {(u - 1, (m - 1) // 2): r for u, m, r in rows.tolist()}
    assert len({*map(tuple, pairs.tolist())}) == len(pairs), "no pair stands twice"
    counts = np.bincount(rows[:, 0] - 1)
    assert (
        np.bincount(pairs[targets[:, 0] == 0, 0]).tolist()
        == np.minimum(counts, 30 - counts).tolist()
    )
    assert masks[:, 0].all() and np.array_equal(masks[:, 1], targets[:, 0] == 1)


def test_unwatched_by_hand() -> None:
    """User 7 rated two of three movies, so that one is left; for user 9 one of two is drawn."""
    ratings = np.array([[7, 10, 5], [7, 30, 1], [9, 20, 3]])
    pairs, values = with_unwatched(ratings, seed=0)
    assert pairs[:4].tolist() == [[0, 0], [0, 2], [1, 1], [0, 1]]
    assert pairs[4].tolist() in ([1, 0], [1, 2]) and len(pairs) == 5
    assert values.tolist() == [5, 1, 3, 0, 0]
    drawn = {tuple(with_unwatched(ratings, seed=seed).pairs[4]) for seed in range(20)}
    assert len(drawn) == 2


def test_the_published_division() -> None:
    """Rows of each split, and the share of watched ones, at the published numbers."""
    watched = np.arange(1_999_496) < 1_000_209
    drawn = np.random.default_rng(0)
    rest, test = cut_off(np.arange(len(watched)), watched, 0.1, drawn)
    train, val = cut_off(rest, watched, 0.125, drawn)
    assert (len(train), len(val), len(test)) == (1_574_602, 224_944, 199_950)
    for rows in (train, val, test):
        assert watched[rows].mean() == pytest.approx(1_000_209 / 1_999_496, abs=1e-5)
    assert np.bincount(np.concatenate([train, val, test])).tolist() == [1] * len(watched)


@pytest.mark.parametrize(("watched", "weights"), [(0.1, [0.1, 0.9]), (0.9, [0.9, 0.1])])
def test_both_published_weightings(watched: float, weights: list[float]) -> None:
    assert [it.weight for it in MovieLens1M(watched_weight=watched).targets] == weights


def test_some_users_alone() -> None:
    task = MovieLens1M(users=5)
    pairs = torch.cat([task.split(name).inputs for name in SPLITS])
    assert pairs[:, 0].unique().tolist() == [0, 1, 2, 3, 4]
    assert pairs[:, 1].max() + 1 == len(pairs[:, 1].unique())


def test_another_split_seed_divides_the_same_rows() -> None:
    def rows(task: Task) -> list[tuple[int, ...]]:
        return sorted(tuple(r) for n in SPLITS for r in task.split(n).inputs.tolist())

    assert rows(MovieLens1M()) == rows(MovieLens1M(split_seed=1)) != rows(MovieLens1M(seed=1))
    assert not torch.equal(
        MovieLens1M().split("test").inputs, MovieLens1M(split_seed=1).split("test").inputs
    )
    assert MovieLens1M().test_to_train() == pytest.approx(1 / 7.875, abs=0.01)


def test_the_published_network() -> None:
    network = MovieLens1M().network()
    features = network.bottom()(MovieLens1M().split("val").inputs)
    assert features.shape[1] == network.gate_features == 256
    assert [tuple(it.shape) for it in network.bottom().parameters()] == [(20, 128), (30, 128)]
    expert = network.expert()
    assert [tuple(it.shape) for it in expert.parameters()] == [(256, 256), (256,)]
    assert "p=0.5" in repr(expert)
    tower = network.tower(MovieLens1M().targets[0])
    shapes = [tuple(it.shape) for it in tower.parameters() if it.dim() > 1]
    assert shapes == [(256, 256), (1, 256)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1::2::5::9\n1::3::4\n", "Row #2: Expected 7 columns, got 5"),
        ("1::2::5::9\n1::x::4::9\n", "conversion error to int64.*'x'"),
        ("1::2::6::9\n", "ratings are 1 to 5, but line 1 has 6"),
        ("1::2::5::9\n1::2::4::9\n", "rates a movie twice"),
        ("1,2,5,9\n", "Expected 7 columns, got 1"),
        ("<html>", "web page"),
        ("", "is empty"),
        ("1::2::5::9", "too few ratings"),
        ("1::2::5::9\n\n1::4::4::9\n", "too few ratings"),
    ],
)
def test_what_is_no_file_of_ratings_is_one_line(here: Path, content: str, said: str) -> None:
    path = here / "movielens_1m" / "ratings.dat"
    path.write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        MovieLens1M().split("train")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"watched_weight": 1.0}, {"users": 0}, {"seed": -1}])
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        MovieLens1M(**options)


def test_a_missing_file_names_the_licence_s_command(here: Path) -> None:
    (here / "movielens_1m" / "ratings.dat").unlink()
    with pytest.raises(DataError, match="ratings.dat of data set movielens_1m .*ml-1m.zip"):
        MovieLens1M()


@pytest.mark.slow
def test_at_full_size_it_takes_seconds(here: Path) -> None:
    """As many ratings, users and movies as the published file has; 5 s on two idle cores."""
    write_ratings(here / "movielens_1m" / "ratings.dat", 6040, 3706, 1_000_209, "::")
    began = time.process_time()
    split = MovieLens1M().split("train")
    assert time.process_time() - began < 15
    assert len(split.inputs) == pytest.approx(1_574_602, abs=2000)


def test_a_file_that_the_network_reads_first_is_the_task_s(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is wrong with it is said as it is, not as an error of code."""
    monkeypatch.chdir(here)
    path = here / "movielens_1m" / "ratings.dat"
    path.write_text("<html>")
    Path("bad.yaml").write_text("name: bad\ntask: movielens_1m\ngates: [softmax]\n")
    said = f"gatelab: bad.yaml: task: {path} is a web page (HTML) under the name of the file.\n"
    assert run("validate", "bad.yaml") == (2, said)
