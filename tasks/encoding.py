"""Scores of models that encode: which response is of which word, and whether experts are regions.

Regions and experts have no common order, so that one is matched to the other by the Hungarian
method before anything is counted, which lifts chance above one in so many: :func:`chance_of`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from gatelab.tasks.metric import Metric, register_metric
from gatelab.tasks.metrics import VALUES

BLOCK = 1024
"""Rows whose pairs with all others are looked at together."""
EVEN = 1e-12
"""Up to which a difference of cosines is rounding: a constant prediction prefers no row."""


@register_metric("two_against_two")
class TwoAgainstTwo(Metric):
    """Share of pairs of rows whose two predictions are nearer to their own row than exchanged.

    Near by the cosine over a target's columns: a pair is right where cos(y1, p1) + cos(y2, p2) >
    cos(y1, p2) + cos(y2, p1), and counts half where both are equal, so that chance is 0.5. A pair
    weighs what its rows do, multiplied. Of a single column there is no angle.

    Source: Mitchell et al., Predicting Human Brain Activity Associated with the Meanings of Nouns,
    Science 2008, who ask it of each pair that was left out.
    """

    kinds = VALUES
    higher_is_better = True
    min_rows = 2
    takes_columns = True

    def compute(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the score; its time grows with the square of the rows."""
        if target.dim() == 1:
            return torch.tensor(torch.nan)
        wanted, found = (F.normalize(it.double(), dim=1) for it in (target, outputs))
        weighs = wanted.new_ones(len(wanted)) if weights is None else weights
        own = (wanted * found).sum(1)
        right = own.new_zeros(())
        for begin in range(0, len(own), BLOCK):
            part = slice(begin, begin + BLOCK)
            exchanged = wanted[part] @ found.mT + found[part] @ wanted.mT
            nearer = own[part, None] + own - exchanged
            won = torch.where(nearer.abs() > EVEN, nearer.sign(), 0) / 2 + 0.5
            won.diagonal(begin).zero_()  # a row with itself is no pair
            right = right + weighs[part] @ won @ weighs
        share: Tensor = right / (weighs.sum().square() - weighs.square().sum())
        return share


def spatial_accuracy(
    maps: npt.NDArray[np.floating], regions: npt.NDArray[np.integer]
) -> tuple[float, float]:
    """Return the share of voxels in the region that their expert is matched to, and its chance.

    A voxel's expert is that whose map to it is the longest.

    Args:
        maps: ``(experts, features, voxels)``
        regions: The planted region of each voxel, ``(voxels,)``.
    """
    found = np.linalg.norm(maps, axis=1).argmax(0)
    return matched_share(found, regions), chance_of(found, regions)


def region_recovery(
    weights: npt.NDArray[np.floating], regions: npt.NDArray[np.integer]
) -> tuple[float, float]:
    """Return the share of words answered by the expert matched to their region, and its chance.

    Args:
        weights: A gate's, or responsibilities, ``(words, experts)``: the largest answers.
        regions: The planted region of each word, ``(words,)``.
    """
    found = weights.argmax(1)
    return matched_share(found, regions), chance_of(found, regions)


def matched_share(found: npt.NDArray[np.integer], planted: npt.NDArray[np.integer]) -> float:
    """Return the largest share of equal labels that some matching of the labels gives.

    Kuhn, The Hungarian Method, 1955.

    Args:
        found: Labels of 0 or more, ``(things,)``.
        planted: Likewise.
    """
    from scipy.optimize import linear_sum_assignment  # here: SciPy takes a second to import

    counts = np.zeros((found.max() + 1, planted.max() + 1))
    np.add.at(counts, (found, planted), 1)
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(found))


def chance_of(
    found: npt.NDArray[np.integer],
    planted: npt.NDArray[np.integer],
    *,
    draws: int = 200,
    seed: int = 0,
) -> float:
    """Return the mean of :func:`matched_share` where the same labels are dealt out at random.

    Args:
        found: As there.
        planted: Likewise.
        draws: How many times labels are dealt out.
        seed: Of the draws.
    """
    drawn = np.random.default_rng(seed)
    return float(np.mean([matched_share(drawn.permutation(found), planted) for _ in range(draws)]))
