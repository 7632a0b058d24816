"""Bottoms that vmap refuses or runs otherwise, ``(batch, WIDTH)`` to ``(batch, WIDTH)``.

And a layer that keeps what torch does not see.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.utils.checkpoint import checkpoint

WIDTH = 8


class Recurrent(nn.Module):
    kind: type[nn.RNNBase] = nn.GRU

    def __init__(self) -> None:
        super().__init__()
        self.cells = self.kind(1, WIDTH, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cells(x.unsqueeze(-1))[0][:, -1]  # type: ignore[no-any-return]


class Memory(Recurrent):
    kind = nn.LSTM


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.odd(self.linear(x))

    def odd(self, y: Tensor) -> Tensor:
        raise NotImplementedError


class Masked(Linear):
    def odd(self, y: Tensor) -> Tensor:
        y = y.clone()
        y[y < 0] = 0
        return y


class Branch(Linear):
    def odd(self, y: Tensor) -> Tensor:
        return y * 2 if y.max() > 0.5 else y


class Item(Linear):
    def odd(self, y: Tensor) -> Tensor:
        return y / y.abs().max().item()


class Filled(Linear):
    def odd(self, y: Tensor) -> Tensor:
        z = torch.zeros(y.shape, dtype=y.dtype)
        z[:, :3] = y[:, :3]
        z[:, 3:] = y[:, 3:].relu()
        return z


class OldStyle(Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        return y.relu()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return gradient * (y > 0)


class Own(Linear):
    def odd(self, y: Tensor) -> Tensor:
        return OldStyle.apply(y)  # type: ignore[no-any-return, no-untyped-call]


class Unique(Linear):
    def odd(self, y: Tensor) -> Tensor:
        return y / y.detach().round().unique().numel()


class Checkpointed(Linear):
    def odd(self, y: Tensor) -> Tensor:
        return checkpoint(torch.relu, y, use_reentrant=False)  # type: ignore[no-any-return]


class Scores(Linear):
    """Takes another way in evaluation only."""

    def odd(self, y: Tensor) -> Tensor:
        return y if self.training else y.clamp_max(y.max().item() + 1)


class Cast(Linear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.linear(x).relu().float()


class Holder(nn.Module):
    """Keeps a value as a plain attribute."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.value = value


REFUSED: tuple[type[nn.Module], ...] = (
    *(Recurrent, Memory, Masked, Branch, Item, Filled, Own, Unique, Checkpointed, Scores),
)
