"""Random networks whose outputs are uncorrelated: the teachers that make planted targets."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gatelab.tasks.streams import stream

Array = npt.NDArray[np.float64]

REFERENCE_ROWS = 8192
"""The sample on which the teachers are made orthogonal."""
SPARE_UNITS = 32
"""A teacher's hidden units beyond those that orthogonality takes up."""


class Teacher(NamedTuple):
    """One hidden layer of tanh units, and outputs of mean 0 and deviation 1."""

    inner: Array
    """``(in_features, hidden)``"""
    bias: Array
    """``(hidden,)``"""
    outer: Array
    """``(hidden, outputs)``"""
    offset: Array
    """``(outputs,)``"""

    def __call__(self, x: Array) -> Array:
        """Turn inputs ``(rows, in_features)`` into outputs ``(rows, outputs)``."""
        return np.tanh(x @ self.inner + self.bias) @ self.outer - self.offset


class PlantedGroups(NamedTuple):
    """What targets of groups are made from."""

    teachers: list[Teacher]
    weights: list[Array]
    """Of each target those of its teachers, ``(experts_per_group, outputs)``."""
    directions: Array
    """Orthonormal, of whose sides regimes are made, ``(directions, in_features)``."""


@lru_cache(maxsize=8)  # tasks that differ in their rows alone, as by split seeds, have one world
def planted_groups(
    seed: int,
    sizes: tuple[int, ...],
    experts_per_group: int,
    in_features: int,
    correlation: float,
    regimes: int,
) -> PlantedGroups:
    """Return what targets of groups of such sizes are made from; nobody may write into it.

    Args:
        seed: Of all that is drawn.
        sizes: How many targets each group has.
        experts_per_group: Teachers of a group.
        in_features: Of the inputs.
        correlation: Of targets of one group, in [0, 1].
        regimes: A power of two.
    """
    common = stream("common", seed)
    outputs = -(-(1 + max(sizes)) // experts_per_group)  # room for u and every v
    num_experts = len(sizes) * experts_per_group
    teachers = uncorrelated_teachers(common, num_experts, in_features, outputs)
    weights: list[Array] = []
    for size in sizes:
        weights.extend(mixings(common, (experts_per_group, outputs), size, correlation))
    # Last, so that how many regimes there are changes nothing of the teachers.
    drawn = common.standard_normal((in_features, regimes.bit_length() - 1))
    return PlantedGroups(teachers, weights, orthonormal(drawn).T)


def uncorrelated_teachers(
    drawn: np.random.Generator, num_experts: int, in_features: int, outputs: int
) -> list[Teacher]:
    """Make teachers one by one, each with outer weights that avoid all earlier outputs.

    So each stays a network of its own; to whiten all outputs together would mix the experts.
    """
    x = drawn.standard_normal((REFERENCE_ROWS, in_features))
    hidden = num_experts * outputs + SPARE_UNITS
    teachers: list[Teacher] = []
    earlier = np.empty((len(x), 0))
    for _ in range(num_experts):
        inner = drawn.standard_normal((in_features, hidden)) / np.sqrt(in_features)
        bias = 0.5 * drawn.standard_normal(hidden)
        units = np.tanh(x @ inner + bias)
        covariance = (units - units.mean(0)).T @ earlier / len(x)
        avoided = np.linalg.qr(covariance)[0]
        outer = drawn.standard_normal((hidden, outputs))
        outer -= avoided @ (avoided.T @ outer)
        outer = _whiten(units, outer)
        teachers.append(Teacher(inner, bias, outer, (units @ outer).mean(0)))
        earlier = np.hstack([earlier, teachers[-1](x)])
    return teachers


def _whiten(units: Array, outer: Array) -> Array:
    """Return outer weights that span the same outputs with the identity as their covariance."""
    covariance = np.atleast_2d(np.cov(units @ outer, rowvar=False, bias=True))
    return np.linalg.solve(np.linalg.cholesky(covariance), outer.T).T


def mixings(
    drawn: np.random.Generator, shape: tuple[int, int], size: int, correlation: float
) -> list[Array]:
    """Draw the weights of one group's targets, each of ``shape`` and of length 1."""
    common = drawn.standard_normal(shape)
    common /= np.linalg.norm(common, axis=1, keepdims=True)
    directions = np.column_stack([common.ravel(), drawn.standard_normal((common.size, size))])
    basis = orthonormal(directions)
    own = np.sqrt(1 - correlation) * basis[:, 1:]
    return [column.reshape(shape) for column in (np.sqrt(correlation) * basis[:, :1] + own).T]


def orthonormal(columns: Array) -> Array:
    """Return orthonormal columns that span the same as ``(rows, columns)``, one after the other."""
    basis, triangle = np.linalg.qr(columns)
    # Which sign comes out is up to the LAPACK at hand.
    signed: Array = basis * np.sign(triangle.diagonal())
    return signed
