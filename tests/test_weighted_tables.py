"""A weighted table from `gatelab new sweep` over overrides to the predictions of a new file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from gatelab.sweeps.cli import main
from tests import in_process

pytestmark = pytest.mark.slow
OVERRIDES = (
    "task.targets.sick.class_weight=balanced",
    "task.targets.mean radius.weight=2",
    "gates={softmax: , constant: }",
    "baselines=false",
    "search.trials=1",
    "evaluation.seeds=2",
    "training.max_epochs=2",
    "optimizer.name=sgd",
    "training.precision=bf16",
)


def scans(rows: int) -> pd.DataFrame:
    """Return a table whose six numbers have gaps, and whose rows have weights."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(rows, 6)).round(2)
    numbers[::7] = np.nan
    frame = pd.DataFrame(numbers, columns=[f"x.{at}" for at in range(6)])
    return frame.assign(
        zone=random.choice(["north", "south"], rows),
        sick=random.choice(["no", "yes"], rows),
        w=random.choice([0.5, 1, 2], rows),
    ).assign(**{"mean radius": random.normal(14, 3, rows)})


def said(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, (done.output, done.exception)
    return done


def test_from_a_weighted_table_to_predictions(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    frame = scans(90)
    frame.to_csv("scans.csv", index=False, sep=";", decimal=",")
    targets = ("--target", "sick", "--target", "mean radius")
    said("new", "sweep", "scans.csv", *targets, "--option", "weights=w")
    in_process.gatelab(place, "launch", "scans.yaml", *OVERRIDES)

    new = frame.drop(columns=["w", "sick", "mean radius"]).loc[:, ::-1].head(8)
    new.to_csv("new.csv", index=False, sep=";", decimal=",")
    head, *lines = said("predict", "scans", "new.csv", "--gate", "softmax").stdout.splitlines()
    assert head.startswith("predictions.csv: 8 rows, by gate softmax (seed ")
    told = [f"`x.{at}`: 2 missing." for at in range(3)]
    assert lines == [*told, "so it is with 3 more columns: `x.3`, `x.4`, `x.5`"]
    assert [*pd.read_csv("predictions.csv")] == ["sick=no", "sick=yes", "mean_radius"]
    new.head(1).to_csv("one.csv", index=False, sep=";", decimal=",")
    one = said("predict", "scans", "one.csv", "--gate", "softmax", "--output", "one.parquet")
    assert one.stdout.startswith("one.parquet: 1 row, by gate")

    for words in (["export", "scans"], ["predict", "scans", "new.csv", "--output", "o.csv"]):
        refused = said(*words, "--gate", "constant", code=2).stderr
        assert refused == (
            "gatelab: gate 'constant' of sweep 'scans' has no model: it is not trained. "
            "Name another one by `--gate`: softmax.\n"
        )
    assert not Path("o.csv").exists()
