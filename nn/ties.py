"""Ties: learnt parameters that modules have in common, which train apart in gatelab."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from torch import nn

MADE_OUTSIDE = "a module made outside the factory"
"""What most likely has modules share what they learn."""


def tie(parts: Iterable[tuple[str, nn.Module]], *, may: Collection[str] = ()) -> str:
    """Return which parts share a learnt parameter, in words; empty: none.

    Args:
        parts: Modules by what they are called.
        may: Those of them that may share with each other.
    """
    owners: dict[int, tuple[str, nn.Parameter]] = {}  # held: an id would be used again
    for part, module in parts:
        for name, parameter in module.named_parameters():
            owner, _ = owners.setdefault(id(parameter), (part, parameter))
            if parameter.requires_grad and owner != part and not {owner, part} <= {*may}:
                return f"{owner} and {part} share the parameter {name!r}"
    return ""


def check_untied(parts: Iterable[tuple[str, nn.Module]], *, may: Collection[str] = ()) -> None:
    """Check that no parts share what they learn: each is to train with tensors of its own.

    Args:
        parts: As :func:`tie` takes them.
        may: Likewise.

    Raises:
        ValueError: If two do.
    """
    if found := tie(parts, may=may):
        raise ValueError(
            f"Modules that train apart must have parameters of their own, but {found}, of which "
            "each would train a copy: make new layers in every call, or freeze what is shared "
            "(`requires_grad_(False)`)."
        )
