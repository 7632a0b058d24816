"""Tiny files in the very formats of published data sets, made for tests."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from scipy.io import savemat


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write an array of bytes as an IDX file, packed if its name says so."""
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = head + values.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_images(folder: Path, seed: int, train: int = 60, test: int = 30) -> None:
    """Write images and labels, as MNIST has them; each image is told apart by its first row."""
    drawn = np.random.default_rng(seed)
    for name, count in (("train", train), ("t10k", test)):
        images = drawn.integers(0, 256, (count, 28, 28))
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", np.arange(count) % 10)


def write_ratings(path: Path, users: int, movies: int, ratings: int, sign: str) -> np.ndarray:
    """Write ratings as MovieLens has them; return users, movies and ratings, ``(rows, 3)``."""
    drawn = np.random.default_rng(0)
    keys = np.sort(drawn.choice(users * movies, ratings, replace=False))
    rows = np.stack([keys // movies + 1, 2 * (keys % movies) + 1, drawn.integers(1, 6, ratings)], 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = np.column_stack([rows, np.full(ratings, 978300760)])
    np.savetxt(path, lines, fmt="%d", delimiter=sign)
    return rows


def write_census(path: Path, rows: int, seed: int) -> None:
    """Write people of a census, 42 fields each, as the published files have them."""
    drawn = np.random.default_rng(seed)
    choices = {
        4: ["Bachelors degree(BA AB BS)", "High school graduate", "Children"],
        7: ["Never married", "Divorced", "Widowed"],
        41: ["- 50000.", "50000+."],
    }
    numbers = {0: 90, 5: 2000, 16: 2, 17: 900, 18: 500, 30: 6, 39: 53}
    fields = []
    for field in range(42):
        if field in numbers:
            fields.append([str(it) for it in drawn.integers(0, numbers[field], rows)])
        elif field == 24:
            fields.append([f"{it:.2f}" for it in drawn.uniform(100, 4000, rows)])
        else:
            values = choices.get(field, ["?", "Not in universe", f"Kind {field}"])
            fields.append([str(it) for it in drawn.choice(values, rows)])
    lines = [", ".join(people) for people in zip(*fields, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode("latin-1")))


def write_cells(
    path: Path, names: tuple[str, str], cells: int, features: int, binary: bool
) -> None:
    """Write a MATLAB file of two variables with a cell for each target: inputs and values."""
    drawn = np.random.default_rng(0)
    inputs, values = np.empty((1, cells), object), np.empty((1, cells), object)
    for cell in range(cells):
        rows = 60 + cell
        inputs[0, cell] = drawn.normal(size=(rows, features))
        made = inputs[0, cell][:, :1] + drawn.normal(size=(rows, 1))
        values[0, cell] = (made > 1).astype(np.uint8) if binary else np.round(30 + 5 * made)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {names[0]: inputs, names[1]: values})


def write_sarcos(folder: Path, train: int, test: int) -> None:
    """Write both files of SARCOS, 21 inputs and 7 torques a row."""
    drawn = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("sarcos_inv", train), ("sarcos_inv_test", test)):
        x = drawn.normal(size=(rows, 21))
        made = np.hstack([x, 10 * x[:, :7] + drawn.normal(size=(rows, 7))])
        savemat(folder / f"{name}.mat", {name: made})
