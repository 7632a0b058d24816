"""Experts as binary codes: smooth bits, and the weights, mass and entropy they give to n codes.

Codes are big-endian: bit 0 is the most significant bit of an expert's index.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Inside the logarithm only, as published: the entropy and its gradient stay finite at 0 and 1.
LOG_EPSILON = 1e-6


def smooth_step(t: Tensor, gamma: Tensor) -> Tensor:
    """Return the smooth step of width gamma, elementwise: 0 below -gamma/2, 1 above gamma/2.

    Source: Hazimeh et al., The Tree Ensemble Layer, ICML 2020, eq. 5.
    """
    u = (t / gamma).clamp(-0.5, 0.5)
    return 0.5 + u * (1.5 - 2 * u * u)


def code_weights(bits: Tensor) -> Tensor:
    """Return the weight of every code, ``(2**m, ...)``, from the bits ``(m, ...)`` in [0, 1].

    The weights are an outer product of the bits, so neighbours are multiplied pairwise until one
    is left: O(2**m) where a product over every code's bits costs O(m 2**m). Codes come first, so
    that every multiplication runs over long contiguous rows: a fifth of the time.
    """
    factors = [torch.stack((1 - bit, bit)) for bit in bits.unbind(0)]
    while len(factors) > 1:
        pairs = zip(factors[0::2], factors[1::2], strict=False)
        odd = factors[-1:] if len(factors) % 2 else []
        factors = [(a.unsqueeze(1) * b.unsqueeze(0)).flatten(0, 1) for a, b in pairs] + odd
    return factors[0] if factors else bits.new_ones((1, *bits.shape[1:]))


def fold(codes: Tensor, num_experts: int) -> Tensor:
    """Give the codes ``(2**m, ...)`` that name no expert to experts, ``(num_experts, ...)``.

    Ours. Code c >= num_experts counts for the expert of c without its most significant bit: where
    that bit would lead outside, it decides nothing. So no weight is lost, whatever the bits.
    """
    half = len(codes) // 2
    first, both = codes[: num_experts - half], codes[num_experts - half : half]
    return torch.cat([first, both + codes[num_experts:], codes[half:num_experts]])


def code_entropy(weights: Tensor) -> Tensor:
    """Return the entropy ``(...)`` in nats of non-negative weights ``(n, ...)``."""
    return -(weights * (weights + LOG_EPSILON).log()).sum(0)


def bits_entropy(bits: Tensor) -> Tensor:
    """Return the entropy ``(...)`` of all 2**m codes: that of independent bits ``(m, ...)``, added.

    Equal to ``entropy(code_weights(bits))`` but for the epsilon, in O(m) where that takes O(2**m).
    """
    return code_entropy(bits) + code_entropy(1 - bits)


def inverse(mass: Tensor) -> Tensor:
    """Return 1/mass, finite with a finite gradient for every mass >= 0.

    Below a floor far under any mass that training meets, the tangent at the floor goes on:
    (2 - mass/floor) / floor. The published code has no floor and returns inf at 0.
    """
    floor = torch.finfo(mass.dtype).tiny ** 0.25
    return torch.where(mass > floor, 1 / mass.clamp_min(floor), (2 - mass / floor) / floor)
