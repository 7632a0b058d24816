"""Layers of the bundled tasks: small MLPs, and dropout that is fast on CPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from gatelab.registry import near_misses
from gatelab.rules import check_counts, check_shares
from gatelab.tasks.dot_products import dot_products
from gatelab.tasks.products import matrix_product, suits
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network


class DefaultPrecision(nn.Module):
    """Turns numbers of any dtype into those of torch's default one, which layers are made of."""

    def forward(self, x: Tensor) -> Tensor:
        """Turn ``x``, any shape; what has that dtype is returned as it is."""
        return x.to(torch.get_default_dtype())


class UserAndItem(nn.Module):
    """Turns a user and an item into an embedding of each, side by side."""

    def __init__(self, users: int, items: int, width: int) -> None:
        """Make the embeddings from torch's global random state."""
        super().__init__()
        self.users, self.items = nn.Embedding(users, width), nn.Embedding(items, width)

    def forward(self, pairs: Tensor) -> Tensor:
        """Turn ``(batch, 2)`` places into ``(batch, 2 * width)``."""
        return torch.cat([self.users(pairs[:, 0]), self.items(pairs[:, 1])], 1)


class Linear(nn.Linear):
    """A linear layer as ``nn.Linear``, which some CPUs train faster.

    A layer of one unit trains in a third of the time where many do (:mod:`.dot_products`), a large
    one in half of it on AMD's with AVX-512 (:mod:`.products`). Elsewhere, and in evaluation, it is
    ``nn.Linear``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Turn ``x``, ``(..., in_features)``, into ``(..., out_features)``."""
        multiply = self._faster(x) if self.training else None  # an export needs a layer of torch's
        if multiply is None:
            return super().forward(x)
        y = multiply(x, self.weight)
        return y if self.bias is None else y + self.bias

    def _faster(self, x: Tensor) -> Callable[[Tensor, Tensor], Tensor] | None:
        """Return what multiplies ``x`` and the weights faster than torch's layer, if anything."""
        fits = x.dim() == 2 and x.shape[1] == self.in_features
        if self.out_features == 1 and fits and x.device.type == "cpu":
            return dot_products
        return matrix_product if suits(x, self.weight) else None


class Dropout(nn.Module):
    """Inverted dropout, as ``nn.Dropout``, at a third of its cost on a CPU.

    ``bernoulli_`` draws one number an element there; here each 64-bit draw serves four elements, or
    eight where ``p`` is a multiple of 1/256. So ``p`` is rounded to a multiple of 1/65536, and the
    kept elements are scaled by what that leaves. On every device the same elements are dropped.
    Random numbers come from torch, by one function that a training answers from a member's key.
    """

    def __init__(self, p: float) -> None:
        """Set the share of elements to drop, ``p``, in [0, 1).

        Raises:
            ValueError: If ``p`` is outside its range.
        """
        super().__init__()
        check_shares(p=p)
        self.p = min(round(p * 65536), 65535) / 65536
        self._draw = torch.int8 if self.p * 256 == int(self.p * 256) else torch.int16

    def forward(self, x: Tensor) -> Tensor:
        """Drop and scale elements of ``x``, any shape, in training; else return it as it is."""
        if not self.training or self.p == 0:
            return x
        span = 1 << torch.iinfo(self._draw).bits
        dropped = round(self.p * span) - span // 2
        # Clamped floats: a CPU compares into bools at a fifth of the speed.
        kept = _uniform(x, self._draw).float().sub_(dropped - 1).clamp(0, 1)
        return x * kept.mul_(1 / (1 - self.p)).to(x.dtype)

    def extra_repr(self) -> str:
        """Return what ``repr`` shows."""
        return f"p={self.p:g}"


def _uniform(like: Tensor, dtype: torch.dtype) -> Tensor:
    """Draw from all values of a type, by ``randint``: vmap refuses ``random_`` on a new tensor."""
    size, each = like.numel(), 64 // torch.iinfo(dtype).bits
    draws = torch.randint(-(2**63), 2**63 - 1, (-(-size // each),), device=like.device)
    return draws.view(dtype)[:size].view(like.shape)


def mlp(in_features: int, width: int, depth: int, dropout: float = 0.0) -> nn.Sequential:
    """Return ``depth`` layers ``(batch, in_features)`` to ``(batch, width)``, each with a ReLU.

    Args:
        in_features: The number of features that the first layer reads.
        width: The number of units of each layer.
        depth: The number of layers, at least 1.
        dropout: The share of units dropped after each ReLU, in [0, 1).
    """
    layers: list[nn.Module] = []
    for index in range(depth):
        layers += [Linear(width if index else in_features, width), nn.ReLU()]
        if dropout > 0:
            layers.append(Dropout(dropout))
    return nn.Sequential(*layers)


def conv_expert(side: int, channels: int, width: int, depth: int, dropout: float) -> nn.Sequential:
    """Return a CNN from images ``(batch, 1, side, side)`` to ``(batch, width)``.

    Two 5x5 convolutions, each with a ReLU and a maximum over 2x2 pixels, then :func:`mlp`.

    Args:
        side: Of the square images, in pixels, at least 16.
        channels: Of the first convolution; the second has twice as many.
        width: The number of units of each layer that follows.
        depth: The number of those layers, at least 1.
        dropout: The share of their units dropped, in [0, 1).
    """
    left = ((side - 4) // 2 - 4) // 2
    return nn.Sequential(
        *(nn.Conv2d(1, channels, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(channels, 2 * channels, 5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *mlp(2 * channels * left**2, width, depth, dropout),
    )


def kinds_of(
    text: str, known: Mapping[str, Callable[[], nn.Module]]
) -> list[Callable[[], nn.Module]]:
    """Return the factories of experts that a text such as ``cnn+mlp`` names, in its order.

    Args:
        text: One name or several, each with a plus between.
        known: The factories by name.

    Raises:
        ValueError: If a name is not known.
    """
    names = str(text).split("+")
    for name in names:
        if name not in known:
            raise ValueError(f"unknown expert {name!r:.100}; {near_misses(name, known)}")
    return [known[name] for name in names]


def mlp_network(
    bottom: Callable[[], nn.Module],
    in_features: int,
    *,
    expert_width: int,
    expert_depth: int,
    tower_width: int,
    dropout: float,
) -> Network:
    """Return a network of MLPs whose gates and experts both read the bottom's output.

    Args:
        bottom: Makes the module from raw inputs to ``(batch, in_features)``.
        in_features: The number of features that the bottom gives.
        expert_width: The number of units of each of an expert's layers, at least 1.
        expert_depth: The number of an expert's layers, at least 1.
        tower_width: The number of units of a tower's only hidden layer, at least 1.
        dropout: The share of an expert's units dropped in training, in [0, 1).

    Raises:
        ValueError: If a value is outside its range.
    """
    check_counts(expert_width=expert_width, expert_depth=expert_depth, tower_width=tower_width)
    check_shares(dropout=dropout)

    def tower(target: Target) -> nn.Module:
        return nn.Sequential(
            *mlp(expert_width, tower_width, 1), Linear(tower_width, target.out_features)
        )

    return Network(
        bottom=bottom,
        gate_input=nn.Identity,
        gate_features=in_features,
        expert=lambda: mlp(in_features, expert_width, expert_depth, dropout),
        tower=tower,
    )
