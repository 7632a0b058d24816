"""A brain's regions: what predicts its responses, and what finds them. A part of ``em``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median

import numpy as np
import numpy.typing as npt
import torch
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge
from torch import Tensor

from gatelab.gates import SoftmaxGate
from gatelab.tasks import BrainEncoding, Task, TwoAgainstTwo
from gatelab.tasks.encoding import region_recovery, spatial_accuracy
from gatelab.training.em import cooling, likeliest, maximise, random_start
from gatelab.training.em_experts import LinearExperts
from gatelab.training.model import Model

STARTS, EXPERTS, PAIRS = 4, 4, 60
GATE_RIDGE, TOLERANCE = 0.1, 1e-6
Doubles = npt.NDArray[np.float64]


def spread(values: Sequence[float]) -> str:
    """Return the median, and the least and the most."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def train_of(task: Task) -> tuple[Tensor, Tensor]:
    """Return a task's train inputs and values in float64."""
    inputs, values = task.data("train")[:2]
    return inputs.double(), values.double()


def trained(task: Task, *, learning_rate: float, steps: int, experts: int = EXPERTS) -> Model:
    """Return a model after the full-batch steps of Adam at which its loss on val was least."""
    torch.manual_seed(0)
    model = Model(task, SoftmaxGate, {}, {"num_experts": experts})
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    (x, y), (held, wanted) = (task.data(name)[:2] for name in ("train", "val"))
    least, kept = float("inf"), model.state_dict()
    for _ in range(steps):
        optimizer.zero_grad()
        model.row_losses(model(x).groups, y).mean().backward()
        optimizer.step()
        with torch.no_grad():
            loss = float(model.row_losses(model(held).groups, wanted).mean())
        if loss < least:
            least, kept = loss, {name: it.clone() for name, it in model.state_dict().items()}
    model.load_state_dict(kept)
    return model.eval()


def predictions(worlds: int) -> None:
    """Print two against two of pairs that were left out, one after another, of 60 words."""
    print("| noise | lambda | ridge | EM, 4 experts |\n| ---: | ---: | ---: | ---: |")
    for noise, ridge in ((3, 1e-6), (3, 0.1), (3, 1), (1, 1)):
        tried = [
            left_out(BrainEncoding(words=60, noise=noise, seed=s), ridge) for s in range(worlds)
        ]
        plain, mixed = (spread(scores) for scores in zip(*tried, strict=True))
        print(f"| {noise} | {ridge:g} | {plain} | {mixed} |", flush=True)


def left_out(task: BrainEncoding, ridge: float) -> tuple[float, float]:
    """Return two against two of a ridge regression and of EM over pairs that neither saw."""
    words, values = (torch.from_numpy(it) for it in (task.brain.words, task.brain.responses))
    drawn, right = np.random.default_rng(task.seed), np.zeros(2)
    for _ in range(PAIRS):
        pair = torch.from_numpy(drawn.choice(len(words), 2, replace=False))
        rest = torch.ones(len(words), dtype=torch.bool)
        rest[pair] = False
        plain = Ridge(alpha=ridge, fit_intercept=False).fit(words[rest], values[rest])
        mixed = by_em(words[rest], values[rest], ridge, random_starts(int(rest.sum())))
        for place, found in enumerate((plain.predict(words[pair]), mixed.predict(words[pair]))):
            right[place] += TwoAgainstTwo().score(torch.as_tensor(found), values[pair])
    return float(right[0] / PAIRS), float(right[1] / PAIRS)


def random_starts(rows: int) -> Iterator[Tensor]:
    """Yield responsibilities ``(rows, experts)`` of random numbers."""
    drawn = torch.Generator().manual_seed(0)
    for _ in range(STARTS):
        yield random_start(rows, EXPERTS, drawn)


def by_em(
    words: Tensor, values: Tensor, ridge: float, starts: Iterator[Tensor], *, cooled: bool = True
) -> LinearExperts:
    """Return the likeliest mixture of several starts, each cooled from one degree a voxel."""
    tempering = cooling(values.shape[1], 8) if cooled else []
    made = (
        LinearExperts.start(words, values, start, ridge=ridge, gate_ridge=GATE_RIDGE)
        for start in starts
    )
    return likeliest(maximise(it, 25, tempering, TOLERANCE)[0] for it in made)


def regions(worlds: int) -> None:
    """Print scores of test words, and which voxels and words have the expert of their region."""
    print("\n| words | fitted by | two against two | r2 | voxels in their region | words |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for words in (60, 240, 600):
        tasks = [BrainEncoding(words=words, seed=seed) for seed in range(worlds)]
        chances = zip(*(chance(task) for task in tasks), strict=True)
        for name, fit in FITS.items():
            columns = zip(*(scored(task, *fit(task)) for task in tasks), strict=True)
            told = [spread([it for it in column if it is not None]) for column in columns]
            print(f"| {words} | {name} | {' | '.join(told)} |", flush=True)
        print(f"| {words} | chance | 0.50 | 0 | {' | '.join(map(spread, chances))} |", flush=True)


Fit = tuple[Callable[[Tensor], Tensor], Doubles, Callable[[Tensor], Tensor]]
"""What predicts, the maps ``(experts, features, voxels)``, and what weighs the experts."""


def scored(
    task: BrainEncoding,
    predict: Callable[[Tensor], Tensor],
    maps: Doubles,
    weigh: Callable[[Tensor], Tensor],
) -> tuple[float, ...]:
    """Return test scores, and the shares of voxels and of test words with their region's expert."""
    inputs, values = (it.double() for it in task.data("test")[:2])
    found = predict(inputs)
    errors, total = (values - found).square().sum(), (values - values.mean(0)).square().sum()
    right = float(TwoAgainstTwo().score(found, values))
    voxels, _ = spatial_accuracy(maps, task.brain.regions_of_voxels)
    words, _ = region_recovery(weigh(inputs).numpy(), regions_of(task, inputs))
    return right, float(1 - errors / total), voxels, words


def chance(task: BrainEncoding) -> tuple[float, float]:
    """Return what shares of voxels and test words labels dealt out evenly have."""
    inputs = task.data("test").inputs.double()
    even = np.arange(task.voxels) % EXPERTS
    maps = np.eye(EXPERTS)[:, None, even]
    _, voxels = spatial_accuracy(maps, task.brain.regions_of_voxels)
    weights = np.eye(EXPERTS)[np.arange(len(inputs)) % EXPERTS]
    return voxels, region_recovery(weights, regions_of(task, inputs))[1]


def regions_of(task: BrainEncoding, words: Tensor) -> npt.NDArray[np.int64]:
    """Return the region that answers to each word."""
    sides = words.numpy() @ task.brain.directions.T > 0
    found: npt.NDArray[np.int64] = sides @ (1 << np.arange(sides.shape[1]))
    return found


def by_ridge(task: BrainEncoding) -> Fit:
    """Fit a ridge regression, which is one expert for all."""
    words, values = train_of(task)
    plain = Ridge(alpha=1, fit_intercept=False).fit(words, values)
    return (
        lambda x: torch.from_numpy(plain.predict(x)),
        plain.coef_.T[None],
        lambda x: x.new_ones(len(x), 1),
    )


def by_starts(
    starts: Callable[[BrainEncoding, Tensor], Iterator[Tensor]], *, cooled: bool = False
) -> Callable[[BrainEncoding], Fit]:
    """Return what fits by EM from such starts."""

    def fit(task: BrainEncoding) -> Fit:
        words, values = train_of(task)
        found = by_em(words, values, 1.0, starts(task, words), cooled=cooled)
        return found.predict, found.maps.numpy(), found.weights

    return fit


def from_clusters(words: Tensor) -> Iterator[Tensor]:
    """Yield k-means of the words, from several starts of its own."""
    for seed in range(STARTS):
        labels = KMeans(EXPERTS, n_init=1, random_state=seed).fit_predict(words.numpy())
        yield torch.eye(EXPERTS, dtype=torch.float64)[labels]


def from_categories(task: BrainEncoding, words: Tensor) -> Iterator[Tensor]:
    """Yield the planted regions of the words: what a reader of the words may know."""
    yield torch.eye(EXPERTS, dtype=torch.float64)[regions_of(task, words)]


def by_gradients(task: BrainEncoding) -> Fit:
    """Train the task's model with a softmax gate, to its best epoch on val."""
    model = trained(task, learning_rate=0.05, steps=400)
    maps = model.mixture.experts.tensors()["weight"].detach().mT.double().numpy()
    return (
        lambda x: model(x).groups[0][0].detach().double(),
        maps,
        lambda x: model(x).routing.weights[0].detach().double(),
    )


FITS: dict[str, Callable[[BrainEncoding], Fit]] = {
    "ridge": by_ridge,
    "EM, random starts": by_starts(lambda task, words: random_starts(len(words))),
    "EM, cooled": by_starts(lambda task, words: random_starts(len(words)), cooled=True),
    "EM, k-means of words": by_starts(lambda task, words: from_clusters(words)),
    "EM, planted categories": by_starts(from_categories),
    "gradients, softmax gate": by_gradients,
}
