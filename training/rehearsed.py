"""What a training rehearses: a pass over a batch of every size that there will be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from gatelab.tasks.task import SplitName
from gatelab.training.evaluation import parts_of, pass_over
from gatelab.training.fusing import Once
from gatelab.training.loop import Loop
from gatelab.training.members import Members
from gatelab.training.placed_splits import PlacedSplits
from gatelab.training.rehearsal import ROWS


def passes_of(loop: Loop, splits: PlacedSplits, scored: Sequence[SplitName]) -> dict[str, Once]:
    """Return a pass over all members for every size of a batch, by what such a batch is called.

    Args:
        loop: That trains them.
        splits: Of their task.
        scored: Those of which a pass is made too.
    """
    rows, size = len(loop.split.inputs), loop.recipe.batch_size
    whole, last = min(rows, size), rows % size
    passes: dict[str, Once] = {f"a batch of {whole} train rows": partial(loop.rehearse, whole)}
    if last and last < whole:
        where = f"the last batch of an epoch, of {last} train rows"
        passes[where] = partial(loop.rehearse, last)
    for name in scored:
        part = parts_of(splits.get(name).inputs, len(loop.members))[-1]
        passes[f"a batch of {len(part)} {name} rows"] = partial(_score, loop, loop.members, part)
    return passes


def small_passes(loop: Loop, members: Members) -> list[Once]:
    """Return passes of members over a few train rows: a step's, and one for scores."""
    inputs = loop.split.inputs[:ROWS]
    return [partial(loop.rehearse, ROWS, members), partial(_score, loop, members, inputs)]


def _score(loop: Loop, members: Members, inputs: Tensor) -> list[Tensor]:
    """Return outputs, weights and diagnostics of a copy of rows: whatever is in them stays."""
    groups, weights, diagnostics = pass_over(members, loop.model, inputs.clone())
    return [*groups, weights, *diagnostics.values()]
