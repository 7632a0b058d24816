"""What is written down of a step: its calls, with nothing kept of what they make."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatelab.training.recording import Recording


def test_nothing_is_kept_of_what_a_step_makes() -> None:
    """Else the step that is written down would need the memory of all its calls at once."""
    made: list[weakref.ref[Tensor]] = []
    weight = torch.ones(3, requires_grad=True)
    with Recording() as recording:
        x = weight
        for _ in range(5):
            x = x * 2
            made.append(weakref.ref(x))
        (gradient,) = torch.autograd.grad(x.sum(), [weight])
        with torch.no_grad():
            weight += gradient
        del x
        assert not any(ref() is not None for ref in made)
    assert not recording.failure and recording.written() == [weight]
    recording.repeated()()
    assert weight.tolist() == [65.0] * 3


def _padded(x: Tensor) -> Tensor:
    """Pad what is packed by lengths, which torch reads below all its operations."""
    packed = nn.utils.rnn.PackedSequence(x, torch.tensor([1, 1]))
    return nn.utils.rnn.pad_packed_sequence(packed)[0]


@pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8")
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize(
    "call",
    [
        lambda x: x[x > 0],
        lambda x: x[(x > 0).to(torch.uint8)],
        lambda x: x[None, x > 0],
        np.asarray,
        np.from_dlpack,
        Tensor.data_ptr,
        Tensor.storage,
        Tensor.untyped_storage,
        lambda x: torch.tensor_split(x, torch.tensor([1])),
        lambda x: x.tensor_split(tensor_indices_or_sections=torch.tensor([1])),
        lambda x: torch.tensor_split(x, torch.tensor([1]), dim=0),
        _padded,
        torch.nonzero,
        torch.unique,
        lambda x: torch.masked_select(x, x > 0),
        lambda x: bool((x > 0).any()),
        lambda x: torch.equal(x, x),
    ],
)
def test_what_depends_on_numbers_is_no_list_of_calls(call: Callable[[Tensor], Any]) -> None:
    with Recording() as recording:
        call(torch.tensor([1.0, -1.0]))
    assert "takes numbers out of a tensor" in recording.failure


def test_what_cannot_be_written_down_is_done_nevertheless() -> None:
    """A tensor of an inference mode has no count of its changes."""
    with torch.inference_mode():
        x = torch.ones(2)
    with Recording() as recording:
        y = x * 3
    assert y.tolist() == [3.0, 3.0] and "Inference tensors" in recording.failure


def test_an_index_of_places_and_parts_of_given_sizes_are_calls() -> None:
    x, out = torch.arange(3.0), torch.zeros(1, 2)
    with Recording() as recording:
        first, _ = torch.tensor_split(x, [2])
        out.copy_(first[None, torch.arange(2)])
    assert not recording.failure
    x += 5
    recording.repeated()()
    assert out.tolist() == [[5.0, 6.0]]


def test_calls_of_several_results_and_what_they_have_changed() -> None:
    x, out = torch.tensor([[1.0, 3.0], [4.0, 2.0]]), torch.zeros(2)
    places = torch.zeros(2, dtype=torch.long)
    with Recording() as recording:
        largest, at = x.max(1)
        first, second = x.unbind(1)
        out.copy_(10 * largest + first - second)
        places.copy_(at)
    assert [id(tensor) for tensor in recording.written()] == [id(out), id(places)], "and not x"
    x.copy_(torch.tensor([[5.0, 1.0], [0.0, 7.0]]))
    recording.repeated()()
    assert out.tolist() == [54.0, 63.0] and places.tolist() == [0, 1]


def test_the_first_of_several_reasons_is_told() -> None:
    with Recording() as recording:
        torch.nonzero(torch.ones(2))
        torch.ones(1).item()
    assert recording.failure == "`aten.nonzero.default` takes numbers out of a tensor"
