"""Multi-MNIST, Multi-Fashion and their mixture: the recipe, its files, and what is kept of it."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatelab.tasks import MNISTFashion, MultiFashion, MultiMNIST, Task, tasks
from gatelab.tasks.check import run_checks
from gatelab.tasks.check.warned import warnings_of
from gatelab.tasks.data_sets import made
from gatelab.tasks.data_sets.data_set import DataError
from gatelab.tasks.data_sets.idx import read_idx
from gatelab.tasks.image_pairs import StandardCanvas, canvas_of
from tests.bad_specs import run
from tests.small_disk import read_only
from tests.tiny_data import write_idx, write_images

REAL = os.environ.get("GATELAB_DATA", "")
SMALL: dict[str, Any] = {"train_rows": 100, "val_rows": 20, "test_rows": 60}
HEAD = bytes([0, 0, 8, 3, 0, 0, 0, 60, 0, 0, 0, 28, 0, 0, 0, 28])
PAIRS = ["multi_mnist", "multi_fashion", "mnist_fashion"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data with tiny files, and a cache of its own."""
    data = tmp_path / "data"
    write_images(data / "mnist", seed=1)
    write_images(data / "fashion_mnist", seed=2)
    monkeypatch.setenv("GATELAB_DATA", str(data))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return data


def images_of(data: Path, name: str, file: str) -> tuple[np.ndarray, np.ndarray]:
    folder = data / name
    return (
        read_idx(folder / f"{file}-images-idx3-ubyte.gz", 28, 28),
        read_idx(folder / f"{file}-labels-idx1-ubyte.gz"),
    )


def digest(task: Task) -> str:
    state = hashlib.sha256()
    for name in ("train", "val", "test"):
        inputs, targets, *_ = task.split(name)
        state.update(inputs.numpy().tobytes() + targets.numpy().tobytes())
    return state.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_each_passes_every_check(name: str) -> None:
    found = run_checks(tasks.get(name), **SMALL)
    assert [f"{it.check}: {it.reason}" for it in found if not it.ok] == []


def test_canvas_by_hand() -> None:
    left, right = np.zeros((2, 1, 28, 28), np.uint8)
    left[0, 0, 0], left[0, 27, 27], right[0, 0, 0], right[0, 19, 19], right[0, 27, 27] = (
        *(1, 255, 2, 255),
        7,
    )
    canvas = canvas_of(left, right)[0]
    assert canvas.shape == (36, 36) and canvas.dtype == np.int16
    assert (canvas[0, 0], canvas[8, 8], canvas[27, 27], canvas[35, 35]) == (1, 2, 510, 7)
    assert (canvas > 0).sum() == 4


@pytest.mark.parametrize(("cls", "other"), [(MultiMNIST, "mnist"), (MNISTFashion, "fashion_mnist")])
def test_pairs_are_of_their_splits_own_images(cls: type[Task], other: str, here: Path) -> None:
    """The first row shows the left image alone, and the last one the right one."""
    seen: dict[str, set[int]] = {}
    for name, file in (("train", "train"), ("val", "train"), ("test", "t10k")):
        inputs, targets, *_ = cls(**SMALL).split(name)  # type: ignore[call-arg]
        (lefts, left_labels), (rights, right_labels) = (
            images_of(here, it, file) for it in ("mnist", other)
        )
        seen[name] = set()
        for picture, target in zip(inputs.numpy(), targets.numpy(), strict=True):
            (left,) = np.flatnonzero((lefts[:, 0] == picture[0, :28]).all(1))
            (right,) = np.flatnonzero((rights[:, 27] == picture[35, 8:]).all(1))
            assert np.array_equal(picture, canvas_of(lefts[[left]], rights[[right]])[0])
            assert target.tolist() == [left_labels[left], right_labels[right]]
            seen[name] |= {left} if other != "mnist" else {left, right}
    assert not seen["train"] & seen["val"]
    assert (len(seen["train"]), len(seen["val"]), len(seen["test"])) == (50, 10, 30)


def test_each_image_is_left_twice_at_full_size(here: Path) -> None:
    lefts, _ = images_of(here, "mnist", "train")
    inputs = MultiMNIST(**SMALL).split("train").inputs.numpy()
    counts = [(inputs[:, 0, :28] == image[0]).all(1).sum() for image in lefts]
    assert sorted(counts) == [0] * 10 + [2] * 50


def test_fewer_rows_are_the_beginning_of_more() -> None:
    few, more = (MultiMNIST(**{**SMALL, "test_rows": n}).split("test") for n in (10, 50))
    assert torch.equal(few.inputs, more.inputs[:10])
    assert torch.equal(few.targets, more.targets[:10])


def test_what_they_are_does_not_depend_on_the_folder(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor on whether files are packed; and it is the same as it was when this was written."""
    before = digest(MultiMNIST(**SMALL, seed=3))
    monkeypatch.setenv("GATELAB_DATA", str(here.rename(tmp_path / "moved")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    for packed in (tmp_path / "moved" / "mnist").iterdir():
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    assert digest(MultiMNIST(**SMALL, seed=3)) == before
    assert (
        len({before, digest(MultiMNIST(**SMALL)), digest(MultiMNIST(**SMALL, split_seed=1))}) == 3
    )


def made_files() -> list[Path]:
    return sorted((made.cache_folder() / "made").rglob("inputs.npy"))


def test_it_is_made_once_and_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    first = MultiMNIST(**SMALL).split("train")
    first = first._replace(inputs=first.inputs.clone())
    (file,) = made_files()
    monkeypatch.setattr(made, "_make", None)  # which would fail
    again = MultiMNIST(**SMALL).split("train")
    assert torch.equal(first.inputs, again.inputs) and torch.equal(first.targets, again.targets)
    again.inputs[0] = 0  # is for this process alone
    assert torch.equal(MultiMNIST(**SMALL).split("train").inputs, first.inputs)
    with open("/proc/self/maps") as maps:
        assert str(file) in maps.read(), "its pages are the file's"


def test_other_contents_are_made_anew(here: Path) -> None:
    first = MultiMNIST(**SMALL).split("train").inputs
    write_images(here / "mnist", seed=5)
    assert not torch.equal(MultiMNIST(**SMALL).split("train").inputs, first)


def test_what_is_damaged_is_made_anew() -> None:
    first = MultiMNIST(**SMALL).split("train").inputs.clone()
    (file,) = made_files()
    file.write_bytes(file.read_bytes()[:1000])
    assert torch.equal(MultiMNIST(**SMALL).split("train").inputs, first)
    assert file.stat().st_size > 1000


def test_where_nothing_can_be_written_it_is_made_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digest(MultiMNIST(**SMALL))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fixed"))
    with read_only(tmp_path / "fixed"):
        assert digest(MultiMNIST(**SMALL)) == first
    monkeypatch.setattr(made.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100_000}))
    assert digest(MultiMNIST(**SMALL)) == first and not list((tmp_path / "fixed").rglob("*.npy"))


def test_in_memory_as_in_the_file() -> None:
    """Pieces of several sizes, of another type than is kept."""
    forms: made.Forms = {"a": ((5, 2), np.int16), "b": ((5,), np.uint8)}

    def pieces() -> Iterator[dict[str, np.ndarray]]:
        yield {"a": np.arange(4).reshape(2, 2), "b": np.arange(2)}
        yield {"a": np.arange(4, 6).reshape(1, 2)}
        yield {"a": np.arange(6, 10).reshape(2, 2)}
        yield {"b": np.arange(2, 5)}

    written, held = made.made_once("t", "one", forms, pieces), made._in_memory(forms, pieces)
    assert isinstance(written["a"], np.memmap)
    for found in (written, held):
        assert found["a"].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
        assert found["b"].tolist() == [0, 1, 2, 3, 4]
        assert (found["a"].dtype, found["b"].dtype) == (np.int16, np.uint8)


def test_who_comes_second_takes_what_is_there() -> None:
    """Another process has made the same meanwhile: here the same one, within its first piece."""
    forms: made.Forms = {"a": ((2,), np.int16)}
    begun = 0

    def pieces() -> Iterator[dict[str, np.ndarray]]:
        nonlocal begun
        begun += 1
        if begun == 1:
            made.made_once("t", "two", forms, pieces)
        yield {"a": np.arange(2)}

    found = made.made_once("t", "two", forms, pieces)["a"]
    assert (begun, found.tolist(), type(found)) == (2, [0, 1], np.memmap)
    assert not list((made.cache_folder() / "made").rglob(".draft*"))


PEAK = """
from resource import RUSAGE_SELF, getrusage
from gatelab.tasks import MultiMNIST
before = getrusage(RUSAGE_SELF).ru_maxrss
assert MultiMNIST(train_rows=100_000).split("train").inputs.shape == (100_000, 36, 36)
print(getrusage(RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_who_makes_pairs_holds_few_of_them() -> None:
    """Of 259 MB that are written a process holds a piece of 5 MB, and the images, here few."""
    command = [sys.executable, "-c", PEAK]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(found.stdout) < 50_000, "KiB"


def test_a_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "MOST_MADE", 2)
    for seed in range(4):
        MultiMNIST(**SMALL, seed=seed).split("val")
    assert len(made_files()) == 2
    assert not list((made.cache_folder() / "made").rglob(".draft*"))


def test_a_missing_file_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError) as caught:
        MultiMNIST()
    said = str(caught.value)
    assert "\n" not in said
    for part in ("t10k-labels-idx1-ubyte.gz", "https://", str(here / "mnist"), "data get mnist"):
        assert part in said
    MultiFashion(**SMALL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><title>404</title>", "web page"),
        (b"", "empty"),
        (gzip.compress(b"no idx file at all"), "begins with 6e6f2069"),
        (gzip.compress(bytes([0, 0, 8, 3]) + bytes(12) + b"1"), r"entries of \(0, 0\)"),
        (gzip.compress(HEAD + b"short"), r"says it holds \(60, 28, 28\) bytes, but holds 5"),
        (gzip.compress(HEAD + bytes(range(256)) * 200)[:300], "truncated"),
        (b"something else", "no .gz file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_is_one_line(here: Path, content: bytes, said: str) -> None:
    path = here / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        MultiMNIST(**SMALL).split("train")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not made_files()


def test_validate_says_what_is_wrong_with_a_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    path = here / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    Path("bad.yaml").write_text("name: bad\ntask: multi_mnist\ngates: [softmax]\n")
    code, said = run("validate", "bad.yaml")
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"gatelab: bad.yaml: task: 'multi_mnist': {path} is truncated or no .gz")
    assert not said.endswith("..\n")


@pytest.mark.parametrize("count", [0, 1])
def test_a_file_of_no_image_for_a_split_is_one_line(here: Path, count: int) -> None:
    write_idx(here / "mnist" / "train-labels-idx1-ubyte.gz", np.zeros(count))
    write_idx(here / "mnist" / "train-images-idx3-ubyte.gz", np.zeros((count, 28, 28)))
    with pytest.raises(DataError, match="too few images for pairs of train"):
        MultiMNIST(**SMALL).split("train")


def test_images_and_labels_must_be_as_many(here: Path) -> None:
    write_idx(here / "mnist" / "train-labels-idx1-ubyte.gz", np.arange(59) % 10)
    with pytest.raises(DataError, match="holds 60 images, but its labels are 59"):
        MultiMNIST(**SMALL).split("train")


def test_files_that_are_not_the_published_ones_are_warned_of() -> None:
    warned = [line for line in warnings_of(MNISTFashion(**SMALL)) if "published file" in line]
    assert len(warned) == 8
    assert all("expected sha256" in line and "but found" in line for line in warned)


def test_the_published_cnn() -> None:
    network = MultiMNIST(**SMALL).network()
    features = network.bottom()(MultiMNIST(**SMALL).split("val").inputs)
    expert = network.expert()
    assert features.shape == (20, 1, 36, 36)
    assert network.gate_input()(features).shape == (20, network.gate_features)
    shapes = [tuple(it.shape) for it in expert.parameters() if it.dim() > 1]
    assert shapes == [(10, 1, 5, 5), (20, 10, 5, 5), (50, 720), (50, 50)]
    tower = network.tower(MultiMNIST.targets[0])
    assert [tuple(it.shape) for it in tower.parameters() if it.dim() > 1] == [(50, 50)] * 2 + [
        (10, 50)
    ]
    assert tower(expert(features)).shape == (20, 10)
    flat = MultiMNIST(**SMALL).network(expert="mlp", expert_width=8).expert()
    assert flat(features).shape == (20, 8)


@pytest.mark.parametrize(
    "model", [{"expert": "cnm"}, {"channels": 0}, {"dropout": 1.0}, {"tower_depth": 0}]
)
def test_hyperparameters_out_of_range(model: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(model))):
        MultiMNIST(**SMALL).network(**model)


@pytest.mark.parametrize("option", ["train_rows", "val_rows", "test_rows"])
def test_options_out_of_range(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        MultiMNIST(**{option: 0})


def test_a_pickled_task_looks_for_its_files_where_it_wakes_up(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pickle.dumps(MultiMNIST(**SMALL))
    monkeypatch.setenv("GATELAB_DATA", str(here.rename(tmp_path / "elsewhere")))
    assert pickle.loads(packed).split("val").inputs.shape == (20, 36, 36)


@pytest.mark.slow
@pytest.mark.skipif(not (Path(REAL) / "mnist").is_dir(), reason="GATELAB_DATA has no mnist")
@pytest.mark.parametrize("name", PAIRS)
def test_real_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published files, whole: rows, range, the constants of the bottom."""
    monkeypatch.setenv("GATELAB_DATA", REAL)
    task = tasks.get(name)()
    if any(it.missing for it in task.data_sets):
        pytest.skip("GATELAB_DATA lacks a file")
    assert task.warnings() == () and task.test_to_train() == 0.2
    sizes = [len(task.data(split).inputs) for split in ("train", "val", "test")]
    assert sizes == [100_000, 20_000, 20_000]
    pixels = StandardCanvas(task.pixel_mean, task.pixel_std)(task.data("train").inputs[:5000])
    assert task.data("train").inputs[:5000].max() == 510
    assert pixels.mean().item() == pytest.approx(0, abs=0.02)
    assert pixels.std().item() == pytest.approx(1, abs=0.02)
