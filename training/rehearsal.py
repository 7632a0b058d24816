"""A rehearsal: passes before training, which find what cannot be fused, or cannot run at all."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import nn

from gatelab.foreign import place_of, text_of
from gatelab.gates.randomness import drawing_from
from gatelab.gates.stack import Stack
from gatelab.nn.writers import writers
from gatelab.rules import as_line
from gatelab.torch_words import found_and_cause
from gatelab.training.fallbacks import fallbacks
from gatelab.training.fusing import Once, fused_stacks, parts_that_differ, parts_that_fail
from gatelab.training.members import Members
from gatelab.training.recomputing import check_raised_in_the_pass, check_recomputes_nothing

ROWS = 16
"""In which fused members are compared with each alone."""
REASON = 150
"""Characters of a library's message that a note quotes."""
COST = "members are called one by one, so that an evaluation takes as long as its seeds in turn"
"""What it costs not to fuse members."""
OTHERWISE = (
    "gives other numbers fused than alone, as with torch.autocast in a forward or a hook on the "
    "gradient of a tensor"
)

WITH_HOOKS = "a module of it has a backward hook"


def rehearse(
    members: Members, passes: Mapping[str, Once], one: Sequence[Once], small: Sequence[Once]
) -> list[str]:
    """Find out what cannot be fused, and let it be called one by one from then on.

    A pass that raises while members are fused is made again member by member, then with the stack
    of gates, experts or towers one by one in which it raised. Where fused modules or members give
    other numbers than each alone they are not fused either.

    Args:
        members: What is to be trained; none is changed.
        passes: Each makes a pass over all members, and returns what came of it: one of every size
            of a batch that there will be, by what such a batch is called.
        one: Others of one member over a few rows, in which fused gates, experts and towers are
            compared with each alone. Of a network that cannot do with so few nothing is compared.
        small: Others over a few rows, in which members are compared with each alone.

    Returns:
        A line for everything that is not fused: what, why, and what it costs. So for operations
        of torch's that are called for one model after another.

    Raises:
        ValueError: If a pass makes a parameter, a part of the model writes into its input, or what
            has parameters is computed again for the gradient.
        Exception: Whatever a pass raises, with all called one by one; if the first did not, a note
            says which has.
    """
    notes: list[str] = []
    with fallbacks(notes), _leaving_no_trace(members), _making_nothing(members):
        _check_inputs_stay(members, one)
        notes += _part_hooked(members)
        for number, (batch, once) in enumerate(passes.items()):
            notes += _settle(members, once, f"in {batch}" if number else "")
        notes += [note for once in one for note in _compare_stacks(members, once)]
        notes += [note for once in small for note in _compare_members(members, once)]
    with _leaving_no_trace(members):
        for once in one:
            check_recomputes_nothing(members.skeleton, once)
    return notes


def _part_hooked(members: Members) -> Iterator[str]:
    """Call one by one what has a module with hooks on its gradients: in ``torch.vmap`` none is run.

    Nor does a pass find out, where such hooks raise in a stack alone.
    """
    for stack in fused_stacks(members):
        if _is_hooked(stack):
            stack.fused = False
            yield _of_stack(_name(members, stack), WITH_HOOKS, stack)
    if not members.one_by_one and _is_hooked(members.skeleton):
        members.fused = False
        yield f"the model cannot be fused ({WITH_HOOKS}): {COST}"


def _is_hooked(module: nn.Module) -> bool:
    return any(m._backward_hooks or m._backward_pre_hooks for m in module.modules())


def _settle(members: Members, once: Once, where: str) -> Iterator[str]:
    while True:
        try:
            once()
            return
        except Exception as error:  # whatever a stranger's module raises
            note = _give_way(members, error)
            if note is None:  # as of what raises on the way back, where no stack is under way
                apart = parts_that_fail(fused_stacks(members), once)
                if apart is None:
                    check_raised_in_the_pass(error)
                    if where:
                        error.add_note(where)
                    raise
                for stack in apart:
                    yield _of_stack(_name(members, stack), _reason(error), stack)
                return
        yield note


def _give_way(members: Members, error: Exception) -> str | None:
    """Let go of the outermost call that is fused; return a note, or None where there is none."""
    where, reason = _layer(members, error), _reason(error)
    if not members.one_by_one:
        members.fused = False
        return f"{where} cannot be fused ({reason}): {COST}"
    stack = next((s for s in reversed(_stacks(error)) if s.fused), None)
    if stack is None:
        return None
    stack.fused = False
    return _of_stack(where, reason, stack)


def _of_stack(where: str, reason: str, stack: Stack) -> str:
    """Return the note of a stack that is not fused."""
    what = f"{where} cannot be fused ({reason})"
    if stack.size == 1:
        return f"{what}: it is called by itself, which takes no longer"
    return (
        f"{what}: its {stack.size} modules are called one by one, which takes up to {stack.size} "
        "times as long"
    )


def _compare_members(members: Members, once: Once) -> Iterator[str]:
    if not members.one_by_one and parts_that_differ([members], once):
        yield f"the model {OTHERWISE}: {COST}"


def _compare_stacks(members: Members, once: Once) -> Iterator[str]:
    for stack in parts_that_differ(fused_stacks(members), once):
        yield _of_stack(_name(members, stack), f"it {OTHERWISE}", stack)


def _layer(members: Members, error: Exception) -> str:
    """Return the innermost module of the model in which an error was raised."""
    parts = {id(module) for name, module in members.skeleton.named_modules() if name}
    found = [m for m in _selves(error) if id(m) in parts and not isinstance(m, Stack)]
    if not found:
        return "the model"
    return _name(members, found[-1])


def _name(members: Members, found: object) -> str:
    """Return how a note calls a module of the model."""
    path = next(name for name, module in members.skeleton.named_modules() if module is found)
    kind = type(found.each if isinstance(found, Stack) else found).__name__
    return f"{path.replace('.each', '').removeprefix('mixture.')} ({kind})"


def _stacks(error: Exception) -> list[Stack]:
    return [module for module in _selves(error) if isinstance(module, Stack)]


def _selves(error: Exception) -> list[object]:
    """Return whose methods were under way, the innermost last."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return [frame.f_locals["self"] for frame in frames if "self" in frame.f_locals]


def _reason(error: Exception) -> str:
    """Return why something cannot be fused, in plain words where torch's say little."""
    if meant := found_and_cause(error):
        return meant[0]
    text, place = as_line(text_of(error), REASON) or type(error).__name__, place_of(error)
    return f"{text} ({place.filename}, line {place.lineno})" if place else text


def _check_inputs_stay(members: Members, one: Sequence[Once]) -> None:
    """Check that no part of the model changes its input, which others read, or the split itself."""
    named = dict(members.skeleton.named_children())
    parts = [it for name, it in named.items() if name in ("bottom", "gate_input")]
    parts += [it for it in members.skeleton.modules() if isinstance(it, Stack)]
    for part in writers(parts, one):
        raise ValueError(
            "What a network's part or a gate reads must stay as it is, but "
            f"{_name(members, part)} writes into its input: take a copy (`x = x - 1`, not "
            "`x -= 1`), or leave out `inplace=True`."
        )


@contextmanager
def _making_nothing(members: Members) -> Iterator[None]:
    """Check that passes make no parameter: it would be no member's, and not learn."""
    before = {name for name, _ in members.skeleton.named_parameters()}
    yield
    for name, _ in members.skeleton.named_parameters():
        if name not in before:
            raise ValueError(
                "Parameters must be made in `__init__`, or in a gate's `place`, but "
                f"{name.replace('.each', '')!r} is made in a forward pass."
            )


@contextmanager
def _leaving_no_trace(members: Members) -> Iterator[None]:
    """Put torch's random state and the buffers back afterwards, and clear the gradients."""
    buffers = {name: tensor.clone() for name, tensor in members.buffers.items()}
    with drawing_from(0, members.device):
        try:
            yield
        finally:
            members.buffers = buffers  # a network may change its own in place
            members.clear_gradients()
