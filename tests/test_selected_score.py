"""The recorded score of an exported model: of its own seed, on the split that it was made of."""

from __future__ import annotations

from itertools import permutations

from gatelab.sweeps.export.selected import run_of
from gatelab.tracking.runs import RunRecord, SweepRecord


def run(number: int, seed: str, split: str, loss: float) -> RunRecord:
    tags = {"stage": "evaluate", "gate": "a", "end": "finished", "seed": seed, "split_seed": split}
    name = f"a-seed-{number:03}"
    return RunRecord(str(number), name, "FINISHED", {}, {"test/loss": loss}, tags)


def test_it_is_of_the_first_split_in_whatever_order_runs_are_read() -> None:
    first, second = run(1, "7", "40", 0.5), run(1001, "7", "41", 0.1)
    other = run(0, "6", "40", 0.3)
    for runs in permutations((first, second, other)):
        record = SweepRecord("s", runs)
        losses = [run_of(record, "a", seed).metrics["test/loss"] for seed in (7, 6)]
        assert losses == [0.5, 0.3]
