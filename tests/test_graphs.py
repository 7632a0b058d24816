"""Matrices by which agents average: by hand, and what a given one must be."""

from __future__ import annotations

import math

import pytest
import torch

from gatelab.training.learners.graphs import (
    GRAPHS,
    is_connected,
    mixing_matrix,
    second_singular_value,
)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 9, 16])
def test_each_is_symmetric_and_doubly_stochastic(graph: str, count: int) -> None:
    found = mixing_matrix(graph, count)
    assert found.dtype == torch.float64
    assert torch.equal(found, found.mT) and bool((found >= 0).all())
    assert found.sum(0).tolist() == pytest.approx([1.0] * count, abs=1e-15)
    assert is_connected(found) is (graph != "none" or count == 1)


def test_by_hand() -> None:
    third = 1 / 3
    assert mixing_matrix("complete", 4).tolist() == [[0.25] * 4] * 4
    assert mixing_matrix("none", 2).tolist() == [[1, 0], [0, 1]]
    assert mixing_matrix("ring", 2).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert mixing_matrix("ring", 4)[1].tolist() == pytest.approx([third, third, third, 0])


def test_a_torus_is_a_grid_closed_in_both_directions() -> None:
    """Of nine each has four neighbours: its row's other two and its column's."""
    found = mixing_matrix("torus", 9)
    assert [n for n, weight in enumerate(found[4]) if weight] == [1, 3, 4, 5, 7]
    assert [n for n, weight in enumerate(found[0]) if weight] == [0, 1, 2, 3, 6]
    assert found[0].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.2, 0, 0, 0.2, 0, 0])
    assert torch.equal(mixing_matrix("torus", 7), mixing_matrix("ring", 7)), "a prime has no grid"


def test_what_a_ring_leaves_of_a_difference() -> None:
    """(1 + 2 cos(2 pi / n)) / 3: a third of 4, 0.949 of 16; nothing of a complete graph."""
    for count in (4, 16):
        expected = (1 + 2 * math.cos(2 * math.pi / count)) / 3
        assert second_singular_value(mixing_matrix("ring", count)) == pytest.approx(expected)
    assert second_singular_value(mixing_matrix("complete", 5)) == pytest.approx(0, abs=1e-12)
    assert second_singular_value(mixing_matrix("none", 5)) == pytest.approx(1)


def test_a_given_one_is_taken_as_it_is() -> None:
    assert mixing_matrix("0.75 0.25; .25, .75", 2).tolist() == [[0.75, 0.25], [0.25, 0.75]]
    way = mixing_matrix("0 1 0; 0 0 1; 1 0 0", 3)
    assert is_connected(way) and second_singular_value(way) == pytest.approx(1)


@pytest.mark.parametrize("third", ["0.333333", "0.333334"])
def test_numbers_of_six_digits_are_meant_exactly(third: str) -> None:
    """Rows that add up to 0.999999 would let weights shrink by as much in every step."""
    found = mixing_matrix("; ".join([" ".join([third] * 3)] * 3), 3)
    assert found.flatten().tolist() == pytest.approx([1 / 3] * 9, abs=1e-15)
    uneven = mixing_matrix("0.666667 0.333333 0; 0 .666667 .333333; .333333 0 .666667", 3)
    assert uneven.sum(0).tolist() == uneven.sum(1).tolist() == pytest.approx([1.0] * 3, abs=1e-15)
    short = mixing_matrix("0.666666 0.333333 0; 0.333334 0.666665 0; 0 0 0.999999", 3)
    assert short.sum(1).tolist() == pytest.approx([1.0] * 3, abs=1e-11)
    assert short.sum(0).tolist() == pytest.approx([1.0] * 3, abs=1e-11)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rign", "unknown graph 'rign'; did you mean 'ring'?"),
        ("0.5 half; 0.5 0.5", "a matrix must have numbers, but got 'half'."),
        ("0.5 0.5", "a row and a column for each of 2 targets, but got 1 rows of 2."),
        ("1 0 0; 0 1 0; 0 0 1", "for each of 2 targets, but got 3 rows of 3."),
        ("1 0; 1", "for each of 2 targets, but got 2 rows of 1 or 2."),
        ("0.5 0.5; 0.3 0.7", "but column 1 adds up to 0.8."),
        (
            "0.5 0.3; 0.5 0.6",
            "must be doubly stochastic, with sums of 1 to within 2e-06, but row 1 adds up to 0.8.",
        ),
        ("0.5 0.499997; 0.499997 0.5", "but row 1 adds up to 0.999997."),
        ("1.5 -0.5; -0.5 1.5", "must be without negative numbers, but got '1.5 -0.5; -0.5 1.5'."),
        ("nan 1; 1 nan", "must be without negative numbers"),
    ],
)
def test_what_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        mixing_matrix(text, 2)
    assert message in str(caught.value)
