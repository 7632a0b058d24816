"""What models must be to train as one: alike, without state of their own, of one type."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from gatelab.gates.stack import check_unhooked
from gatelab.nn.likeness import advice, difference


def check_models(models: Sequence[nn.Module]) -> None:
    """Check that models can be members of one training.

    Args:
        models: Of which the first runs for all.

    Raises:
        ValueError: If there is none, they differ in structure, learn numbers of several types,
            one changes its own state, or a layer's gradient is sparse that is no table's.
    """
    if not models:
        raise ValueError("`members >= 1` must hold, but got no member.")
    for model in models[1:]:
        if found := difference(models[0], model):
            raise ValueError(
                "Members must have one structure and differ in their tensors alone, but "
                f"{found}; {advice(found)}."
            )
    check_unhooked(models[0])
    _check_one_type(models[0])
    _check_stateless(models[0])
    _check_gradients(models[0])


def _check_one_type(model: nn.Module) -> None:
    """Check that all that is learnt is of one type: it lies in one row, which has but one."""
    learnt = {name: p.dtype for name, p in model.named_parameters() if p.requires_grad}
    own = torch.get_default_dtype()
    if learnt and own not in learnt.values():
        own = next(iter(learnt.values()))
    for name, dtype in learnt.items():
        if dtype != own:
            raise ValueError(
                f"All that a model learns must be of one type, but {name!r} is {dtype} and others "
                f"are {own}: make it of that, and cast in forward what must be another."
            )


def _check_stateless(model: nn.Module) -> None:
    """Check that no pass changes what a model keeps."""
    for name, module in model.named_modules():
        if module.training and getattr(module, "track_running_stats", False):
            raise ValueError(
                f"A network must not change its own state in a forward pass, but {name!r} "
                f"({type(module).__name__}) keeps running statistics; use a LayerNorm, or keep it "
                "in evaluation where `train` is called."
            )
        if getattr(module, "max_norm", None) is not None:
            raise ValueError(
                f"A network must not change its own state in a forward pass, but {name!r} "
                f"({type(module).__name__}) has a `max_norm`; scale what is looked up instead."
            )


def _check_gradients(model: nn.Module) -> None:
    """Check that no layer's gradient is sparse but a table's, whose steps are of its rows alone."""
    for name, module in model.named_modules():
        if isinstance(module, nn.EmbeddingBag) and module.sparse and module.weight.requires_grad:
            raise ValueError(
                "Sparse gradients are those of `nn.Embedding` alone, but "
                f"{name!r} ({type(module).__name__}) has them too; leave out `sparse=True`."
            )
