"""Checks of what a gate keeps: tensors, copies, devices, number types."""

from __future__ import annotations

import copy
import io
import pickle

import torch
from torch import Tensor

from gatelab.conformance import fail
from gatelab.gates.auxiliary import make_gate
from gatelab.gates.check.subject import (
    EXPERTS,
    FEATURES,
    KEEPS,
    Subject,
    alike,
    learnt_of,
    repeats,
    route,
    rows,
)
from gatelab.gates.gate import Gate
from gatelab.gates.randomness import drawing_from
from gatelab.gates.returned import next_values
from gatelab.nn.writers import WRITES
from gatelab.torch_words import asks_for_a_value


def check_forward_changes_nothing(subject: Subject) -> None:
    """A pass changes neither its input nor a parameter nor a buffer."""
    gate, x = subject.make(), rows()
    before, state = x.clone(), _state(gate)
    route(gate, x)
    if not torch.equal(x, before):
        fail("a pass changes its input", WRITES)
    changed = [name for name, tensor in _state(gate).items() if not alike(tensor, state[name], 0)]
    if changed:
        fail(f"a pass in training changes {changed[0]!r}", "state that belongs in `update`")


def check_hyperparameters_are_not_changed(subject: Subject) -> None:
    """Making a gate leaves the values that it was given as they were."""
    given = copy.deepcopy(dict(subject.hyperparameters))
    before = copy.deepcopy(given)
    make_gate(subject.cls, FEATURES, EXPERTS, **given)
    if given != before:
        fail(f"the constructor turns {before} into {given}", "a list or dict changed in place")


def check_forward_leaves_no_gradient(subject: Subject) -> None:
    """A pass takes no gradient itself: the trainer does."""
    gate, x = subject.make(), rows().requires_grad_()
    route(gate, x)
    left = [name for name, p in gate.named_parameters() if p.grad is not None]
    if left or x.grad is not None:
        fail(f"a pass leaves a gradient at {left or 'its input'}", "a `backward` in forward")


def check_random_state_is_torchs(subject: Subject) -> None:
    """A pass draws from torch's random state and never sets it."""
    gate = subject.make()
    drawn = []
    for seed in (1, 2):
        with drawing_from(seed):
            gate(rows())
            drawn.append(torch.rand(3))
    if torch.equal(*drawn):
        fail("after a pass torch's random numbers are always the same", "a seed set in forward")


def check_update_is_pure(subject: Subject) -> None:
    """``update`` returns buffers by name, of their shapes, and changes nothing itself."""
    gate = subject.make()
    state = _state(gate)
    after = next_values(gate, route(gate, rows()), torch.tensor(0.5))
    buffers = dict(gate.named_buffers())
    for name, value in after.items():
        if name not in buffers:
            fail(f"update returns {name!r}, which is no buffer", "a name that is misspelt")
        if value.shape != buffers[name].shape or value.dtype != buffers[name].dtype:
            fail(
                f"update turns {name!r} from {tuple(buffers[name].shape)} {buffers[name].dtype} "
                f"into {tuple(value.shape)} {value.dtype}",
                "a statistic that is not reduced, or is of another type",
            )
    changed = [name for name, tensor in _state(gate).items() if not alike(tensor, state[name], 0)]
    if changed:
        fail(f"update changes {changed[0]!r} itself", "an assignment where a value is returned")


def check_float64_and_float32_agree(subject: Subject) -> None:
    """In double precision a gate gives double weights, the same within rounding.

    As it is made all that it learns is of torch's default type, as all of a model is.
    """
    single, double = subject.make().eval(), subject.make().eval().double()
    own = torch.get_default_dtype()
    for name, parameter in learnt_of(single).items():
        if parameter.dtype != own:
            cause = "a `dtype`, `.double()` or `.half()`: cast what it is multiplied with instead"
            fail(f"all that a model learns is {own}, but {name!r} is {parameter.dtype}", cause)
    routing = route(double, rows().double())
    if routing.weights.dtype != torch.float64 or routing.aux_loss.dtype != torch.float64:
        fail(
            f"in float64 weights are {routing.weights.dtype}, aux_loss {routing.aux_loss.dtype}",
            "a tensor made in float32 in forward",
        )
    if not alike(routing.weights, route(single, rows()).weights, 1e-4):
        fail("float64 and float32 give other weights", "a constant too small for float32")


def check_state_dict_round_trip(subject: Subject) -> None:
    """What a gate is goes through ``state_dict``, saved and loaded with ``weights_only``."""
    gate, other = subject.make(seed=0), subject.make(seed=1)
    file = io.BytesIO()
    torch.save(gate.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    if not torch.equal(_evaluated(gate), _evaluated(other)):
        fail("a gate that loads another's state gives other weights", "a tensor that is no buffer")


def check_pickle_round_trip(subject: Subject) -> None:
    """A gate can be sent to another process."""
    gate = subject.make()
    if not torch.equal(_evaluated(gate), _evaluated(pickle.loads(pickle.dumps(gate)))):
        cause = "a `__getstate__` that leaves something out" if repeats(gate) else KEEPS
        fail("a pickled gate gives other weights", cause)


def check_follows_device(subject: Subject) -> None:
    """Everything moves with ``to(device)``: tried on CUDA if there is any, else on meta tensors."""
    device = "cuda" if torch.cuda.is_available() else "meta"
    gate = subject.make().to(device)
    try:
        weights = route(gate, rows().to(device)).weights
    except NotImplementedError:
        return  # an operation that meta tensors do not know
    except RuntimeError as error:
        if asks_for_a_value(error):
            raise
        fail(f"on {device}: {str(error).splitlines()[0]}", "a tensor made on the CPU in forward")
    if weights.device.type != device:
        fail(f"on {device} weights are on {weights.device}", "a tensor made on the CPU in forward")


def _state(gate: Gate) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in gate.state_dict().items()}


def _evaluated(gate: Gate) -> Tensor:
    return route(gate.eval(), rows()).weights


CHECKS = (
    check_forward_changes_nothing,
    check_hyperparameters_are_not_changed,
    check_forward_leaves_no_gradient,
    check_random_state_is_torchs,
    check_update_is_pure,
    check_float64_and_float32_agree,
    check_state_dict_round_trip,
    check_pickle_round_trip,
    check_follows_device,
)
