"""Running chains of rows: uniform, correlated as said, the same however they are asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gatelab.training.chains import chained
from gatelab.training.passage import Passage

ROWS = 50
CPU = torch.device("cpu")
SEEDS = torch.arange(1, 401) * 7919


def chain(correlation: float, epochs: int = 3) -> Tensor:
    """Return chains ``(seeds, epochs * rows)``."""
    stays = torch.full((len(SEEDS),), correlation, dtype=torch.float64)
    return torch.cat([chained(SEEDS, epoch, ROWS, stays) for epoch in range(epochs)], dim=1)


@pytest.mark.parametrize("correlation", [0.5, 0.8, 0.95])
def test_its_correlation_is_what_is_asked_for(correlation: float) -> None:
    """Of a number of each row, at a distance of one and of three; also over the end of a pass."""
    values = torch.randn(ROWS, dtype=torch.float64, generator=torch.manual_seed(0))
    values = (values - values.mean()) / values.std(correction=0)
    found = values[chain(correlation)]
    for distance in (1, 3):
        products = found[:, distance:] * found[:, :-distance]
        assert float(products.mean()) == pytest.approx(correlation**distance, abs=0.03)
    ends = found[:, [ROWS - 1, 2 * ROWS - 1]] * found[:, [ROWS, 2 * ROWS]]
    assert float(ends.mean()) == pytest.approx(correlation, abs=0.12)


@pytest.mark.parametrize("correlation", [0.5, 0.95])
def test_each_row_is_as_likely_at_each_place(correlation: float) -> None:
    for place in (0, 1, ROWS, 3 * ROWS - 1):
        counts = torch.bincount(chain(correlation)[:, place], minlength=ROWS)
        expected = len(SEEDS) / ROWS
        assert float((counts - expected).square().sum() / expected) < 90, "chi squared of 49"


def test_a_chain_that_does_not_move_stays_for_passes() -> None:
    """With so small a chance one in 7 has not moved within a pass, or three."""
    found = chain(1 - 1e-9)
    assert torch.equal(found, found[:, :1].expand_as(found))


def test_a_passage_reads_a_chain_where_there_is_a_correlation() -> None:
    alike = [Passage([3, 8], ROWS, 10, 4, CPU, found) for found in ((), (0.0, 0.0), (0.0, 0.9))]
    for passage in alike:
        passage.begin(1)
    plain, none, mixed = (torch.cat([p._order[:1], p._order[1:]]) for p in alike)
    assert torch.equal(plain, none) and torch.equal(plain[0], mixed[0])
    assert len(mixed[1].unique()) < ROWS / 2, "a chain comes to few rows in a pass"
    alone = Passage([8], ROWS, 10, 4, CPU, (0.9,))
    alone.begin(1)
    assert torch.equal(alone._order[0], mixed[1]), "whoever is beside"
