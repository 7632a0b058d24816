"""Published: a mean that hears of targets by updates alone, clipped, summed and with noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gatelab.gates.randomness import Randomness, keyed
from gatelab.training.learners.shared import Shared
from gatelab.training.members import Members

_DRAWS = -2
"""The number of the draws of rounds; a key's epochs are counted from 0."""


def publishes(options: Mapping[str, Any]) -> bool:
    """Return whether a member's targets hear of the others by what is published alone."""
    alike = {"clip": math.inf, "noise": 0.0, "sampled": 1.0, "local_steps": 1}
    return any(options[name] != value for name, value in alike.items())


class Published:
    """Of each member what has been published, and what a round's update of it is made of.

    A round is so many steps. At its start targets are sampled, each with a chance of its own. Those
    step; the others rest: bottom, experts, gate, tower, and what the optimiser remembers of them.
    At its end the change of each sampled target's bottom and experts is scaled down to a norm, and
    their sum with Gaussian noise, over the number of targets that are sampled on average, is added
    to what is published. Everything is a tensor with a row for each member, as steps are replayed
    on a GPU.
    """

    def __init__(
        self, options: Sequence[Mapping[str, Any]], shared: Shared, members: Members
    ) -> None:
        """Begin before the first step, when all copies of a member are alike."""
        self.shared = shared
        self.local_steps: int = options[0]["local_steps"]  # part of the structure
        clips, noises = ([own[name] for own in options] for name in ("clip", "noise"))
        self._samples = any(own["sampled"] < 1 for own in options)
        self._tensors = {
            "clips": shared.of_members(clips),
            "deviations": shared.of_members(
                [noise * clip if noise else 0.0 for noise, clip in zip(noises, clips, strict=True)]
            ),
            "chances": shared.of_members([own["sampled"] for own in options]),
            "used": torch.tensor(list(map(publishes, options)), device=members.device),
            "keys": keyed(shared.keys, _DRAWS),
            "steps": torch.zeros_like(shared.keys),
            "center": self._of(members.flat.detach())[:, 0].clone(),
            "start": self._apart(members.flat.detach()).clone(),
            "sampled": torch.ones(
                len(options), shared.copies, dtype=torch.bool, device=members.device
            ),
        }

    def _apart(self, rows: Tensor) -> Tensor:
        apart: Tensor = rows.unflatten(0, (-1, self.shared.copies))
        return apart

    def _of(self, rows: Tensor) -> Tensor:
        """Return what is shared of rows such as ``members.flat``, ``(members, copies, numbers)``.

        A copy, but of what lies in one piece.
        """
        return torch.cat(self.shared.parts(rows), dim=2)

    def before_step(self, members: Members) -> None:
        """Where a round begins, sample targets and keep where all are."""
        its = self._tensors
        begins = its["steps"] % self.local_steps == 0
        drawn = torch.vmap(self._sample)(keyed(its["keys"], its["steps"]), its["chances"])
        its["sampled"].copy_(torch.where(begins[:, None], drawn, its["sampled"]))
        flat = self._apart(members.flat)
        its["start"].copy_(torch.where(begins[:, None, None], flat, its["start"]))

    @property
    def resting(self) -> Tensor | None:
        """Which copies are not sampled in the round that is under way; ``None``: all always are."""
        return ~self._tensors["sampled"].flatten() if self._samples else None

    def centers(self, members: Members) -> list[Tensor]:
        """Return what copies are pulled to, by part, ``(members, 1, numbers)``.

        It is what is published, but of those members of which nothing is, their mean.
        """
        parts = self.shared.parts(members.flat)
        sizes = [part.shape[2] for part in parts]
        published = self._tensors["center"][:, None].split(sizes, dim=2)
        used = self._tensors["used"][:, None, None]
        return [
            torch.where(used, own, part.mean(1, keepdim=True))
            for own, part in zip(published, parts, strict=True)
        ]

    def after_step(self, members: Members) -> None:
        """Publish where a round ends."""
        its = self._tensors
        its["steps"] += 1
        ends = its["steps"] % self.local_steps == 0
        update = self._update(members)
        its["center"] += torch.where(ends[:, None], update, 0.0)

    def _update(self, members: Members) -> Tensor:
        """Return what a round that ends now adds to what is published, ``(members, numbers)``."""
        its = self._tensors
        change = self._of(members.flat) - self._of(its["start"].flatten(0, 1))
        norms = torch.linalg.vector_norm(change, dim=2, keepdim=True)
        clipped = change * (its["clips"][:, None, None] / norms).clamp(max=1)
        noise = torch.vmap(self._noise)(keyed(its["keys"], its["steps"]), its["center"])
        total = clipped.sum(1) + its["deviations"][:, None] * noise
        update: Tensor = total / (its["chances"] * self.shared.copies)[:, None]
        return update

    def _sample(self, key: Tensor, chance: Tensor) -> Tensor:
        with Randomness(key):
            return torch.rand(self.shared.copies, dtype=chance.dtype) < chance

    def _noise(self, key: Tensor, like: Tensor) -> Tensor:
        with Randomness(keyed(key, 0)):
            return torch.randn_like(like)

    def keep(self, index: Tensor) -> None:
        """Go on with some of the members only."""
        self._tensors = {name: tensor[index] for name, tensor in self._tensors.items()}

    def state(self, member: int) -> dict[str, Tensor]:
        """Return a copy of all that is known of a member; nothing if nothing of it is published."""
        own = {name: tensor[member].clone() for name, tensor in self._tensors.items()}
        return own if own["used"] else {}

    def load(self, member: int, state: Mapping[str, Tensor]) -> None:
        """Put what :meth:`state` returned into a member."""
        for name, tensor in self._tensors.items():
            if name in state:
                tensor[member] = state[name]
