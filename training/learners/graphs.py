"""Graphs of agents: who hears whom, as doubly stochastic matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from gatelab.registry import near_misses
from gatelab.rules import shown

Edges = Iterable[tuple[int, int]]
SHORT = 1e-6
"""By so much may each number of a given matrix be off: six digits are often all that is written."""
SCALINGS = 20
"""Of rows and columns in turn, after which sums that are so near to 1 are it."""


def _complete(count: int) -> Edges:
    return ((i, j) for i in range(count) for j in range(count))


def _ring(count: int) -> Edges:
    return ((i, (i + 1) % count) for i in range(count))


def _torus(count: int) -> Edges:
    """Return a grid as near to a square as the number allows, closed in both directions."""
    wide = next(n for n in range(math.isqrt(count), 0, -1) if count % n == 0)
    for i in range(count):
        row, column = divmod(i, wide)
        yield i, row * wide + (column + 1) % wide
        yield i, (i + wide) % count


def _none(count: int) -> Edges:
    return ()


GRAPHS: dict[str, Callable[[int], Edges]] = {
    "complete": _complete,
    "ring": _ring,
    "torus": _torus,
    "none": _none,
}


def mixing_matrix(graph: str, count: int) -> Tensor:
    """Return how agents average, ``(count, count)`` float64, doubly stochastic.

    Metropolis weights (Xiao and Boyd, Fast linear iterations for distributed averaging, Systems &
    Control Letters 2004): W_ij = 1 / (1 + max(d_i, d_j)) between neighbours of so many neighbours,
    and the rest of a row on its diagonal. So a complete graph averages, and none is the identity.

    Args:
        graph: One of :data:`GRAPHS`, or the matrix itself: rows parted by ``;``, numbers by spaces.
        count: Of the agents.

    Raises:
        ValueError: If there is no such graph, or the matrix does not fit or is not doubly
            stochastic.
    """
    if graph not in GRAPHS:
        return _given(graph, count)
    near = torch.zeros(count, count, dtype=torch.bool)
    for i, j in GRAPHS[graph](count):
        near[i, j] = near[j, i] = i != j
    degrees = near.sum(1)
    weights = near / (1 + torch.maximum(degrees[:, None], degrees)).double()
    return weights + torch.diag(1 - weights.sum(1))


def _given(text: str, count: int) -> Tensor:
    rows = [[_weight(n, text) for n in row.replace(",", " ").split()] for row in text.split(";")]
    if len(rows) != count or any(len(row) != count for row in rows):
        sizes = f"{len(rows)} rows of {' or '.join(map(str, sorted({len(row) for row in rows})))}"
        raise ValueError(
            f"a matrix must have a row and a column for each of {count} targets, but got {sizes}."
        )
    matrix = torch.tensor(rows, dtype=torch.float64)
    if not bool((matrix >= 0).all()):
        raise ValueError(f"a matrix must be without negative numbers, but got {shown(text)}.")
    for what, sums in (("row", matrix.sum(1)), ("column", matrix.sum(0))):
        worst = int((sums - 1).abs().argmax())
        if not abs(float(sums[worst]) - 1) <= count * SHORT:
            raise ValueError(
                f"a matrix must be doubly stochastic, with sums of 1 to within {count * SHORT:g}, "
                f"but {what} {worst + 1} adds up to {float(sums[worst]):.8g}."
            )
    return _balanced(matrix)


def _weight(number: str, text: str) -> float:
    """Return a number of a matrix, whose rows are parted by what is in no graph's name."""
    try:
        return float(number)
    except ValueError:
        if ";" in text:
            raise ValueError(f"a matrix must have numbers, but got {shown(number)}.") from None
        raise ValueError(f"unknown graph {shown(text)}; {near_misses(text, GRAPHS)}") from None


def _balanced(matrix: Tensor) -> Tensor:
    """Return a matrix scaled until rows and columns add up to 1, else weights shrink or grow.

    Source: Sinkhorn and Knopp, Concerning nonnegative matrices and doubly stochastic matrices,
    Pacific Journal of Mathematics 21, 1967.
    """
    for _ in range(SCALINGS):
        matrix = matrix / matrix.sum(1, keepdim=True)
        matrix = matrix / matrix.sum(0)
    return matrix


def second_singular_value(matrix: Tensor) -> float:
    """Return by what the distance to the mean shrinks in a round, at least; 0 of one agent."""
    return float(torch.linalg.svdvals(matrix - 1 / len(matrix)).max())


def is_connected(matrix: Tensor) -> bool:
    """Return whether each agent hears of every other at last."""
    near = (matrix > 0).double() + torch.eye(len(matrix), dtype=matrix.dtype)
    reached = torch.linalg.matrix_power(near / len(matrix), max(1, len(matrix) - 1))
    return bool((reached > 0).all())
