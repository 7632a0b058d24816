"""Passes over rows: what each step takes, by hand."""

from __future__ import annotations

import pytest
import torch

from gatelab.training.passage import Passage
from tests.orders import row_order

CPU = torch.device("cpu")


def steps(found: Passage, epoch: int) -> list[tuple[list[list[int]], float, list[int]]]:
    """Return rows, progress and keys of every step of a pass over 11 rows, of 4 at most."""
    found.begin(epoch)
    taken = []
    for rows in (4, 4, 3):
        step = found.rows(rows).tolist(), float(found.progress()), found.keys().tolist()
        taken.append(step)
        found.advance()
    return taken


def test_every_row_is_taken_once_in_the_members_own_order() -> None:
    found = Passage([3, 8], 11, 4, 5, CPU)
    assert found.steps == 3
    for epoch in (0, 2):
        rows = [step[0] for step in steps(found, epoch)]
        for place, seed in enumerate((3, 8)):
            own = [row for step in rows for row in step[place]]
            assert own == row_order(seed, epoch, 11).tolist()
            assert sorted(own) == list(range(11))


def test_progress_counts_rows() -> None:
    progress = [step[1] for step in steps(Passage([3], 11, 4, 5, CPU), 2)]
    assert torch.allclose(torch.tensor(progress), torch.tensor([2, 2 + 4 / 11, 2 + 8 / 11]) / 5)


def test_every_member_step_and_epoch_has_a_key_of_its_own() -> None:
    found = Passage([3, 8], 11, 4, 5, CPU)
    keys = [key for epoch in range(3) for step in steps(found, epoch) for key in step[2]]
    assert len(set(keys)) == len(keys) == 2 * 3 * 3
    alone = [step[2] for step in steps(Passage([8], 11, 4, 5, CPU), 1)]
    assert alone == [[step[2][1]] for step in steps(found, 1)]


def test_orders_made_in_parts_are_those_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [step[0] for step in steps(Passage([3, 8, 5], 11, 4, 5, CPU), 1)]
    monkeypatch.setattr("gatelab.training.passage.AT_ONCE", 22)
    assert [step[0] for step in steps(Passage([3, 8, 5], 11, 4, 5, CPU), 1)] == expected
