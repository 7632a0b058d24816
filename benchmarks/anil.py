"""Inner steps beside what theory says of them, and what they are worth for new targets.

``python -m benchmarks anil [WORLDS]`` prints two tables of a small study in double precision, each
figure a median over so many worlds with the least and the most, and one of few-shot losses. The
steps are those of the learner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch
from torch import Tensor
from torch.func import grad, jacrev

from benchmarks.few_shots import few_shots
from gatelab.training.learners.adapting import adapted
from gatelab.training.member_loss import Minimised
from gatelab.training.members import Tensors

WORLDS, ROWS, INPUTS, FEATURES, HIDDEN = 5, 40, 8, 5, 8
RIDGE, PLACES = 0.1, 10
"""Of what is adapted, and in so many places smoothness is looked for."""
STEPS = (1, 3, 5, 10, 20)
Loss = Callable[[Tensors], Tensor]


def main(worlds: int = WORLDS) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        made = [World(seed) for seed in range(worlds)]
        distances(made)
        smoothness(made)
    finally:
        torch.set_default_dtype(before)
    few_shots()


class World:
    """One target: rows to adapt on and others to be scored on, of a random teacher.

    ``phi`` are the weights of tanh features of the inputs. What is adapted, ``w``, is a linear map
    of them, strongly convex in its loss as it has a ridge; or ``v`` and ``w``, one of two layers,
    of which it is in many places.
    """

    def __init__(self, seed: int) -> None:
        """Draw rows and features."""
        draw = torch.Generator().manual_seed(seed)
        randn = partial(torch.randn, generator=draw)
        teacher = randn(INPUTS)
        self.inputs = randn(2 * ROWS, INPUTS)
        self.values = (self.inputs @ teacher / INPUTS**0.5).sin() + 0.1 * randn(2 * ROWS)
        self.phi = randn(FEATURES, INPUTS) / INPUTS**0.5
        self.linear = {"phi": self.phi, "w": randn(FEATURES)}
        self.deep = [
            {"phi": self.phi, "v": randn(HIDDEN, FEATURES), "w": randn(HIDDEN)}
            for _ in range(PLACES)
        ]

    def loss(self, tensors: Tensors, rows: slice, ridge: float) -> Tensor:
        """Return half of the mean squared error on rows, with a ridge on what is adapted."""
        own = [tensor for name, tensor in tensors.items() if name != "phi"]
        features = (self.inputs[rows] @ tensors["phi"].mT).tanh()
        if "v" in tensors:
            features = (features @ tensors["v"].mT).tanh()
        errors = features @ tensors["w"] - self.values[rows]
        penalty = sum(tensor.square().sum() for tensor in own)
        return errors.square().mean() / 2 + ridge / 2 * penalty

    def support(self, tensors: Tensors) -> Minimised:
        """Return the loss that inner steps follow."""
        loss = self.loss(tensors, slice(ROWS), RIDGE)
        return Minimised(loss, loss, {})

    def query(self, tensors: Tensors) -> Tensor:
        """Return the loss that is minimised after them."""
        return self.loss(tensors, slice(ROWS, None), 0.0)

    def after(self, tensors: Tensors, steps: int, rate: float) -> Tensor:
        """Return the loss after so many inner steps of a rate."""
        own = [name for name in tensors if name != "phi"]
        return self.query(adapted([self.support] * steps, tensors, own, torch.tensor(rate)))

    def curvature(self) -> Tensor:
        """Return the Hessian of the inner loss in a linear head, which is everywhere the same."""
        features = (self.inputs[:ROWS] @ self.phi.mT).tanh()
        return features.mT @ features / ROWS + RIDGE * torch.eye(FEATURES)

    def limit(self) -> Tensor:
        """Return the gradient in ``phi`` after infinitely many steps of a linear head.

        By the implicit function theorem: grad_phi L_D - d/dphi(grad_w L_S . u) at the inner loss's
        least, where u solves H u = grad_w L_D.
        """
        features = (self.inputs[:ROWS] @ self.phi.mT).tanh()
        least = torch.linalg.solve(self.curvature(), features.mT @ self.values[:ROWS] / ROWS)
        slopes = grad(self.query)({"phi": self.phi, "w": least})
        u = torch.linalg.solve(self.curvature(), slopes["w"])

        def along(phi: Tensor) -> Tensor:
            found = grad(lambda w: self.support({"phi": phi, "w": w}).objective)(least)
            return (found * u).sum()

        result: Tensor = slopes["phi"] - grad(along)(self.phi)
        return result


def told(values: Sequence[float]) -> str:
    """Return a median, with the least and the most."""
    return f"{median(values):.3g} ({min(values):.2g} to {max(values):.2g})"


def distances(worlds: Sequence[World]) -> None:
    """Print by what the meta-gradient nears its limit a step, and how the start's fades."""
    print(
        "| | predicted | N = 5 to 10 | 10 to 20 | 20 to 40 |\n| --- | ---: | ---: | ---: | ---: |"
    )
    factors, of_phi, of_start = [], [], []
    for world in worlds:
        values = torch.linalg.eigvalsh(world.curvature())
        rate = float(1 / values[-1])
        factors.append(1 - rate * float(values[0]))
        start, limit = world.linear, world.limit()
        slopes = [grad(world.after)(start, steps, rate) for steps in (5, 10, 20, 40)]
        of_phi.append([float((each["phi"] - limit).norm()) for each in slopes])
        of_start.append([float(each["w"].norm()) for each in slopes])
    for what, found in (("distance to the limit in phi", of_phi), ("gradient in w_0", of_start)):
        falls = zip(*(_falls(each) for each in found), strict=True)
        print(f"| {what} | {told(factors)} | {' | '.join(map(told, falls))} |", flush=True)


def _falls(lengths: Sequence[float]) -> list[float]:
    """Return by what lengths fall a step, between 5, 10, 20 and 40 of them."""
    pairs = zip(lengths, lengths[1:], (5, 10, 20), strict=False)
    return [(after / before) ** (1 / steps) for before, after, steps in pairs]


def smoothness(worlds: Sequence[World]) -> None:
    """Print the largest curvature in the start of the loss after N inner steps."""
    print(f"\n| inner loss, rate | {' | '.join(f'N = {steps}' for steps in STEPS)} |")
    print(f"| --- |{' ---: |' * len(STEPS)}")
    for what, found in (
        ("strongly convex, 1 / L", lambda w, n: _curved(w, n, 1 / float(_most(w.curvature())))),
        ("the same, predicted", _predicted),
        ("two layers, 1", lambda w, n: _curved(w, n, 1.0, deep=True)),
        ("two layers, 0.5 / N", lambda w, n: _curved(w, n, 0.5 / n, deep=True)),
    ):
        columns = (told([found(world, steps) for world in worlds]) for steps in STEPS)
        print(f"| {what} | {' | '.join(columns)} |", flush=True)


def _predicted(world: World, steps: int) -> float:
    """Return the norm of (I - H / L)^N H_D (I - H / L)^N: of a linear head it is exact."""
    features = (world.inputs[ROWS:] @ world.phi.mT).tanh()
    inner = world.curvature()
    path = torch.linalg.matrix_power(torch.eye(FEATURES) - inner / _most(inner), steps)
    return float(_most(path @ (features.mT @ features / ROWS) @ path))


def _curved(world: World, steps: int, rate: float, *, deep: bool = False) -> float:
    """Return the largest curvature in some places, of which a linear head needs one."""
    starts = world.deep if deep else [world.linear]
    return max(_curvature(partial(world.after, steps=steps, rate=rate), it) for it in starts)


def _curvature(loss: Loss, start: Tensors) -> float:
    """Return the largest curvature of a loss in where inner steps begin."""
    shapes = {name: tensor.shape for name, tensor in start.items() if name != "phi"}

    def of_flat(flat: Tensor) -> Tensor:
        parts = flat.split([shape.numel() for shape in shapes.values()])
        own = {n: part.view(shapes[n]) for n, part in zip(shapes, parts, strict=True)}
        return loss({**start, **own})

    flat = torch.cat([start[name].flatten() for name in shapes])
    return float(_most(jacrev(grad(of_flat))(flat)))


def _most(matrix: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(matrix, 2)
