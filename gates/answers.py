"""Which of torch's random functions are answered from a key, whatever way they are called in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature, signature
from keyword import iskeyword
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gatelab.gates import draws as numbers
from gatelab.gates import filled_draws as fills
from gatelab.gates import layer_draws as layers
from gatelab.gates.draws import KeyedNumbers
from gatelab.gates.filled_draws import filled
from gatelab.gates.sequence_draws import attention, recurrent, within
from gatelab.rules import shown

SILENT: dict[str, tuple[Any, ...]] = {"generator": (None,), "out": (None,)}
"""What a draw from a key cannot heed, with the values that ask for nothing."""
SILENT_OF_NEW: dict[str, tuple[Any, ...]] = {
    "layout": (None, torch.strided),
    "pin_memory": (None, False),
    "memory_format": (None, torch.preserve_format, torch.contiguous_format),
}
"""The same of functions that make a tensor: those that take a ``dtype``."""
_PASSED = SILENT | SILENT_OF_NEW


class Answer:
    """Answers one of torch's functions, in each of the forms in which torch takes its arguments.

    An argument has its effect or is refused: none is passed over. Torch has refused what it does
    not take before it asks; what fits no form nevertheless, as of a newer torch, it draws itself.
    """

    def __init__(self, func: Any, *draws: Callable[..., Tensor]) -> None:
        """Take torch's function, and by form what draws: its arguments have torch's names."""
        self._func = func
        self._forms = [(draw, _form(draw)) for draw in draws]

    def __call__(self, key: KeyedNumbers, /, *args: Any, **kwargs: Any) -> Tensor:
        """Draw from a key.

        Raises:
            ValueError: If an argument cannot be heeded, as ``out``, or breaks a rule.
        """
        if kwargs.get("generator") is not None:  # who brings numbers of its own has asked for them
            return self._by_torch(*args, **kwargs)
        named = {f"{name}_" if iskeyword(name) else name: it for name, it in kwargs.items()}
        for draw, form in self._forms:
            try:
                bound = form.bind(*args, **named)
            except TypeError:
                continue
            given = bound.kwargs
            self._check_silent(given)
            device, asked = given.pop("device", None), given.pop("requires_grad", None)
            own = {n: it for n, it in given.items() if n not in _PASSED}
            return _put(draw(key, *bound.args, **own), device, asked)
        return self._by_torch(*args, **kwargs)

    def _by_torch(self, *args: Any, **kwargs: Any) -> Tensor:
        answer: Tensor = self._func(*args, **kwargs)
        return answer

    def _check_silent(self, options: dict[str, Any]) -> None:
        for name, values in _PASSED.items():
            if name in options and not any(options[name] is value for value in values):
                raise ValueError(
                    f"`{self._func.__name__}` in a training draws from the member's own key, and "
                    f"takes no `{name}`, but got ({name}={shown(options[name])})."
                )


def _form(draw: Callable[..., Tensor]) -> Signature:
    """Return what torch's function takes: what is drawn by, and where the numbers are put."""
    _, *own = signature(draw).parameters.values()
    makes = any(parameter.name == "dtype" for parameter in own)
    names = (*SILENT, *SILENT_OF_NEW, "device", "requires_grad") if makes else tuple(SILENT)
    options = [Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in names]
    return Signature([*own, *options])


def _put(drawn: Tensor, device: Any, requires_grad: bool | None) -> Tensor:
    """Return what was drawn as it was asked for: without a device it stays where the key is."""
    drawn = drawn if device is None else drawn.to(device)
    return drawn.requires_grad_() if requires_grad else drawn


ANSWERS: dict[Any, Sequence[Callable[..., Tensor]]] = {
    torch.rand: (numbers.rand, numbers.rand_of_size),
    torch.randn: (numbers.randn, numbers.randn_of_size),
    torch.rand_like: (numbers.rand_like,),
    torch.randn_like: (numbers.randn_like,),
    torch.randint: (numbers.randint_below, numbers.randint),
    torch.randint_like: (numbers.randint_like_below, numbers.randint_like),
    torch.randperm: (numbers.randperm,),
    torch.bernoulli: (numbers.bernoulli, numbers.bernoulli_of_chance),
    torch.normal: (numbers.normal, numbers.normal_of_size),
    torch.multinomial: (fills.multinomial,),
    torch.dropout: (layers.by_torch(layers.dropout),),
    torch.feature_dropout: (layers.by_torch(layers.channel_dropout(0)),),
    torch.alpha_dropout: (layers.by_torch(layers.alpha_dropout),),
    torch.feature_alpha_dropout: (layers.by_torch(layers.feature_alpha_dropout),),
    # Functions of Python's, which draw within, where no mode sees it:
    F.dropout: (layers.dropout,),
    F.gumbel_softmax: (layers.gumbel_softmax,),
    F.dropout1d: (layers.channel_dropout(2),),
    F.dropout2d: (layers.channel_dropout(0),),
    F.dropout3d: (layers.channel_dropout(4),),
    F.alpha_dropout: (layers.alpha_dropout,),
    F.feature_alpha_dropout: (layers.feature_alpha_dropout,),
    F.rrelu: (layers.rrelu,),
    F.scaled_dot_product_attention: (attention,),
    Tensor.bernoulli: (numbers.bernoulli, numbers.bernoulli_of_chance),
    Tensor.multinomial: (fills.multinomial,),
    Tensor.uniform_: (filled(fills.uniform_between),),
    Tensor.normal_: (filled(fills.normal_around),),
    Tensor.log_normal_: (filled(fills.log_normal),),
    Tensor.exponential_: (filled(fills.exponential),),
    Tensor.geometric_: (filled(fills.geometric),),
    Tensor.cauchy_: (filled(fills.cauchy),),
    Tensor.bernoulli_: (filled(fills.chosen),),
    Tensor.random_: tuple(
        filled(it) for it in (fills.any_whole, fills.whole_below, fills.whole_between)
    ),
}
"""By function how it draws from a key, in each of its forms."""
WHOLE: dict[Any, Callable[..., Any]] = {
    **{func: recurrent(func) for func in (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)},
    F.multi_head_attention_forward: within(F.multi_head_attention_forward),
}
"""The same of what draws beside all that it does."""
DRAWN: dict[Any, Callable[..., Any]] = {
    **{func: Answer(func, *draws) for func, draws in ANSWERS.items()},
    **WHOLE,
}
"""By function what answers it from a key: it takes what draws, and torch's arguments."""
