"""What the metrics under ``gate/`` mean, in a line each, and what a gate's own must say."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping

from torch import Tensor

from gatelab.rules import check_name, shown

MEANINGS = {
    "experts_per_example": "experts that an example weighs above 1e-5",
    "experts_per_row": "experts that any target of a row weighs above 1e-5: those that have to run",
    "at_most_k": "share of examples that use at most k experts",
    "exactly_k": "share of examples that use exactly k experts",
    "settled_epoch": "epoch from which on every example used at most k experts",
    "rise_while_dense": "share by which val/loss had risen in the last epochs with more experts",
    "entropy": "of an example's weights, in nats",
    "weight_sum": "sum of an example's weights",
    "weight_sum_below_one": "share of examples whose weights add up to less than 1",
    "importance_cv2": "squared coefficient of variation of experts' weights in a target: 0 is even",
    "load_cv2": "that variation of the share of a target's examples that use an expert: 0 is even",
    "pooled_importance_cv2": "importance_cv2 of the weights of all targets together: 0 is even",
    "pooled_load_cv2": "load_cv2 of the examples of all targets together: 0 is even",
    "dead_experts": "experts that no example of any target uses",
    "jaccard": "overlap of the experts that two targets rely on, from 0 to 1",
    "jaccard_related": "that overlap between targets of one planted group",
    "jaccard_unrelated": "that overlap between targets of different groups",
    "jaccard_gap": "overlap within planted groups minus between; 0 where all use all experts",
    "shared_experts": "experts that two targets both rely on",
    "shared_experts_null": "how many two random choices of as many experts would share",
    "weight_change": "L1 change of an example's weights in an optimiser step",
    "support_flips": "experts that an example takes up or drops in 1,000 steps",
    "precision": "share of the chosen experts that are planted ones",
    "recall": "share of the planted experts that are chosen",
    "f1": "harmonic mean of precision and recall",
    "exact_recovery": "share of targets that choose just the planted experts",
    "group_agreement": "adjusted Rand index of targets clustered by weights with planted groups",
    "seed_agreement": "share of the weight that two seeds divide alike, after matching experts",
}
"""What every gate is measured by."""


def _read_as(name: str) -> str:
    """Return as what a store reads a name that tells neither case nor the form of letters."""
    return unicodedata.normalize("NFKC", name).casefold()


TAKEN = frozenset(map(_read_as, MEANINGS))
"""The names of :data:`MEANINGS`, as such a store reads them."""


def check_diagnostics(declared: Mapping[str, str], returned: Collection[str]) -> None:
    """Check that a gate's diagnostics can be recorded, and that each says what it means.

    Args:
        declared: The meanings, by name, as the gate's class declares them.
        returned: The names that its forward pass returns in evaluation.

    Raises:
        ValueError: If one cannot be, or says nothing.
    """
    seen: dict[str, str] = {}
    for name in dict.fromkeys((*declared, *returned)):
        check_name("diagnostic", name)
        if other := seen.get(_read_as(name)):
            raise ValueError(
                f"diagnostics {other!r} and {name!r} differ in case alone, which some stores do "
                "not tell apart."
            )
        seen[_read_as(name)] = name
        if _read_as(name) in TAKEN:
            raise ValueError(f"diagnostic {name!r} has the name of a metric of every gate.")
        meaning = declared.get(name)
        if not isinstance(meaning, str) or not meaning.strip() or "\n" in meaning:
            raise ValueError(
                f"diagnostic {name!r} must say in `diagnostics` of its class what it means, "
                f"in one line, but got {meaning!r}."
            )


def check_scalars(returned: object) -> None:
    """Check that what a gate returns as diagnostics are numbers, whose mean is taken later.

    Raises:
        ValueError: If one is none, such as the truth of something, or a number for each row.
    """
    if not isinstance(returned, Mapping):
        raise ValueError(f"diagnostics must be scalars by their names, but got {shown(returned)}.")
    for name, value in returned.items():
        if not isinstance(value, Tensor) or value.shape or not value.is_floating_point():
            found = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else value
            raise ValueError(
                f"diagnostic {name!r} must be a scalar tensor of floats, but got {found}."
            )
