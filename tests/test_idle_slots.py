"""Slots that a sweep leaves idle are told where its spec could use them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.sweeps.cluster import slots
from gatelab.sweeps.cluster.idle_slots import idle_slots, told_idle_slots
from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.tasks import SyntheticGroups
from tests.in_process import in_this_process, modules_of

SPEC = {
    "name": "wide",
    "task": {"name": "synthetic_groups", "train_rows": 64, "val_rows": 32, "test_rows": 32},
    "gates": ["softmax", "top_k", "constant"],
    "baselines": False,
    "search": {"trials": 20},
}


def told(lines: Sequence[str]) -> list[int]:
    """Return jobs now, members, slots, members instead, jobs then; nothing if nothing is told."""
    return [int(number) for line in lines for number in re.findall(r"\d+", line)]


@pytest.mark.parametrize(
    ("sizes", "seeds", "members", "slots", "expected"),
    [
        ([10], 1, 4, 16, [3, 4, 16, 1, 10]),
        ([10], 1, 4, 9, [3, 4, 9, 1, 10]),
        ([10, 10, 10], 1, 4, 15, [9, 4, 15, 2, 15]),
        ([10, 10, 10], 1, 4, 32, [9, 4, 32, 1, 30]),
        ([10, 10, 10], 1, 4, 12, []),
        ([10, 10, 10], 1, 4, 13, [9, 4, 13, 2, 15]),
        ([10], 1, 4, 2, []),
        ([10], 2, 4, 16, [5, 4, 16, 3, 10]),
        ([10], 4, 4, 64, []),
        ([3], 1, 1, 64, []),
        ([0, 0], 1, 4, 64, []),
    ],
)
def test_as_few_train_together_as_fill_the_slots(
    sizes: list[int], seeds: int, members: int, slots: int, expected: list[int]
) -> None:
    assert told(idle_slots(sizes, seeds, members, slots)) == expected


def test_a_launch_asks_how_many_slots_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "slots", lambda cpus, gpus: int(32 / cpus))
    spec, task = parse_spec(SPEC), SyntheticGroups(train_rows=64, val_rows=32, test_rows=32)
    rounds_of_ten = told_idle_slots(spec, task, Needs(2.0, 0.0, 4))
    assert told(rounds_of_ten) == [6, 4, 16, 1, 20], "of the third nothing is searched"
    several = parse_spec({**SPEC, "search": {"trials": 20, "repeats": 3}})
    assert not told_idle_slots(several, task, Needs(2.0, 0.0, 4)), "three searches at once"
    said = parse_spec({**SPEC, "resources": {"members": 4}})
    assert not told_idle_slots(said, task, Needs(2.0, 0.0, 4))
    assert not told_idle_slots(spec, task, Needs(2.0, 0.5, 4))


def test_it_is_said_before_a_sweep_begins(tmp_path: Path) -> None:
    (tmp_path / "wide.yaml").write_text(yaml.safe_dump({**SPEC, "gates": ["softmax"]}))
    with modules_of(tmp_path), in_this_process(most=0), pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "slots", lambda cpus, gpus: 16)
        lines = CliRunner().invoke(main, ["launch", "wide.yaml"]).output.splitlines()
    begun = next(at for at, line in enumerate(lines) if "under way" in line)
    assert told(lines[begun - 1 : begun]) == [3, 4, 16, 1, 10]
