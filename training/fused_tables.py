"""Embedding tables with sparse gradients, of all members at once: dense, with marks of their rows.

The gradient of a sparse table is a tensor that ``torch.vmap`` cannot make, and of a size that a GPU
must be waited for. A dense gradient has neither fault, but does not tell a row that was looked up
from one that was not, and Adam moves the one, not the other. So a lookup leaves marks
(:mod:`.lookups`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor


class FusedTables:
    """The tables of M members, each as one tensor ``(M, rows, features)``, and marks ``(M, rows)``.

    Of a layer that stands in a stack, ``rows`` are two dimensions: copies, and the rows of each.
    Marks are zeros that nothing depends on. What reaches them as a gradient is how often each row
    was looked up, wherever a sparse gradient would have held that row. Not of a layer in a stack,
    whose lookups are of one copy at a time: there a row without a gradient counts as not looked up.
    """

    def __init__(self, tables: Mapping[str, Tensor]) -> None:
        """Begin with tables ``(M, rows, features)`` by name, which are not copied."""
        self.tables = {name: table.detach().requires_grad_() for name, table in tables.items()}
        self.marks = {
            name: table.new_zeros(table.shape[:-1]).requires_grad_()
            for name, table in self.tables.items()
        }

    def kept(self, index: Tensor) -> FusedTables:
        """Return copies of some members' tables, at an index ``(members,)``."""
        return FusedTables({name: table.detach()[index] for name, table in self.tables.items()})

    def double(self) -> FusedTables:
        """Return copies in double precision."""
        return FusedTables({name: table.detach().double() for name, table in self.tables.items()})

    def views(self, members: int) -> list[dict[str, Tensor]]:
        """Return each member's tables by name, which change as these do."""
        return [
            {name: table.detach()[member] for name, table in self.tables.items()}
            for member in range(members)
        ]

    def apart(self) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Yield each member's tables and marks by name, through which gradients reach these."""
        tables = zip(*(table.unbind(0) for table in self.tables.values()), strict=True)
        marks = zip(*(mark.unbind(0) for mark in self.marks.values()), strict=True)
        for own, marked in zip(tables, marks, strict=True):
            yield (
                dict(zip(self.tables, own, strict=True)),
                dict(zip(self.marks, marked, strict=True)),
            )

    def gradients(self) -> list[Tensor]:
        """Return those of the tables that have one, ``(M, rows, features)``."""
        return [table.grad for table in self.tables.values() if table.grad is not None]

    def looked_up(self, name: str) -> Tensor:
        """Return which rows of a table's gradient are of a lookup, ``(M, rows)``.

        Also those whose gradient came on another way, as with a table that is an output layer too.
        """
        gradient, marked = self.tables[name].grad, self.marks[name].grad
        assert gradient is not None
        found: Tensor = (gradient != 0).any(-1)
        return found if marked is None else found | (marked > 0)

    def clear_gradients(self) -> None:
        """Let no gradient be left."""
        for tensor in (*self.tables.values(), *self.marks.values()):
            tensor.grad = None


def stacked(tables: Sequence[Mapping[str, Tensor]]) -> FusedTables:
    """Return the tables of members as one each."""
    return FusedTables({name: torch.stack([own[name] for own in tables]) for name in tables[0]})
