"""A sweep that goes on from a finished one: it ends as one that was launched with all of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatelab.results.comparing import compare
from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import FOLDER, Tags
from gatelab.tracking.sqlite import default_uri
from tests.in_process import gatelab
from tests.launched import read

SPEC = """
name: NAME
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates: {top_k: {k: [1, 2]}, softmax: null, relu: null, constant: null}
baselines: false
optimizer: {learning_rate: {low: 1e-3, high: 1e-1, log: true}}
training: {max_epochs: 4, batch_size: 32}
search: {trials: TRIALS, rounds: ROUNDS, early_stopping: {grace_epochs: 2}}
evaluation: {seeds: SEEDS}
"""


def write(place: Path, name: str, trials: int, rounds: int, seeds: int, more: str = "") -> None:
    text = SPEC.replace("NAME", name).replace("TRIALS", str(trials))
    text = text.replace("ROUNDS", f"{rounds}{more}").replace("SEEDS", str(seeds))
    (place / f"{name}.yaml").write_text(text)


@pytest.fixture(scope="module")
def finished(
    put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A place with a finished sweep of 4 trials and 2 seeds, and one of 8 trials and 3 seeds."""
    place = tmp_path_factory.mktemp("finished")
    put_store(place / FOLDER)
    write(place, "few", 4, 1, 2)
    write(place, "many", 8, 2, 3)
    gatelab(place, "launch", "few.yaml")
    gatelab(place, "launch", "many.yaml")
    yield place


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "place"))


def told(record: SweepRecord) -> dict[tuple[str, ...], Any]:
    """Return of every run of a sweep what it is and came to, without times and code."""
    found = {}
    for run in record.runs:
        named = ("trial", "seed", "repeat", "split_seed", "end", "end.epoch", "search.reasons")
        tags = {name: run.tags[name] for name in named if name in run.tags}
        metrics = {key: value for key, value in run.metrics.items() if "time/" not in key}
        params = run.params if run.stage != "sweep" else {}
        key = (run.stage, run.gate, run.name if run.stage != "sweep" else "")
        found[key] = (run.status, run.end_reason, tags, params, metrics)
    return found


def files(place: Path, name: str) -> dict[str, str]:
    """Return the content of everything that a sweep has on this disk."""
    folder = place / FOLDER
    spool = [folder / "spool" / f"{name}.{kind}" for kind in ("jsonl", "position")]
    found = [path for path in (folder / "sweeps" / name).rglob("*") if path.is_file()]
    return {
        f"{path.relative_to(folder)} {path.stat().st_mtime_ns}": hashlib.md5(
            path.read_bytes()
        ).hexdigest()
        for path in [*found, *spool]
    }


def runs(place: Path, name: str) -> list[str]:
    """Return all that MLflow has of a sweep's runs."""
    client = open_client(default_uri(place / FOLDER))
    ids = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(ids, f"tags.sweep = '{name}'", max_results=1000)
    texts = []
    for run in found:
        histories = [
            [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, k)]
            for k in sorted(run.data.metrics)
        ]
        texts.append(json.dumps([run.to_dictionary(), histories], default=str))
    return sorted(texts)


@pytest.mark.slow
def test_it_ends_as_a_sweep_that_was_launched_with_all_of_it(place: Path) -> None:
    before = files(place, "few"), runs(place, "few")
    said = gatelab(place, "resume", "few", "search.trials=8", "evaluation.seeds=3")
    assert said.startswith(
        "few-2 goes on from few, which stays as it is: 4 trials of every gate are taken over, "
        "4 more are searched; then 3 seeds of the best are evaluated.\nfew-2: under way, in "
    )
    assert (files(place, "few"), runs(place, "few")) == before
    ended, whole = read(place, "few-2"), read(place, "many")
    assert told(ended) == told(whole)
    assert any(run.end == "pruned" for run in ended.of("search"))
    frames = [compare(name, folder=place / FOLDER).to_frame() for name in ("few-2", "many")]
    timeless = [frame[~frame["metric"].str.startswith("time/")] for frame in frames]
    assert timeless[0].equals(timeless[1])
    taken = [run for run in ended.of("search") if Tags.TAKEN_OVER_FROM in run.tags]
    assert {run.tags[Tags.TRIAL] for run in taken} == {"0", "1", "2", "3"} and len(taken) == 12
    assert {run.tags[Tags.TAKEN_OVER_FROM] for run in taken} == {"few"}
    assert ended.before == ("few",)


def trained_before(place: Path, name: str, stage: str) -> dict[tuple[str, str], str]:
    """Return where the runs of a stage were trained that were not trained in the sweep itself."""
    return {
        (run.name, run.tags[Tags.SEED]): run.tags[Tags.TAKEN_OVER_FROM]
        for run in read(place, name).of(stage)
        if Tags.TAKEN_OVER_FROM in run.tags
    }


def close(one: Any, other: Any) -> bool:
    """Return whether what two sweeps hold is the same, numbers up to single precision's rounding.

    How many models train together decides the last bits of a product.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(
        one == pytest.approx(other, rel=1e-4, abs=1e-6) if isinstance(one, float) else one == other
    )


@pytest.mark.slow
def test_with_more_seeds_alone_what_was_evaluated_is_not_trained_again(place: Path) -> None:
    write(place, "seeds", 4, 1, 3)
    gatelab(place, "launch", "seeds.yaml")
    before = files(place, "few"), runs(place, "few")
    said = gatelab(place, "resume", "few", "evaluation.seeds=3")
    assert "taken over, and all that is evaluated; then 3 seeds of the best are evaluated" in said
    assert (files(place, "few"), runs(place, "few")) == before
    assert (
        said.count("evaluating 1 seed\n") == 5
        and "trial" not in said.partition("\n")[2].partition("few-2:")[0]
    )
    ended, whole = told(read(place, "few-2")), told(read(place, "seeds"))
    assert ended.keys() == whole.keys()
    assert {key for key in ended if not close(ended[key], whole[key])} == set()
    taken = trained_before(place, "few-2", "evaluate")
    assert len(taken) == 5 * 2 and {*taken.values()} == {"few"}
