"""Provenance: data have a fingerprint of their own, and the test split is left alone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gatelab.sweeps.cluster.provenance import commit, fingerprint, machine, provenance
from gatelab.tasks import SyntheticGroups, Table
from gatelab.tasks.task import Split, SplitName

SMALL = {"num_targets": 2, "train_rows": 32, "val_rows": 16, "test_rows": 16}


def test_the_fingerprint_follows_from_the_data() -> None:
    first, again = SyntheticGroups(**SMALL), SyntheticGroups(**SMALL)
    assert fingerprint(first) == fingerprint(again)
    assert fingerprint(first) != fingerprint(SyntheticGroups(**SMALL, seed=1))


@pytest.mark.parametrize(
    "changed",
    [
        {"x": np.arange(90) % 7 + 8},
        {"c": ["p", "q"] * 45},
        {"r": np.arange(90) % 5 * 2.0},
        {"y": ["yes", "no"] * 45},
    ],
    ids=lambda it: next(iter(it)),
)
def test_a_table_in_another_unit_is_another(changed: dict[str, Any]) -> None:
    """Though its rows are the same once they are standardised and counted."""

    def made(**columns: Any) -> Table:
        held = {"x": np.arange(90) % 7, "c": ["a", "b"] * 45, "r": np.arange(90) % 5 * 1.0}
        frame = pd.DataFrame({**held, "y": ["1", "0"] * 45, **columns})
        return Table(frame, targets={"y": "binary", "r": "regression"})

    one, other = made(), made(**changed)
    for split in ("train", "val"):
        tensors = [(task.split(split).inputs, task.split(split).targets) for task in (one, other)]
        assert all(map(torch.equal, *tensors))
    assert fingerprint(made()) == fingerprint(one) != fingerprint(other)


def test_the_test_split_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Watched(SyntheticGroups):
        """Notes which splits it is asked for."""

        def split(self, name: SplitName) -> Split:
            asked.append(name)
            return super().split(name)

    fingerprint(Watched(**SMALL))
    assert asked == ["train", "val"]


def test_what_is_recorded() -> None:
    found = provenance(SyntheticGroups(**SMALL))
    assert {"version.torch", "version.ray", "machine.cpus", "machine.system", "data"} <= set(found)
    assert all(isinstance(value, str) for value in {**found, **machine()}.values())


def test_outside_a_repository_there_is_no_commit(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert re.fullmatch("[0-9a-f]{40}", commit().get("git.commit", "0" * 40))
    monkeypatch.chdir(str(tmp_path))
    assert commit() == {}
