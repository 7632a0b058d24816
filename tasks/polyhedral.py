"""Points inside or outside a polyhedron of planted faces, which gates find by the experts' word."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gatelab.rules import check_counts, check_not_negative
from gatelab.tasks.layers import DefaultPrecision
from gatelab.tasks.streams import rows_by_split, stream
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task, register_task
from gatelab.tasks.teachers import Array, orthonormal


class Polyhedron(NamedTuple):
    """The points that no face has on its outer side: ``normals @ x + offsets >= 0`` for all."""

    normals: Array
    """Of length 1, to the inside, ``(faces, in_features)``."""
    offsets: Array
    """How far each face is from the origin, ``(faces,)``."""

    def depths(self, points: Array) -> Array:
        """Return how far inside of each face points ``(rows, in_features)`` are."""
        found: Array = points @ self.normals.T + self.offsets
        return found


@register_task("polyhedral")
class Polyhedral(Task):
    """Whether a point of the cube [-1, 1]^d lies inside a polyhedron.

    The polyhedron's faces are equally far from the origin. Their normals are orthogonal where
    there are at most as many as inputs; else, in the plane, those of a regular polygon, turned at
    random, and in more dimensions of random directions. A point is inside where its least depth
    below a face is above 0.

    Experts are faces: linear functions of the point, to one number. The gate reads these numbers,
    so that the face that is violated most can decide, and the mixture is the logit. Source: the
    model of Shah, Sastry and Manwani, PLUME: Polyhedral Learning Using Mixture of Experts (arXiv
    1904.09948), which mixes probabilities and has no parameters in its gate.
    """

    targets = (Target("inside", "binary"),)
    draws_anew: ClassVar[bool] = True
    source = "Drawn from a random polyhedron; no file is read."
    licence = "None is needed: nobody else's data are in it."

    def __init__(
        self,
        *,
        faces: int = 5,
        in_features: int = 2,
        distance: float = 0.6,
        train_rows: int = 800,
        val_rows: int = 800,
        test_rows: int = 4000,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        """Set what is planted; points are drawn when a split is asked for.

        Args:
            faces: The number of faces, at least 1.
            in_features: The number of dimensions, at least 1.
            distance: Of every face from the origin, above 0.
            train_rows: The number of points to train on, at least 1; so for the others.
            val_rows: The number of points to validate on.
            test_rows: The number of points to test on.
            seed: Of the faces and the points, at least 0.
            split_seed: Of other points, at least 0.

        Raises:
            ValueError: If an option is outside its range.
        """
        check_counts(faces=faces, in_features=in_features)
        if not 0 < distance < float("inf"):
            raise ValueError(f"`0 < distance < inf` must hold, but got ({distance=}).")
        check_not_negative(seed=seed, split_seed=split_seed)
        self._rows = rows_by_split(train_rows, val_rows, test_rows)
        self.faces, self.in_features, self.distance = faces, in_features, distance
        self.seed, self.split_seed = seed, split_seed

    @cached_property
    def polyhedron(self) -> Polyhedron:
        """What is planted, whatever the split seed."""
        drawn = stream("common", self.seed)
        normals = _normals(drawn, self.faces, self.in_features)
        return Polyhedron(normals, np.full(self.faces, self.distance))

    def split(self, name: SplitName) -> Split:
        """Return points ``(rows, in_features)``, evenly of the cube, and 1 for those inside."""
        own = stream(name, self.seed, self.split_seed)
        points = own.uniform(-1, 1, (self._rows[name], self.in_features))
        inside = self.polyhedron.depths(points).min(1) > 0
        return Split(
            torch.from_numpy(points.astype(np.float32)),
            torch.from_numpy(inside.astype(np.float32))[:, None],
        )

    def network(self) -> Network:
        """Return linear experts of one number, which the gates read; the mixture is the logit."""
        return Network(
            bottom=DefaultPrecision,
            gate_input=nn.Identity,
            gate_features=1,
            gate_reads_experts=True,
            expert=lambda: nn.Linear(self.in_features, 1),
            tower=lambda target: nn.Identity(),
        )


def _normals(drawn: np.random.Generator, faces: int, in_features: int) -> Array:
    """Return directions of length 1, ``(faces, in_features)``."""
    if faces <= in_features:
        return orthonormal(drawn.standard_normal((in_features, faces))).T
    if in_features == 2:
        angles = 2 * np.pi * (drawn.uniform() + np.arange(faces)) / faces
        return np.stack([np.cos(angles), np.sin(angles)], 1)
    found = drawn.standard_normal((faces, in_features))
    normals: Array = found / np.linalg.norm(found, axis=1, keepdims=True)
    return normals


def normal_cosines(
    found: npt.NDArray[np.floating], planted: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Return each planted face's cosine with the normal found for it, ``(faces,)``.

    Faces have no order: they are matched by the Hungarian method, to the largest sum of cosines.
    One for which none is left, as fewer were found, has NaN.

    Args:
        found: ``(experts, in_features)``
        planted: ``(faces, in_features)``
    """
    from scipy.optimize import linear_sum_assignment  # here: SciPy takes a second to import

    units = [it / np.linalg.norm(it, axis=1, keepdims=True).clip(1e-300) for it in (found, planted)]
    cosines = units[1] @ units[0].T
    faces, experts = linear_sum_assignment(cosines, maximize=True)
    matched = np.full(len(planted), np.nan)
    matched[faces] = cosines[faces, experts]
    return matched
