"""Whether modules have all their numbers as soon as they are made, of the type that is learnt."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from gatelab.conformance import fail
from gatelab.nn.ties import VIEWED, same_numbers


def check_made(modules: Mapping[str, nn.Module]) -> None:
    """Check that modules have all their numbers from the beginning, each from a seed of its own.

    Raises:
        CheckFailed: If one has a lazy layer, learns numbers of another type than the default, or
            those of another tensor.
    """
    own = torch.get_default_dtype()
    for name, module in modules.items():
        if any(is_lazy(tensor) for tensor in chain(module.parameters(), module.buffers())):
            fail(
                f"the {name} has a lazy layer, whose size nobody knows before a pass",
                "a size that is left to torch: give it one, as nn.Linear has it",
            )
        for path, tensor in module.named_parameters():
            if tensor.requires_grad and tensor.dtype != own:
                fail(
                    f"all that a model learns is {own}, but {path!r} of the {name} is "
                    f"{tensor.dtype}",
                    "`.half()`, `.double()` or a `dtype`: cast what it is multiplied with instead",
                )
    if found := same_numbers(modules.items()):
        fail(found, VIEWED)
