"""A polyhedron's faces: what finds them, from several starts. A part of ``em``."""

from __future__ import annotations

from statistics import median

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from benchmarks.em_regions import spread, train_of, trained
from gatelab.tasks import Polyhedral
from gatelab.tasks.polyhedral import normal_cosines
from gatelab.training.em import likeliest, maximise
from gatelab.training.em_experts import with_one
from gatelab.training.em_faces import Faces

FACE_RIDGE = 0.01


def faces(worlds: int) -> None:
    """Print accuracies over five starts, of the likeliest, and of others, with its cosines."""
    print(
        "\n| inputs, faces, points | sharpness | logistic regression | EM, median start | worst "
        "| likeliest | its least cosine | min-logistic, median start | likeliest "
        "| gradients, softmax gate |"
    )
    print(f"| --- |{' ---: |' * 9}")
    for size, sharpness in (
        *(((2, 5, 800), 1.0), ((2, 3, 2000), 1.0), ((2, 3, 2000), 4.0), ((10, 3, 800), 1.0)),
    ):
        columns = zip(*(polyhedron(*size, sharpness, seed) for seed in range(worlds)), strict=True)
        told = " | ".join(map(spread, columns))
        print(f"| {', '.join(map(str, size))} | {sharpness:g} | {told} |", flush=True)


def polyhedron(
    in_features: int, count: int, rows: int, sharpness: float, seed: int
) -> tuple[float, ...]:
    """Return the accuracies and the cosine of one planted world, in the table's order."""
    task = Polyhedral(
        faces=count, in_features=in_features, train_rows=rows, test_rows=20_000, seed=seed
    )
    (x, y), (points, inside) = train_of(task), (it.double() for it in task.data("test")[:2])
    drawn = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(5):
        start = torch.randn(in_features + 1, count, generator=drawn, dtype=torch.float64)
        made = Faces.start(x, y[:, 0], start, sharpness=sharpness, ridge=FACE_RIDGE)
        found.append(maximise(made, 40)[0])
    best = likeliest(found)
    drawn.manual_seed(seed)
    starts = (torch.randn(*best.weights.shape, generator=drawn).double() for _ in range(5))
    others = [min_logistic(best.inputs, best.signs, start) for start in starts]

    def right(positive: Tensor) -> float:
        return float((positive == (inside[:, 0] > 0.5)).double().mean())

    scores = [right(it.chance(points) > 0.5) for it in found]
    least = [right((with_one(points) @ weights).amin(1) > 0) for _, weights in others]
    likely = max(range(len(others)), key=lambda start: others[start][0])
    plain = LogisticRegression(C=1 / FACE_RIDGE).fit(x, y[:, 0])
    cosines = normal_cosines(best.weights[:-1].mT.numpy(), task.polyhedron.normals)
    model = trained(task, learning_rate=0.05, steps=400, experts=count)
    return (
        right(torch.from_numpy(plain.predict(points)) > 0.5),
        median(scores),
        min(scores),
        right(best.chance(points) > 0.5),
        float(cosines.min()),
        median(least),
        least[likely],
        right(model(points).groups[0][0, :, 0].detach() > 0),
    )


def min_logistic(inputs: Tensor, signs: Tensor, start: Tensor) -> tuple[float, Tensor]:
    """Return the log-likelihood and weights of ``sigmoid(y min_k w_k x)``, climbed from a start.

    Source: the model of SPLA (Manwani and Sastry, ACML 2010), by L-BFGS instead of their steps; a
    mixture of faces becomes it as its gate sharpens.
    """
    weights = start.clone().requires_grad_()

    def height() -> Tensor:
        told = F.logsigmoid(signs * (inputs @ weights).amin(1)).sum()
        return told - FACE_RIDGE * weights[:-1].square().sum() / 2

    climber = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        climber.zero_grad()
        loss = -height()
        loss.backward()
        return loss

    climber.step(step)
    with torch.no_grad():
        return float(height()), weights.detach()
