"""Two overlaid digits an image, one target for each: Multi-MNIST's recipe on bundled data."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gatelab.rules import check_not_negative
from gatelab.tasks.layers import mlp_network
from gatelab.tasks.streams import rows_by_split, stream
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task, register_task

OFFSET = 2
"""How far the right image lies below and to the right of the left one, in pixels."""
PIXEL_MEAN, PIXEL_STD = 6.25, 7.5
"""Of all pixels of the overlaid images, rounded; they are the same for every seed to 2%."""


@register_task("digits_pairs")
class DigitsPairs(Task):
    """Tells the left and the right of two overlaid handwritten digits.

    The 1797 8x8 images that scikit-learn bundles are first divided between the splits, so that no
    image is in two of them; then pairs are drawn within a split, with replacement, and added on a
    10x10 canvas: the left one at its top left, the right one at its bottom right. After Sabour,
    Frosst and Hinton, "Dynamic Routing Between Capsules" (2017), and Sener and Koltun, "Multi-Task
    Learning as Multi-Objective Optimization" (2018). With the same seed, a split of fewer rows is
    the beginning of a split of more.
    """

    source = "UCI, Optical Recognition of Handwritten Digits, test rows, bundled with scikit-learn."
    licence = "CC BY 4.0, of the UCI Machine Learning Repository."
    targets = (Target("left", "multiclass", 10), Target("right", "multiclass", 10))

    def __init__(
        self,
        *,
        train_rows: int = 6000,
        val_rows: int = 1500,
        test_rows: int = 1500,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        """Set the number of pairs in each split, and the seeds of the division and the pairs.

        Nothing is planted, so that both seeds do the same: they divide the images, and draw pairs.

        Args:
            train_rows: The number of pairs to train on, at least 1; so for the others.
            val_rows: The number of pairs to validate on.
            test_rows: The number of pairs to test on.
            seed: Of the division and the pairs, at least 0.
            split_seed: Of another division, with pairs of its own, at least 0.

        Raises:
            ValueError: If a number of rows is below 1 or a seed is below 0.
        """
        self._rows = rows_by_split(train_rows, val_rows, test_rows)
        check_not_negative(seed=seed, split_seed=split_seed)
        self.seed, self.split_seed = seed, split_seed

    def split(self, name: SplitName) -> Split:
        """Return inputs ``(rows, 10, 10)``, 0 to 32, and digits ``(rows, 2)``, all uint8."""
        sources = self.sources(name)
        own = stream(name, self.seed, self.split_seed)
        drawn = own.integers(len(sources), size=(self._rows[name], 2))
        pairs = sources[torch.from_numpy(drawn)]
        images, digits = _digits()
        return Split(overlay(*images[pairs].unbind(1)), digits[pairs])

    def sources(self, name: SplitName) -> Tensor:
        """Return the rows of ``load_digits`` that a split's pairs are drawn from, int64, sorted.

        Of each class, the train split has 4/6 and the others 1/6, within one image.
        """
        digits = _digits()[1].numpy()
        common = stream("common", self.seed, self.split_seed)
        parts = []
        for digit in range(10):
            rows = common.permutation(np.flatnonzero(digits == digit))
            cuts = [round(len(rows) * 4 / 6), round(len(rows) * 5 / 6)]
            parts.append(dict(zip(self._rows, np.split(rows, cuts), strict=True))[name])
        return torch.from_numpy(np.sort(np.concatenate(parts)))

    def test_to_train(self) -> float:
        """Return the ratio of images, about 1/4: they are divided, however many pairs are drawn."""
        return len(self.sources("test")) / len(self.sources("train"))

    def network(
        self,
        *,
        expert_width: int = 64,
        expert_depth: int = 2,
        tower_width: int = 32,
        dropout: float = 0.0,
    ) -> Network:
        """Return MLP experts and towers on standardised pixels, which the gates read too.

        Args:
            expert_width: The number of units of each of an expert's layers, at least 1.
            expert_depth: The number of an expert's layers, at least 1.
            tower_width: The number of units of a tower's hidden layer, at least 1.
            dropout: The share of an expert's units dropped in training, in [0, 1).

        Raises:
            ValueError: If a value is outside its range.
        """
        return mlp_network(
            Standardise,
            100,
            expert_width=expert_width,
            expert_depth=expert_depth,
            tower_width=tower_width,
            dropout=dropout,
        )


class Standardise(nn.Module):
    """Turns images into features of mean 0 and deviation 1, over all pixels together.

    Raw pixels go to 32 and are never negative: logits of a gate that read them would be tens wide,
    and a softmax or smooth-step of those is saturated, without gradient, before training begins.
    Constants serve instead of each split's own so that a row means the same wherever it is.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Turn ``(batch, 10, 10)`` uint8 into ``(batch, 100)`` of torch's default precision."""
        return (images.flatten(1).to(torch.get_default_dtype()) - PIXEL_MEAN) / PIXEL_STD


def overlay(left: Tensor, right: Tensor) -> Tensor:
    """Add ``(rows, 8, 8)`` images, the right ones shifted, as ``(rows, 10, 10)`` of their dtype."""
    rows, height, width = left.shape
    canvas = left.new_zeros(rows, height + OFFSET, width + OFFSET)
    canvas[:, :height, :width] += left
    canvas[:, OFFSET:, OFFSET:] += right
    return canvas


@cache
def _digits() -> tuple[Tensor, Tensor]:
    """Return the images ``(1797, 8, 8)``, 0 to 16, and their digits ``(1797,)``, both uint8."""
    # The file of ``load_digits``, whose import alone takes most of a second.
    found = find_spec("sklearn")
    assert found is not None and found.submodule_search_locations
    file = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    table = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.uint8))
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1]
