"""The bottom of a table: numbers as they are, beside embeddings of ids."""

from __future__ import annotations

import pytest
import torch

from gatelab.tasks.tables.network import Embedded, embedding_width


@pytest.mark.parametrize(("ids", "width"), [(1, 2), (2, 2), (3, 3), (10, 6), (100, 21), (999, 32)])
def test_widths_by_hand(ids: int, width: int) -> None:
    """1.6 * 10**0.56 is 5.81; 1.6 * 100**0.56 is 21.09."""
    assert embedding_width(ids) == width


def test_numbers_stand_beside_what_stands_for_ids() -> None:
    bottom = Embedded(2, [3, 1])
    inputs = torch.tensor([[0.5, -1, 2, 0], [7, 8, 0, 0]])
    found = bottom(inputs)
    assert found.shape == (2, bottom.out_features) == (2, 2 + 3 + 2)
    first, second = (embedding.weight for embedding in bottom.embeddings)
    assert found[:, :2].equal(inputs[:, :2])
    assert found[0, 2:5].equal(first[2]) and found[0, 5:].equal(second[0])


def test_an_unknown_value_says_nothing_before_it_is_trained() -> None:
    bottom = Embedded(0, [4])
    assert bottom(torch.tensor([[0.0]])).tolist() == [[0, 0, 0, 0][: embedding_width(4)]]
    bottom(torch.tensor([[0.0]])).sum().backward()
    assert bottom.embeddings[0].weight.grad[0].any(), "but it is trained by those that are rare"


def test_ids_are_exact_as_far_as_float32_counts() -> None:
    ids = torch.tensor([[2**24 - 1.0]])
    assert int(ids.long()) == 2**24 - 1 and float(torch.tensor(2.0**24 + 1)) == 2**24
