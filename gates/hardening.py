"""The schedule by which soft steps become exact ones while a gate learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from torch import Tensor, nn

from gatelab.gates.binary_codes import smooth_step
from gatelab.gates.scalars import register_scalars
from gatelab.rules import check_not_negative, check_positive

OFF: Mapping[str, float] = {"noise": 0.0, "entropy_warmup": 0.0, "snap": 1.0}
"""The schedule's hyperparameters where it is off: the gates are then the published ones."""
HARDENING_TRIAL: Mapping[str, Any] = {
    "gamma": 1.0,
    "entropy_weight": 0.1,
    "noise": 0.3,
    "entropy_warmup": 0.3,
    "snap": 0.7,
    "static": True,
}
"""With what both gates select on planted groups (docs/gates_measured.md): the first of a search."""
HARDENING_SPACE: Mapping[str, BaseDistribution] = {
    "gamma": FloatDistribution(0.3, 3.0, log=True),
    "entropy_weight": FloatDistribution(0.03, 0.3, log=True),
    "noise": FloatDistribution(0.1, 0.4),
    "entropy_warmup": CategoricalDistribution([0.3]),
    "snap": CategoricalDistribution([0.7]),
    "static": CategoricalDistribution([False, True]),
}
"""What is searched around it. A wider gamma takes more steps to become exact than small budgets
have; without an entropy weight it never does."""
EXACT_GAMMA = 1e-4
"""The width of a smooth step after the snap: next to no logit lies within it."""


class Hardening(nn.Module):
    """Smooth steps, with noise on their logits at first, an entropy weight that comes late, a snap.

    Ours, not published for these gates. Each part has a source elsewhere: noise before a saturating
    unit, which can then only be read if it is 0 or 1 (Salakhutdinov and Hinton, Semantic Hashing,
    2009); a warm-up of a regulariser's weight (Sonderby et al., Ladder Variational Autoencoders,
    NeurIPS 2016); a relaxed choice that is made exact before the rest trains on (Liu, Simonyan and
    Yang, DARTS, ICLR 2019). At the share p of the training, with s for ``snap`` and w for
    ``entropy_warmup``::

        noise(p)   = noise * (1 - p / s)
        entropy(p) = entropy_weight * (p - w) / (s - w)     within [0, entropy_weight]
        gamma(p)   = gamma, and 1e-4 from p = s on if s < 1

    After the snap the logits have no gradient: between two exact values there is none.
    """

    gamma: Tensor
    entropy_weight: Tensor
    noise: Tensor
    entropy_warmup: Tensor
    snap: Tensor
    current_gamma: Tensor
    current_entropy_weight: Tensor
    current_noise: Tensor

    def __init__(
        self,
        *,
        gamma: float,
        entropy_weight: float,
        noise: float = OFF["noise"],
        entropy_warmup: float = OFF["entropy_warmup"],
        snap: float = OFF["snap"],
    ) -> None:
        """Take in the gate's hyperparameters, which say what they are.

        Raises:
            ValueError: If a value is out of its range.
        """
        super().__init__()
        check_positive(gamma=gamma)
        check_not_negative(entropy_weight=entropy_weight, noise=noise)
        if not 0 <= entropy_warmup < snap <= 1:
            raise ValueError(
                "`0 <= entropy_warmup < snap <= 1` must hold, "
                f"but got ({entropy_warmup=}, {snap=})."
            )
        values = {
            "gamma": gamma,
            "entropy_weight": entropy_weight,
            "noise": noise,
            "entropy_warmup": entropy_warmup,
            "snap": snap,
            "current_gamma": gamma,
            "current_entropy_weight": 0.0 if entropy_warmup else entropy_weight,
            "current_noise": noise,
        }
        register_scalars(self, values)
        # Of the structure, since noise gives a static gate other logits for each row: without any
        # a gate is the published one, draws nothing, and costs as much.
        self.noisy = noise > 0

    @property
    def scheduled(self) -> bool:
        """Whether anything changes while a gate learns."""
        on = (self.noise > 0) | (self.entropy_warmup > 0) | (self.snap < 1)
        return bool(on.any())

    def forward(self, logits: Tensor, batch: int) -> Tensor:
        """Return the steps of logits ``(..., batch)``, or ``(..., 1)`` where a gate is static."""
        if self.training:
            logits = self._in_training(logits, batch)
        return smooth_step(logits, self.current_gamma)

    def _in_training(self, logits: Tensor, batch: int) -> Tensor:
        if self.noisy:
            logits = logits.expand(*logits.shape[:-1], batch)
            logits = logits + self.current_noise * self.gamma * torch.randn_like(logits)
        return torch.where(self.current_gamma < self.gamma, logits.detach(), logits)

    def exact(self, logits: Tensor) -> Tensor:
        """Return which steps are exactly 0 or 1, of the logits' shape."""
        return logits.abs() >= self.current_gamma / 2

    def update(self, progress: Tensor) -> dict[str, Tensor]:
        """Return the next buffers; ``progress`` is the share of the training done, ``()``."""
        start, end = self.entropy_warmup, self.snap
        risen = torch.where(start > 0, ((progress - start) / (end - start)).clamp(0, 1), 1.0)
        left = (1 - progress / end).clamp(min=0)
        snapped = (progress >= end) & (end < 1)
        after = {
            "current_gamma": torch.where(snapped, self.gamma.clamp(max=EXACT_GAMMA), self.gamma),
            "current_entropy_weight": self.entropy_weight * risen,
            "current_noise": self.noise * left,
        }
        return {name: value.to(self.gamma.dtype) for name, value in after.items()}


def schedule_end(hyperparameters: Mapping[str, Any]) -> float:
    """Return the share of the training after which nothing changes; 0 where all is off."""
    given = {name: float(hyperparameters.get(name, off)) for name, off in OFF.items()}
    return given["snap"] if given != OFF else 0.0
