"""Models of one structure as one: their tensors stacked, their calls fused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from gatelab.gates.stack import convolves, has_ties, in_turn
from gatelab.training.fused_tables import FusedTables, stacked
from gatelab.training.lookups import PADS, lookups
from gatelab.training.member_models import check_models

Tensors = dict[str, Tensor]
FUSED_ON_CPU = 2**19
"""Numbers in a member's tables up to which a step is faster there with all of them fused."""


class Members:
    """The tensors of M models of one structure, and the way to call a function on all of them.

    Every dense parameter of a member lies in one row of ``flat``, ``(M, parameters)``: a step of
    the optimiser, a copy of the best weights and a member's removal are then one operation each.
    Tables of ``nn.Embedding(sparse=True)`` stay apart, so that a step touches only looked-up rows;
    so do frozen parameters (``requires_grad=False``), with the buffers, and are not stepped at all.
    On a CPU large tables of each member are tensors of their own, with sparse gradients; small
    ones, all elsewhere, and those of experts are fused (:mod:`.fused_tables`).
    """

    def __init__(self, models: Sequence[nn.Module], device: torch.device | str = "cpu") -> None:
        """Stack the models.

        Raises:
            ValueError: If there is none, they differ in structure, learn numbers of several types,
                or one changes its own state.
        """
        check_models(models)
        self.device = torch.device(device)
        models = [_moved(model, self.device) for model in models]
        self.skeleton = models[0]
        self.tied = has_ties(models[0])
        """Whether layers share a tensor, in whose every place a call must put it."""
        tables = set(sparse_tables(models[0]))
        parameters = dict(models[0].named_parameters())
        frozen = {n for n, p in parameters.items() if not p.requires_grad}
        self.shapes = {n: p.shape for n, p in parameters.items() if n not in tables | frozen}
        self._sizes = [shape.numel() for shape in self.shapes.values()]
        rows = [_flatten([dict(m.named_parameters())[n] for n in self.shapes]) for m in models]
        self.flat = torch.stack(rows).requires_grad_()
        self.buffers = {
            name: torch.stack([dict(_tensors(m))[name].detach() for m in models])
            for name, _ in _tensors(models[0])
            if name not in {*self.shapes, *tables}
        }
        self.tables: list[Tensors] = [
            {n: nn.Parameter(dict(m.named_parameters())[n].detach()) for n in tables}
            for m in models
        ]
        """Of each member by name, to be changed in place."""
        self.fused_tables: FusedTables | None = None
        held = [parameters[name] for name in tables]
        if held and (fuses_tables(self.device, held) or any(table.dim() > 2 for table in held)):
            self._take_tables(stacked(self.tables))
        self._convolves = convolves(models[0])
        self._noted: set[str] | None = set()
        self.fused = True
        """Whether one call may run all members; to be unset where it cannot."""

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self.flat)

    @property
    def one_by_one(self) -> bool:
        """Whether members are called in turn: where fusing is slower, or cannot be.

        One member has nothing to fuse, convolutions are slower fused on a CPU, and a sparse
        gradient cannot be fused; what else cannot is found by a rehearsal.
        """
        slower = self._convolves and self.device.type == "cpu"
        return len(self) == 1 or not self.fused or slower or self.has_sparse_gradients

    @property
    def has_sparse_gradients(self) -> bool:
        """Whether a step makes a gradient whose size nobody knows beforehand."""
        return bool(self.tables[0]) and self.fused_tables is None

    def call(
        self,
        function: Callable[..., Any],
        own: Sequence[Tensor | None] = (),
        shared: Sequence[Tensor | None] = (),
    ) -> Any:
        """Call ``function(tensors, *own, *shared)`` for every member.

        Args:
            function: Takes a member's tensors by name, and returns tensors in tuples or dicts.
            own: Arguments whose first dimension is the member's.
            shared: Arguments that all members have in common.

        Returns:
            What the function returns, every tensor with a new first dimension ``M``.
        """
        if self.one_by_one:
            return self._call_in_turn(function, own, shared)

        def fused(
            row: Tensor, tables: Tensors, marks: Tensors, buffers: Tensors, *given: Tensor | None
        ) -> Any:
            with lookups(tables, marks, self._noted):
                return function({**self.unflatten(row), **tables, **buffers}, *given)

        dims = (*(0,) * 4, *(None if a is None else 0 for a in own), *(None for _ in shared))
        call = torch.vmap(fused, dims, randomness="different")
        held = self.fused_tables
        tables, marks = ({}, {}) if held is None else (held.tables, held.marks)
        return call(self.flat, tables, marks, self.buffers, *own, *shared)

    def _call_in_turn(
        self,
        function: Callable[..., Any],
        own: Sequence[Tensor | None],
        shared: Sequence[Tensor | None],
    ) -> Any:
        rows = self.flat.unbind(0)  # once: see Stack
        held = self.fused_tables
        apart = [(own, {}) for own in self.tables] if held is None else [*held.apart()]

        def call(member: int) -> Any:
            mine = [a if a is None else a[member] for a in own]
            tables, marks = apart[member]
            with lookups(tables, marks):
                return function({**self._tensors(member, rows[member]), **tables}, *mine, *shared)

        return in_turn(call, len(self))

    def unflatten(self, row: Tensor) -> Tensors:
        """Return the dense parameters by name, as views of one row ``(parameters,)``."""
        parts = torch.split(row, self._sizes)
        shapes = self.shapes.items()
        return {name: part.view(shape) for (name, shape), part in zip(shapes, parts, strict=True)}

    def _tensors(self, member: int, row: Tensor) -> Tensors:
        buffers = {name: tensor[member] for name, tensor in self.buffers.items()}
        return {**self.unflatten(row), **self.tables[member], **buffers}

    def end_rehearsal(self) -> None:
        """Look for padding no further where no lookup of members called together has had any."""
        if self._noted is not None and PADS not in self._noted:
            self._noted = None

    def is_finite(self, member: int) -> bool:
        """Return whether no parameter of a member is NaN or infinite."""
        learnt = (self.flat[member], *self.tables[member].values())
        return all(bool(tensor.isfinite().all()) for tensor in learnt)

    def keep(self, members: Sequence[int]) -> None:
        """Go on with some of the members only, in the order given."""
        index = torch.tensor(members, device=self.device)
        self.flat = self.flat.detach()[index].requires_grad_()
        self.buffers = {name: tensor[index] for name, tensor in self.buffers.items()}
        if self.fused_tables is not None:
            self._take_tables(self.fused_tables.kept(index))
            return
        self.tables = [
            {n: nn.Parameter(table.detach().clone()) for n, table in self.tables[m].items()}
            for m in members
        ]

    def _take_tables(self, tables: FusedTables) -> None:
        self.fused_tables, self.tables = tables, tables.views(len(self))

    def gradients(self) -> list[Tensor]:
        """Return those that are no sparse ones, each with a first dimension of members."""
        fused = [] if self.fused_tables is None else self.fused_tables.gradients()
        return [*([] if self.flat.grad is None else [self.flat.grad]), *fused]

    def clear_gradients(self) -> None:
        """Let no gradient be left."""
        self.flat.grad = None
        if self.fused_tables is not None:
            self.fused_tables.clear_gradients()
        for tables in self.tables:
            for table in tables.values():
                table.grad = None

    def double(self) -> Members:
        """Return a copy in double precision."""
        others = copy(self)
        others.flat = others.flat.detach().double().requires_grad_()
        others.buffers = {name: as_double(tensor) for name, tensor in others.buffers.items()}
        if others.fused_tables is not None:
            others._take_tables(others.fused_tables.double())
        else:
            others.tables = [
                {n: nn.Parameter(table.detach().double()) for n, table in own.items()}
                for own in others.tables
            ]
        return others

    def of(self, states: Sequence[Tensors]) -> Members:
        """Return members of the same structure, with what :meth:`state` returned of each."""
        others = copy(self)
        others.keep([0] * len(states))
        for member, state in enumerate(states):
            others.load(member, state)
        return others

    def of_one(self, member: int) -> Members:
        """Return a copy of one member, as the only one."""
        return self.of([self.state(member)])

    def state(self, member: int) -> Tensors:
        """Return a copy of all of one member's tensors by name."""
        tensors = self._tensors(member, self.flat[member])
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}

    @torch.no_grad()
    def load(self, member: int, state: Tensors) -> None:
        """Put what :meth:`state` returned into a member."""
        self.flat[member] = _flatten([state[name] for name in self.shapes])
        for name, tensor in self.buffers.items():
            tensor[member] = state[name]
        for name, table in self.tables[member].items():
            table.copy_(state[name])


def fuses_tables(device: torch.device, tables: Sequence[Tensor]) -> bool:
    """Return whether tables with sparse gradients are fused: where these would be waited for.

    Or where they cost more than to move all rows: then a CPU repeats the step, too.
    """
    return device.type != "cpu" or sum(table.numel() for table in tables) <= FUSED_ON_CPU


def _moved(model: nn.Module, device: torch.device) -> nn.Module:
    """Put a model on a device, but let cuDNN not lay out recurrent layers' weights anew there.

    In a stack these have a dimension more than it knows.
    """
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        return model.to(device)
    finally:
        torch.backends.cudnn.enabled = before


def as_double(tensor: Tensor) -> Tensor:
    """Return a tensor in double precision, if it is of real numbers."""
    return tensor.double() if tensor.is_floating_point() else tensor


def _flatten(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers, also those that no state dict has, by name."""
    return chain(model.named_parameters(), model.named_buffers())


def sparse_tables(model: nn.Module) -> list[str]:
    """Return the names of the tables whose gradients are sparse."""
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and module.sparse and module.weight.requires_grad
    ]
