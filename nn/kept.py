"""What modules keep from pass to pass, and lose where one module runs for many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

IN_PLACE = "what is kept in forward is no buffer that is changed in place"
"""What most likely loses what a module keeps."""


def lost_by_a_pass(modules: Mapping[str, nn.Module], once: Callable[[], object]) -> str:
    """Return what of modules' own a pass changes so that it is lost; empty: nothing.

    While members train, one module runs with the tensors of each in turn. A buffer that is
    replaced (``self.mean = ...``) is put back then; a number (``self.count += 1``) is that of all
    of them, and in no saved state. A buffer that is changed in place stays.

    Args:
        modules: By what they are called.
        once: Makes a pass over all of them. The first may set up what stays.
    """
    once()
    before = _own(modules)
    once()
    after = _own(modules)
    for where in before.keys() & after.keys():
        old, new = before[where], after[where]
        if isinstance(old, Tensor):
            if new is not old:
                return f"a pass replaces the buffer {where[1]!r} of the {where[0]}"
        elif new != old and new == new:
            return f"a pass changes {where[1]!r} of the {where[0]} from {old!r} to {new!r}"
    return ""


def _own(modules: Mapping[str, nn.Module]) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for part, whole in modules.items():
        for path, module in whole.named_modules():
            numbers = {n: v for n, v in vars(module).items() if isinstance(v, int | float | str)}
            for name, value in {**numbers, **module._buffers}.items():
                found[part, f"{path}.{name}".lstrip(".")] = value
    return found
