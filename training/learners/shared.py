"""What the targets of a model share, bottom and experts, in all copies of all members at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from gatelab.training.members import Members

SHARED_NAMES = ("bottom.", "gate_input.", "mixture.experts.")
"""How the names of these parameters begin in a model."""


class Shared:
    """Finds the shared parameters in members' rows; gates and towers are each target's own."""

    def __init__(self, members: Members, copies: int, keys: Sequence[int] = ()) -> None:
        """Look for them.

        Args:
            members: Whose rows are the copies of members, one after another.
            copies: Of each member.
            keys: What a learner's draws for each member follow from; by default none draws.
        """
        self.copies = copies
        self.keys = torch.tensor(keys, dtype=torch.int64, device=members.device)
        """``(members,)``, for :class:`~gatelab.gates.randomness.Randomness`."""
        self.tables = [name for name in members.tables[0] if name.startswith(SHARED_NAMES)]
        self._runs = list(_runs(members))
        self._like = members.flat.detach().new_empty(0)

    def of_members(self, values: Sequence[float]) -> Tensor:
        """Return a number of each member where members are, ``(members,)``."""
        return self._like.new_tensor(values)

    def parts(self, rows: Tensor) -> list[Tensor]:
        """Return views of the dense ones in rows such as ``members.flat`` or its gradient.

        Each is ``(members, copies, numbers)``.
        """
        apart = rows.unflatten(0, (-1, self.copies))
        return [apart[:, :, start:end] for start, end in self._runs]

    @torch.no_grad()
    def mix(self, members: Members, matrix: Tensor) -> None:
        """Put weighted sums of the copies in place of the copies of each member.

        Args:
            members: To change.
            matrix: ``(copies, copies)``, a row for each copy that it is to become, or one for each
                member, ``(members, copies, copies)``.
        """
        for part in self.parts(members.flat):
            part.copy_(matrix @ part)
        for name in self.tables:
            table = self._table(members, name)
            mixed = (matrix @ table.flatten(2)).view_as(table)
            for own, after in zip(members.tables, mixed.flatten(0, 1), strict=True):
                own[name].copy_(after)

    def mean_of(self, members: Members) -> Members:
        """Return others, whose copies all have the mean of a member's copies."""
        found = members.of([members.state(row) for row in range(len(members))])
        self.mix(found, found.flat.new_full((self.copies, self.copies), 1 / self.copies))
        return found

    @torch.no_grad()
    def spread(self, members: Members) -> Tensor:
        """Return the sum over copies of the squared distance to their mean, ``(members,)``."""
        parts = [*self.parts(members.flat), *(self._table(members, name) for name in self.tables)]
        found: Tensor = members.flat.new_zeros(len(members) // self.copies)
        for part in parts:
            found += (part - part.mean(1, keepdim=True)).square().flatten(1).sum(1)
        return found

    def _table(self, members: Members, name: str) -> Tensor:
        """Return a table of all copies, ``(members, copies, rows, features)``."""
        every = torch.stack([own[name] for own in members.tables])
        apart: Tensor = every.unflatten(0, (-1, self.copies))
        return apart


def count_shared(model: nn.Module) -> int:
    """Return how many numbers of a model are shared by its targets."""
    named = model.named_parameters()
    return sum(each.numel() for name, each in named if name.startswith(SHARED_NAMES))


def _runs(members: Members) -> Iterator[tuple[int, int]]:
    """Yield from where to where shared parameters lie in a row, without a gap in between."""
    ends = [0, *accumulate(shape.numel() for shape in members.shapes.values())]
    found = [
        place
        for name, place in zip(members.shapes, pairwise(ends), strict=True)
        if name.startswith(SHARED_NAMES)
    ]
    begun: tuple[int, int] | None = None
    for start, end in found:
        if begun is not None and begun[1] == start:
            begun = begun[0], end
            continue
        if begun is not None:
            yield begun
        begun = start, end
    if begun is not None:
        yield begun
