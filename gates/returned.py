"""What a gate returns, checked: the routing of its forward, the buffers of its update."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from gatelab.gates.gate import Gate, Routing
from gatelab.registry import near_misses
from gatelab.rules import shown


def next_values(gate: Gate, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
    """Return what a gate's ``update`` gives, without gradients: no step learns by the one before.

    Args:
        gate: Whose buffers they are.
        routing: As there.
        progress: As there.

    Raises:
        ValueError: If it gives anything else than tensors by name, each of a buffer and its shape.
    """
    after: object = gate.update(routing, progress)
    if not isinstance(after, Mapping) or not all(isinstance(v, Tensor) for v in after.values()):
        raise ValueError(
            f"{type(gate).__name__}.update must return the next values of buffers, tensors by "
            f"name, but returns {shown(after)}."
        )
    if after:
        _check_buffers(gate, after)
    return {name: value.detach() for name, value in after.items()}


def _check_buffers(gate: Gate, after: Mapping[str, Tensor]) -> None:
    """Check that what an update returns are next values of a gate's buffers."""
    buffers, of = dict(gate.named_buffers()), type(gate).__name__
    for name, value in after.items():
        if name not in buffers:
            raise ValueError(
                f"{of}.update must return the next values of buffers, but {name!r} is none; "
                f"{near_misses(str(name), buffers)}"
            )
        if value.shape != buffers[name].shape:
            raise ValueError(
                f"{of}.update must return values of their buffers' shape, but {name!r} is "
                f"{tuple(buffers[name].shape)}, and its next value {tuple(value.shape)}."
            )


def checked(gate: nn.Module, routing: object) -> Routing:
    """Return what a gate's forward has given, if it is a routing of tensors.

    Args:
        gate: Whose it is.
        routing: For a batch.

    Raises:
        ValueError: If it is not, or its aux loss is more than one number.
    """
    of = type(gate).__name__
    if not isinstance(routing, Routing):
        raise ValueError(
            f"{of}.forward must return `Routing(weights, aux_loss)`, but returns a "
            f"{type(routing).__name__}."
        )
    for name, value in (("weights", routing.weights), ("aux_loss", routing.aux_loss)):
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{of}: {name} must be a tensor, such as `weights.new_zeros(())` for no aux loss, "
                f"but is {shown(value)}."
            )
    if routing.aux_loss.shape != ():
        raise ValueError(
            f"{of}: aux_loss must be one number, a mean over the batch, of shape (), but is of "
            f"shape {tuple(routing.aux_loss.shape)}."
        )
    return routing
