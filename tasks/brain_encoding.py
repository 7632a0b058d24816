"""Word vectors to the responses of many voxels, in planted regions with maps of their own."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gatelab.rules import check_not_negative
from gatelab.tasks.layers import DefaultPrecision
from gatelab.tasks.streams import stream
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Regimes, Split, SplitName, Task, Truth, register_task
from gatelab.tasks.teachers import orthonormal

WORD_FEATURES = 25
"""Numbers in a word's vector, as many as the verbs that those of the study of nouns count."""
MAP_SCALE = 3.5
"""The deviation of a region's response to the words that it answers to, before noise."""


class Brain(NamedTuple):
    """What is planted, and what it answers to every word."""

    words: npt.NDArray[np.float64]
    """Vectors of length 1, ``(words, WORD_FEATURES)``."""
    directions: npt.NDArray[np.float64]
    """Bit i of a word's region is its side of direction i, ``(log2(regions), WORD_FEATURES)``."""
    regions_of_words: npt.NDArray[np.int64]
    """Which region answers to each word, ``(words,)``."""
    regions_of_voxels: npt.NDArray[np.int64]
    """In which region each voxel lies, ``(voxels,)``."""
    maps: npt.NDArray[np.float64]
    """``(regions, WORD_FEATURES, voxels)``, 0 outside of a map's own region."""
    responses: npt.NDArray[np.float64]
    """``(words, voxels)``, noise included."""


@register_task("brain_encoding")
class BrainEncoding(Task):
    """One target of many columns: the responses of all voxels of a made brain to a word.

    Words are vectors of 25 numbers and of length 1. Each is answered by one region, which follows
    from the signs of log2(regions) orthogonal directions, by a linear map of the region's own;
    other voxels are silent, and all have noise. Voxel v lies in region v modulo ``regions``. So a
    mixture of linear experts, one a region, whose gate reads the word, is the truth.

    The mixture is that of Oota, Manwani and Bapi (arXiv 1811.10740, 1909.12299), the shape that of
    the study of 60 nouns: Mitchell et al., Predicting Human Brain Activity Associated with the
    Meanings of Nouns, Science 2008.
    """

    source = "Drawn from random maps; no file is read."
    licence = "None is needed: nobody else's data are in it."

    def __init__(
        self,
        *,
        words: int = 240,
        voxels: int = 300,
        regions: int = 4,
        noise: float = 3.0,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        """Set what is planted; the brain is made when a split is asked for.

        Args:
            words: The number of words, at least 12; a sixth are of val, a sixth of test.
            voxels: The number of voxels, at least as many as regions.
            regions: The number of regions, a power of two in [1, 1024].
            noise: The deviation of the noise, at least 0; that of a response is 3.5.
            seed: Of the words, the maps and the noise, at least 0.
            split_seed: Of another division of the same words, at least 0.

        Raises:
            ValueError: If an option is outside its range.
        """
        if not words >= 12:
            raise ValueError(f"`words >= 12` must hold, but got ({words=}).")
        if not 1 <= regions <= 1024 or regions & (regions - 1):
            raise ValueError(
                f"`1 <= regions <= 1024` must hold, and be a power of two, but got ({regions=})."
            )
        if not voxels >= regions:
            raise ValueError(f"`voxels >= regions` must hold, but got ({voxels=}, {regions=}).")
        if not 0 <= noise < float("inf"):
            raise ValueError(f"`0 <= noise < inf` must hold, but got ({noise=}).")
        check_not_negative(seed=seed, split_seed=split_seed)
        self.words, self.voxels, self.regions, self.noise = words, voxels, regions, noise
        self.seed, self.split_seed = seed, split_seed
        self.targets = (Target("voxels", "regression", width=voxels),)

    @cached_property
    def brain(self) -> Brain:
        """What is planted, with the responses to all words, whatever the split seed."""
        drawn = stream("common", self.seed)
        bits = self.regions.bit_length() - 1
        directions = orthonormal(drawn.standard_normal((WORD_FEATURES, bits))).T
        words = drawn.standard_normal((self.words, WORD_FEATURES))
        words /= np.linalg.norm(words, axis=1, keepdims=True)
        of_words = (words @ directions.T > 0) @ (1 << np.arange(bits))
        of_voxels = np.arange(self.voxels) % self.regions
        maps = MAP_SCALE * drawn.standard_normal((self.regions, WORD_FEATURES, self.voxels))
        maps *= (of_voxels == np.arange(self.regions)[:, None])[:, None]
        responses = self.noise * drawn.standard_normal((self.words, self.voxels))
        for region, own in enumerate(maps):
            rows = of_words == region
            responses[rows] += words[rows] @ own
        return Brain(words, directions, of_words, of_voxels, maps, responses)

    @property
    def truth(self) -> Truth:  # type: ignore[override]
        """One group, which every region serves, each where the signs of its directions say so."""
        each = tuple((frozenset({region}),) for region in range(self.regions))
        directions = tuple(tuple(row) for row in self.brain.directions.tolist())
        regimes = Regimes(directions, each) if self.regions > 1 else None
        return Truth((0,), (frozenset(range(self.regions)),), regimes)

    def split(self, name: SplitName) -> Split:
        """Return words ``(rows, WORD_FEATURES)`` and responses ``(rows, voxels)``, in float32."""
        order = stream("train", self.seed, self.split_seed).permutation(self.words)
        part = self.words // 6
        rows = {"val": order[:part], "test": order[part : 2 * part], "train": order[2 * part :]}
        inputs, values = self.brain.words[rows[name]], self.brain.responses[rows[name]]
        return Split(
            torch.from_numpy(inputs.astype(np.float32)),
            torch.from_numpy(values.astype(np.float32)),
        )

    def network(self) -> Network:
        """Return linear experts from a word to all voxels, whose mixture is the prediction."""
        return Network(
            bottom=DefaultPrecision,
            gate_input=nn.Identity,
            gate_features=WORD_FEATURES,
            expert=lambda: nn.Linear(WORD_FEATURES, self.voxels, bias=False),
            tower=lambda target: nn.Identity(),
        )
