"""What a task's data take: seconds and memory, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from gatelab.tasks import MovieLens1M, MultiMNIST, Table, Task
from gatelab.tasks.data_sets.data_set import DataError

ROWS, NUMBERS, WORDS = 1_000_000, 30, 20
USERS, FILMS, RATINGS = 6040, 3706, 1_000_209


def main() -> None:
    """Print the seconds and the memory of each, beside what was asked for."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        _pairs()
        _write_ratings(folder / "movielens_1m" / "ratings.dat")
        _tell("MovieLens-1M's size, from its file to tensors", _ratings, str(folder), "<= 5 s")
        _write_table(folder / "table.parquet")
        bound = "<= 15 s, 2,048 MiB"
        _tell(f"a table of {ROWS:,} rows x 50, from Parquet to tensors", _table, name, bound)


def _pairs() -> None:
    try:
        MultiMNIST()
    except DataError as error:
        print(f"data: multi_mnist is not measured: {error}")
        return
    _tell("multi_mnist at full size, built", _multi_mnist, "", "<= 10 s")
    _tell("multi_mnist at full size, from its cache", _multi_mnist, "", "<= 1 s, 250 MiB")


def _tell(what: str, make: Callable[[str], Task], argument: str, bound: str) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        seconds, own, most = pool.submit(_measured, make, argument).result()
    memory = f"{own} MiB of its own afterwards, {most} MiB in all at most"
    print(f"data: {what}: {seconds:.2f} s, {memory} (target: {bound})", flush=True)


def _measured(make: Callable[[str], Task], argument: str) -> tuple[float, int, int]:
    """Return the seconds of all splits, the memory of this process alone, and its largest, MiB."""
    started = time.perf_counter()
    task = make(argument)
    splits = [task.data(name) for name in ("train", "val", "test")]
    seconds = time.perf_counter() - started
    own = _mib("smaps_rollup", "Anonymous:")  # what no other process shares and no file backs
    del splits
    return seconds, own, _mib("status", "VmHWM:")  # getrusage would tell its parent's too


def _mib(file: str, name: str) -> int:
    lines = Path("/proc/self", file).read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(name))


def _multi_mnist(_: str) -> Task:
    return MultiMNIST()


def _ratings(folder: str) -> Task:
    os.environ["GATELAB_DATA"] = folder
    return MovieLens1M()


def _table(folder: str) -> Task:
    words = {f"word_{at}": "category" for at in range(WORDS)}
    targets = {"likes": "binary", "sum": "regression"}
    return Table(path=str(Path(folder) / "table.parquet"), targets=targets, kinds=words)


def _write_ratings(path: Path) -> None:
    import pandas as pd  # here: who is measured does not need it

    draw = np.random.default_rng(0)
    keys = np.sort(draw.choice(USERS * FILMS, RATINGS, replace=False))
    rows = pd.DataFrame({"user": keys // FILMS + 1, "film": keys % FILMS + 1})
    rows["rating"], rows["at"] = draw.integers(1, 6, RATINGS), 978300760
    path.parent.mkdir()
    lines = rows.astype(str).agg("::".join, axis=1)
    path.write_text("\n".join(lines) + "\n")


def _write_table(path: Path) -> None:
    import pandas as pd

    draw = np.random.default_rng(0)
    numbers = {f"number_{at}": draw.normal(size=ROWS) for at in range(NUMBERS)}
    numbers["number_0"][::7] = np.nan
    words = {f"word_{at}": draw.integers(0, 50, ROWS).astype(str) for at in range(WORDS)}
    target = {"sum": numbers["number_1"] + numbers["number_2"]}
    likes = {"likes": np.where(numbers["number_1"] > 0, "yes", "no")}
    pd.DataFrame({**numbers, **words, **target, **likes}).to_parquet(path)
