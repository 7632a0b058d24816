"""Provenance: data have a fingerprint of their own, and the test split is left alone."""

from __future__ import annotations

import re

import pytest

from gatelab.sweeps.cluster.provenance import commit, fingerprint, machine, provenance
from gatelab.tasks import SyntheticGroups
from gatelab.tasks.task import Split, SplitName

SMALL = {"num_targets": 2, "train_rows": 32, "val_rows": 16, "test_rows": 16}


def test_the_fingerprint_follows_from_the_data() -> None:
    first, again = SyntheticGroups(**SMALL), SyntheticGroups(**SMALL)
    assert fingerprint(first) == fingerprint(again)
    assert fingerprint(first) != fingerprint(SyntheticGroups(**SMALL, seed=1))


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
