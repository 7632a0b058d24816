"""Modules of one structure as one module, whose forward is a single vmapped call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from gatelab.gates.randomness import Randomness, current_randomness
from gatelab.nn.likeness import advice, difference
from gatelab.nn.ties import check_untied

ONE_BY_ONE_FROM = 2**14
"""Numbers in a module from which a CPU runs modules one by one (docs/benchmarks.md)."""


class Stack(nn.Module):
    """Runs ``n`` modules that differ only in their tensors, each on the same or its own input.

    A module may bring a faster way: ``forward_stacked(x)``, which finds all its tensors with a new
    first dimension ``n``, and returns what forward does with that dimension in front.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        """Stack the modules' parameters and buffers along a new first dimension.

        Raises:
            ValueError: If there is no module, they differ in more than their tensors or share
                any that they learn, or a gradient has a hook.
        """
        super().__init__()
        if not modules:
            raise ValueError("`len(modules) >= 1` must hold, but got no module.")
        _check_alike(modules)
        check_untied((f"{type(m).__name__} {place}", m) for place, m in enumerate(modules, 1))
        for module in modules:
            check_unhooked(module)
        self.size = len(modules)
        self.each = _copied(modules[0])
        self._tied = has_ties(self.each)
        shared = _shared(self.each)
        for name, tensor in _stacked(modules):
            _replace(self.each, shared[name], tensor)
        self._places = _places(self.each)
        numbers = sum(tensor[0].numel() for tensor in self.tensors().values())
        self.large = convolves(self.each) or numbers >= ONE_BY_ONE_FROM
        self.fused = True
        """Whether one call may run all modules; to be unset where it cannot."""

    def forward(self, x: Tensor, *, own: bool = False) -> Any:
        """Return every module's result with a new first dimension ``n``.

        Args:
            x: ``(batch, ...)`` for all modules, or with ``own`` one for each, ``(n, batch, ...)``.
            own: Whether each module has its own input.
        """
        faster: Callable[[Tensor], Any] | None = getattr(self.each, "forward_stacked", None)
        if faster is not None and self.fused and not own:
            return faster(x)
        if own:
            return self.call(self._call, (self.tensors(), x))
        return self.call(self._call, (self.tensors(),), (x,))

    def call(
        self, function: Callable[..., Any], own: tuple[Any, ...], shared: tuple[Any, ...] = ()
    ) -> Any:
        """Call ``function(*own, *shared)`` for every module, at once where that is possible.

        Args:
            function: Takes what is a module's own, and what all have in common.
            own: Tensors whose first dimension is the module's, or tuples or dicts of such.
            shared: Tensors.

        Returns:
            What the function returns, every tensor with a new first dimension ``n``.
        """
        draws = current_randomness()
        if draws is not None:  # each module draws apart from the others
            function, own = _drawing(draws, function), (draws.split(self.size), *own)
        # vmap needs a tensor, and earns nothing of one module. On a CPU large modules are faster
        # one by one: one module's activations stay in the cache, where all modules' do not.
        parts, form = tree_flatten(own)

        def one(*mine: Tensor) -> Any:
            return function(*tree_unflatten(mine, form), *shared)

        alone = self.size == 1 or not self.fused
        if not parts or alone or (self.large and parts[0].device.type == "cpu"):
            # Unbound once: the gradient of one index after another would be added up in full size.
            rows = [part.unbind(0) for part in parts]
            return in_turn(lambda i: one(*(row[i] for row in rows)), self.size)
        return torch.vmap(one, randomness="different")(*parts)

    def tensors(self) -> dict[str, Tensor]:
        """Return the stacked parameters and buffers by name."""
        return {name: getattr(of, kind)[leaf] for name, of, kind, leaf in self._places}

    def only(self, index: int) -> dict[str, Tensor]:
        """Return one module's parameters and buffers by name."""
        return {name: tensor[index] for name, tensor in self.tensors().items()}

    def call_one(self, index: int, x: Tensor) -> Any:
        """Return the result of one module alone."""
        return self._call(self.only(index), x)

    def _call(self, tensors: dict[str, Tensor], x: Tensor) -> Any:
        return functional_call(self.each, tensors, (x,), tie_weights=self._tied)


def _drawing(draws: Randomness, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes its place first, at which it draws."""

    def call(place: Tensor, *arguments: Any) -> Any:
        with draws.at(place):
            return function(*arguments)

    return call


def in_turn(call: Callable[[int], Any], count: int) -> Any:
    """Return the results of ``call(0)`` to ``call(count - 1)`` as vmap would: stacked in front."""
    results = [call(index) for index in range(count)]
    if count == 1:  # a view instead of a copy
        return tree_map(lambda tensor: tensor.unsqueeze(0), results[0])
    return tree_map(lambda *tensors: torch.stack(tensors), *results)


def convolves(module: nn.Module) -> bool:
    """Return whether anything in a module is a convolution: on a CPU they are slower fused."""
    return any(isinstance(m, nn.modules.conv._ConvNd) for m in module.modules())


def has_ties(module: nn.Module) -> bool:
    """Return whether layers share a tensor: else none need be looked for at each call."""
    return any(len(names) > 1 for names in _shared(module).values())


def _places(module: nn.Module) -> list[tuple[str, nn.Module, str, str]]:
    """Return of each tensor its name and where it lies, which are then not looked for at each call.

    Of a tensor that layers share it is the first place.
    """
    owners = dict(module.named_modules())
    parameters = [(name, "_parameters") for name, _ in module.named_parameters()]
    found = [*parameters, *((name, "_buffers") for name, _ in module.named_buffers())]
    return [
        (name, owners[path], kind, leaf)
        for name, kind in found
        for path, _, leaf in [name.rpartition(".")]
    ]


def check_unhooked(module: nn.Module) -> None:
    """Refuse a hook on the gradient of a parameter, in whose place a part of a larger tensor runs.

    Raises:
        ValueError: If there is one, such as a mask that lets a part of a parameter learn.
    """
    for name, parameter in module.named_parameters():
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            raise ValueError(
                f"{type(module).__name__}: {name!r} has a hook on its gradient, which is lost "
                "where modules run as one: freeze it whole (`requires_grad_(False)`), or `detach` "
                "in forward what must not learn."
            )


def _copied(module: nn.Module) -> nn.Module:
    """Return a copy that has in common what was computed, which torch refuses to copy."""
    held = (value for part in module.modules() for value in vars(part).values())
    computed = [v for v in held if isinstance(v, Tensor) and v.grad_fn is not None]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in computed})


def _check_alike(modules: Sequence[nn.Module]) -> None:
    """Check that the first module's code and attributes can serve for all."""
    for module in modules[1:]:
        if found := difference(modules[0], module):
            raise ValueError(
                f"{type(modules[0]).__name__}: modules that run as one may differ in their tensors "
                f"alone, but {found}; {advice(found)}."
            )


def _stacked(modules: Sequence[nn.Module]) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of the modules by name, stacked."""
    states = [dict(chain(m.named_parameters(), m.named_buffers())) for m in modules]
    for name in states[0]:
        yield name, torch.stack([state[name].detach() for state in states])


def _shared(module: nn.Module) -> dict[str, list[str]]:
    """Return all names of every tensor, by its first: layers may share one."""
    own = chain(
        module.named_parameters(remove_duplicate=False),
        module.named_buffers(remove_duplicate=False),
    )
    names: dict[int, list[str]] = {}
    for name, tensor in own:
        names.setdefault(id(tensor), []).append(name)
    return {found[0]: found for found in names.values()}


def _replace(module: nn.Module, names: Sequence[str], tensor: Tensor) -> None:
    """Put one tensor in the place of another, wherever that is."""
    old = dict(module.named_parameters()).get(names[0])
    new = tensor if old is None else nn.Parameter(tensor, requires_grad=old.requires_grad)
    for name in names:
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        if isinstance(new, nn.Parameter):
            owner._parameters[leaf] = new
        else:
            owner._buffers[leaf] = new
