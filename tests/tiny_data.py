"""Tiny files in the very formats of published data sets, made for tests."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np


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
