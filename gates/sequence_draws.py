"""How torch's layers of sequences, attention and recurrent ones, drop by numbers from a key."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from gatelab.gates.draws import KeyedNumbers, check_rule
from gatelab.gates.layer_draws import dropout

State = Tensor | tuple[Tensor, ...]
"""Of a recurrent layer; of an LSTM two."""


def attention(
    draws: KeyedNumbers,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Weigh values ``(..., keys, width)`` by scores of queries ``(..., queries, size)``, and drop.

    Source: Vaswani and others, Attention Is All You Need, NeurIPS 2017, equation 1. A query to
    which all keys are masked gets 0, as of torch.
    """
    if dropout_p == 0:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    both = is_causal and attn_mask is not None
    check_rule("not (is_causal and attn_mask)", not both, is_causal=True, attn_mask="a tensor")
    if enable_gqa:
        key, value = (
            it.repeat_interleave(query.size(-3) // it.size(-3), -3) for it in (key, value)
        )
    scores = query @ key.mT * (1 / math.sqrt(query.size(-1)) if scale is None else scale)
    seen = _seen(scores, attn_mask, is_causal)
    if attn_mask is not None and attn_mask.dtype != torch.bool:
        scores = scores + attn_mask.masked_fill(~seen, 0)
    some = seen.any(-1, keepdim=True)
    weights = scores.masked_fill(some & ~seen, -torch.inf).softmax(-1) * some
    return dropout(draws, weights, dropout_p) @ value


def _seen(scores: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
    """Return which keys each query may see, in a shape that broadcasts to that of scores."""
    if is_causal:
        return torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is None:
        return torch.ones(1, 1, dtype=torch.bool, device=scores.device)
    return mask if mask.dtype == torch.bool else mask > -torch.inf


def recurrent(layer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a recurrent function of torch's that drops between its layers by numbers from a key.

    Torch's take ``input, state, params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first``, or of packed sequences ``data, batch_sizes`` in place of the input, and no last.
    """

    def run(draws: KeyedNumbers, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        at = 2 if len(args) > 3 and not isinstance(args[3], bool) else 1
        *_, layers, p, train = args[at : at + 6] if not kwargs else (1, 0.0, False)
        if not train or p == 0 or layers == 1:
            found: tuple[Tensor, ...] = layer(*args, **kwargs)
            return found
        return _in_turns(draws, layer, args, at, layers, p)

    return run


def _in_turns(
    draws: KeyedNumbers,
    layer: Callable[..., Any],
    args: tuple[Any, ...],
    at: int,
    layers: int,
    p: float,
) -> tuple[Tensor, ...]:
    """Run one layer after another, and drop between them; ``at`` is the state's place in args."""
    (x, *before), (state, params, biases, *_), more = args[:at], args[at : at + 5], args[at + 5 :]
    size, ends = len(params) // layers, []
    for number in range(layers):
        own = _part(state, number, layers), params[number * size : (number + 1) * size]
        x, *end = layer(x, *before, *own, biases, 1, 0.0, *more)
        ends.append(end)
        if number < layers - 1:
            x = dropout(draws, x, p)
    return (x, *(torch.cat(each) for each in zip(*ends, strict=True)))


def _part(state: State, number: int, layers: int) -> State:
    """Return one layer's part of a state, ``(layers * directions, ...)``."""
    if isinstance(state, Tensor):
        return state.chunk(layers)[number]
    return tuple(each.chunk(layers)[number] for each in state)


def within(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of torch's, of Python, whose own calls draw from a key.

    Torch gives such a function to a mode as a whole, and runs it without: what it draws within, no
    mode sees. So it is run as it would be if it had not asked.
    """

    def run(draws: TorchFunctionMode, *args: Any, **kwargs: Any) -> Any:
        with _Again(draws):
            return _unasked(function)(*args, **kwargs)

    return run


@cache
def _unasked(function: Any) -> Callable[..., Any]:
    asks = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    names = {**function.__globals__, **dict.fromkeys(asks, lambda *tensors: False)}
    own = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    own.__kwdefaults__ = function.__kwdefaults__
    return own


class _Again(TorchFunctionMode):
    """Asks another mode, which is on already."""

    def __init__(self, asked: TorchFunctionMode) -> None:
        super().__init__()
        self._asked = asked

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return self._asked.__torch_function__(func, types, args, kwargs)
