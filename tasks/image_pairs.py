"""Two overlaid images, one target for each: Multi-MNIST, Multi-Fashion and their mixture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gatelab.rules import check_counts, check_not_negative, check_shares
from gatelab.tasks.data_sets.data_set import DataError, DataFile, DataSet, check_here
from gatelab.tasks.data_sets.idx import Bytes, read_idx
from gatelab.tasks.data_sets.made import AnyArray, Forms, made_once
from gatelab.tasks.layers import conv_expert, kinds_of, mlp
from gatelab.tasks.streams import rows_by_split, stream
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task, register_task

SIDE, SHIFT = 28, 8
"""Of an image, and how far the right one lies below and to the right of the left one, in pixels."""
CANVAS = SIDE + SHIFT
_PIECE = 2048
_RECIPE = 1
"""To be counted up where the recipe changes, so that nothing is read that an older one made."""
_FILES = {"train": "train", "val": "train", "test": "t10k"}


def _idx_files(address: str, hashes: Mapping[str, str]) -> tuple[DataFile, ...]:
    return tuple(
        DataFile(f"{name}-ubyte.gz", f"{address}/{name}-ubyte.gz", digest)
        for name, digest in hashes.items()
    )


MNIST = DataSet(
    "mnist",
    _idx_files(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        {
            "train-images-idx3": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    source="LeCun and Cortes, The MNIST database of handwritten digits, a derivative of NIST's.",
    licence="Creative Commons Attribution-Share Alike 3.0.",
)
FASHION_MNIST = DataSet(
    "fashion_mnist",
    _idx_files(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        {
            "train-images-idx3": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    source="Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv:1708.07747; Zalando SE.",
    licence="MIT.",
)


class ImagePairs(Task):
    """Tells the left and the right of two overlaid 28x28 images.

    The training images are divided, 5/6 train and 1/6 val; test has the test images. Each image of
    a split is the left one of as many pairs as the rows allow (two by default), each with a right
    one drawn from the same split. They are added on a 36x36 canvas, the left one at its top left,
    the right one at its bottom right. A split of fewer rows is the beginning of one of more.
    """

    targets = (Target("left", "multiclass", 10), Target("right", "multiclass", 10))
    pixel_mean: ClassVar[float]
    """Of all pixels of the overlaid images at full size, rounded, as is the deviation."""
    pixel_std: ClassVar[float]

    def __init__(
        self,
        *,
        train_rows: int = 100_000,
        val_rows: int = 20_000,
        test_rows: int = 20_000,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        """Set the number of pairs in each split, and the seeds of the division and the pairs.

        Nothing is planted, so that both seeds do the same: they divide the images, and draw pairs.

        Raises:
            DataError: If a file is not on this machine.
            ValueError: If a number of rows is below 1 or a seed is below 0.
        """
        self._rows = rows_by_split(train_rows, val_rows, test_rows)
        check_not_negative(seed=seed, split_seed=split_seed)
        check_here(self.data_sets)
        self.seed, self.split_seed = seed, split_seed

    def split(self, name: SplitName) -> Split:
        """Return inputs ``(rows, 36, 36)``, int16, 0 to 510, and classes ``(rows, 2)``, uint8."""
        rows = self._rows[name]
        forms: Forms = {
            "inputs": ((rows, CANVAS, CANVAS), np.int16),
            "targets": ((rows, 2), np.uint8),
        }
        made = made_once(
            type(self).__name__, self._identity(name), forms, partial(self._pieces, name)
        )
        return Split(torch.from_numpy(made["inputs"]), torch.from_numpy(made["targets"]))

    def test_to_train(self) -> float:
        """Return the ratio of images, 1/5 of the published ones, however many pairs are drawn."""
        own = self.data_sets[0]
        test, learnt = (len(_labels(own, _FILES[name])) for name in ("test", "train"))
        return test / (learnt * 5 // 6)

    def network(
        self,
        *,
        expert: str = "cnn",
        channels: int = 10,
        expert_width: int = 50,
        expert_depth: int = 2,
        tower_width: int = 50,
        tower_depth: int = 2,
        dropout: float = 0.0,
    ) -> Network:
        """Return CNN experts as published, or MLPs, on standardised pixels; gates read these too.

        A CNN is two 5x5 convolutions, each with a ReLU and a maximum over 2x2 pixels, and the
        layers that an MLP has alone.

        Args:
            expert: ``cnn`` or ``mlp``, or kinds side by side, as ``cnn+mlp``: as many of each, the
                first ones first; one that stands there twice has twice as many.
            channels: Of a CNN's first convolution, at least 1; the second has twice as many.
            expert_width: The number of units of each of an expert's layers, at least 1.
            expert_depth: The number of an expert's layers, at least 1.
            tower_width: The number of units of each of a tower's hidden layers, at least 1.
            tower_depth: The number of a tower's hidden layers, at least 1.
            dropout: The share of an expert's units dropped in training, in [0, 1).

        Raises:
            ValueError: If a value is outside its range.
        """
        check_counts(channels=channels, expert_width=expert_width, expert_depth=expert_depth)
        check_counts(tower_width=tower_width, tower_depth=tower_depth)
        check_shares(dropout=dropout)

        def cnn() -> nn.Module:
            return conv_expert(CANVAS, channels, expert_width, expert_depth, dropout)

        def flat() -> nn.Module:
            return nn.Sequential(nn.Flatten(), *mlp(CANVAS**2, expert_width, expert_depth, dropout))

        first, *others = kinds_of(expert, {"cnn": cnn, "mlp": flat})

        return Network(
            bottom=lambda: StandardCanvas(self.pixel_mean, self.pixel_std),
            gate_input=nn.Flatten,
            gate_features=CANVAS**2,
            expert=first,
            tower=lambda target: nn.Sequential(
                *mlp(expert_width, tower_width, tower_depth),
                nn.Linear(tower_width, target.out_features),
            ),
            other_experts=tuple(others),
        )

    def _identity(self, name: SplitName) -> str:
        """Return all that a split follows from, the contents of files included."""
        digests = [
            hashlib.sha256(data_set.found(file.name).read_bytes()).hexdigest()
            for data_set in self.data_sets
            for file in data_set.files
            if file.name.startswith(_FILES[name])
        ]
        numbers = [_RECIPE, self._rows[name], self.seed, self.split_seed]
        return " ".join(map(str, (*numbers, name, *digests)))

    def _pieces(self, name: SplitName) -> Iterator[Mapping[str, AnyArray]]:
        """Yield pairs and their classes, some at a time."""
        own = stream(name, self.seed, self.split_seed)
        file, rows = _FILES[name], self._rows[name]
        # Of the left and the right images, which may be the same: each file is read once.
        labels = [_labels(data_set, file) for data_set in self.data_sets]
        images = [_images(*it, file) for it in zip(self.data_sets, labels, strict=True)]
        lefts = own.permutation(self._sources(name, len(labels[0])))
        rights = self._sources(name, len(labels[-1]))
        for data_set, found in zip(self.data_sets, (lefts, rights), strict=False):
            if not len(found):
                place = data_set.found(f"{file}-labels-idx1-ubyte.gz")
                raise DataError(f"{place} holds too few images for pairs of {name}.")
        left = lefts[np.arange(rows) % len(lefts)]
        right = rights[own.integers(len(rights), size=rows)]
        for begin in range(0, rows, _PIECE):
            some, others = left[begin : begin + _PIECE], right[begin : begin + _PIECE]
            yield {
                "inputs": canvas_of(images[0][some], images[-1][others]),
                "targets": np.stack([labels[0][some], labels[-1][others]], 1),
            }

    def _sources(self, name: SplitName, images: int) -> npt.NDArray[np.int64]:
        """Return which images of its file a split's pairs are made of."""
        if name == "test":
            return np.arange(images)
        order = stream("common", self.seed, self.split_seed).permutation(images)
        cut = images * 5 // 6
        return order[:cut] if name == "train" else order[cut:]


@register_task("multi_mnist")
class MultiMNIST(ImagePairs):
    """Tells the left and the right of two overlaid handwritten digits, of MNIST's images.

    Source: Sabour, Frosst and Hinton, "Dynamic Routing Between Capsules" (2017); in the form of
    COMET's supplement (Ibrahim et al., 2023), with its experts and towers.
    """

    data_sets = (MNIST,)
    pixel_mean, pixel_std = 40.3, 89.2


@register_task("multi_fashion")
class MultiFashion(ImagePairs):
    """Tells the left and the right of two overlaid articles of clothing, of Fashion-MNIST's images.

    Source: as ``multi_mnist``; COMET's supplement (Ibrahim et al., 2023).
    """

    data_sets = (FASHION_MNIST,)
    pixel_mean, pixel_std = 88.5, 113.5


@register_task("mnist_fashion")
class MNISTFashion(ImagePairs):
    """Tells a digit on the left, of MNIST, and clothing on the right, of Fashion-MNIST.

    Two targets of different difficulty and domain, by the recipe of ``multi_mnist``.
    """

    data_sets = (MNIST, FASHION_MNIST)
    pixel_mean, pixel_std = 64.5, 101.3


class StandardCanvas(nn.Module):
    """Turns images into one channel of mean 0 and deviation 1, over all pixels together.

    Constants serve, so that a row means the same wherever it is. Raw pixels would saturate a gate
    that reads them before training begins.
    """

    def __init__(self, mean: float, std: float) -> None:
        """Set the mean and the deviation of all pixels."""
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, images: Tensor) -> Tensor:
        """Turn ``(batch, 36, 36)`` int16 into ``(batch, 1, 36, 36)`` of torch's default type."""
        return (images.unsqueeze(1).to(torch.get_default_dtype()) - self.mean) / self.std


def canvas_of(left: Bytes, right: Bytes) -> npt.NDArray[np.int16]:
    """Add images ``(rows, 28, 28)``, the right ones shifted, as ``(rows, 36, 36)``, 0 to 510."""
    canvas = np.zeros((len(left), CANVAS, CANVAS), np.int16)
    canvas[:, :SIDE, :SIDE] = left
    canvas[:, SHIFT:, SHIFT:] += right
    return canvas


def _labels(data_set: DataSet, file: str) -> Bytes:
    return read_idx(data_set.found(f"{file}-labels-idx1-ubyte.gz"))


def _images(data_set: DataSet, labels: Bytes, file: str) -> Bytes:
    path = data_set.found(f"{file}-images-idx3-ubyte.gz")
    images = read_idx(path, SIDE, SIDE)
    if len(images) != len(labels):
        raise DataError(f"{path} holds {len(images)} images, but its labels are {len(labels)}.")
    return images
