"""Tables with sparse gradients: what of an optimiser does not reach them, and that it is said."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from gatelab.gates import SoftmaxGate
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.remarks import told_remarks
from gatelab.tasks import register_task
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.members import FUSED_ON_CPU, fuses_tables
from gatelab.training.train import Training
from tests.bad_specs import spec
from tests.test_fused_tables import fused
from tests.test_training import Tables

TABLE = "bottom.table.weight"
HEAVY: list[dict[str, Any]] = [
    {"name": "sgd", "momentum": 0.9, "nesterov": True},
    {"name": "sgd", "weight_decay": 3.0},
    {"name": "adam", "weight_decay": 3.0},
    {"name": "adamw", "weight_decay": 3.0},
]


@register_task("few_looked_up")
class Few(Tables):
    """No row of an id above 9 is looked up, and the values are far from what is given at first."""

    def split(self, name: Any) -> Any:
        found = super().split(name)
        return found._replace(inputs=found.inputs.clamp(max=9), targets=found.targets + 5)


def trained(
    optimizer: dict[str, Any], *, together: bool = False, epochs: int = 3
) -> tuple[Tensor, Training]:
    """Return the table before a training of so many steps, and the training."""
    own = {"learning_rate": 0.01, "weight_decay": 0.0, **optimizer}
    members = [Member(Configuration.of({}, {"num_experts": 2}, own), seed) for seed in (1, 2)]
    with fused(together):
        training = Training(Few(), SoftmaxGate, members, Recipe(128, epochs))
    assert (training.members.fused_tables is not None) is together
    before = training.members.state(0)[TABLE]
    while not training.done:
        training.run_epoch()
    return before, training


@pytest.mark.parametrize("optimizer", HEAVY, ids=lambda each: "-".join(map(str, each.values())))
def test_fused_or_apart_a_step_moves_what_it_looks_up(
    float64: None, optimizer: dict[str, Any]
) -> None:
    """As on a GPU and as on a CPU: the same numbers, and no other row decays or goes on."""
    (before, apart), (_, together) = (trained(optimizer, together=each) for each in (False, True))
    assert torch.allclose(apart.members.flat, together.members.flat, rtol=0, atol=1e-12)
    for member in (0, 1):
        one, other = (each.members.state(member)[TABLE] for each in (apart, together))
        assert torch.allclose(one, other, rtol=0, atol=1e-12)
    after = apart.members.state(0)[TABLE]
    assert torch.equal(after[10:], before[10:]) and bool((after[:10] != before[:10]).all())


@pytest.mark.parametrize(("numbers", "whether"), [(FUSED_ON_CPU, True), (FUSED_ON_CPU + 1, False)])
def test_small_tables_are_fused_on_a_cpu_too(numbers: int, whether: bool) -> None:
    """Counted over all tables of a member, which a step then moves row by row."""
    tables = [torch.empty(5, 7), torch.empty(numbers - 35, 1)]
    assert fuses_tables(torch.device("cpu"), tables) is whether
    assert fuses_tables(torch.device("cuda"), tables)


def test_the_first_step_of_a_table_has_no_decay_in_it(float64: None) -> None:
    """Plain descent of the same gradients: with or without decay the table is the same."""
    both = [trained({"name": "sgd", "weight_decay": it}, epochs=1)[1] for it in (0.0, 3.0)]
    plain, decayed = (each.members.state(0) for each in both)
    assert torch.equal(plain.pop(TABLE), decayed.pop(TABLE))
    assert not any(torch.equal(plain[name], decayed[name]) for name in both[0].members.shapes)


def told(optimizer: str, gates: str = "[softmax]", model: str = "{}") -> list[str]:
    own = {"optimizer": optimizer, "gates": gates, "model": model}
    text = spec(task="few_looked_up", training="{batch_size: 4}", **own)
    return told_remarks(parse_spec(yaml.safe_load(text)), Few())


DECAY = (
    "`optimizer.weight_decay` does not reach tables of `nn.Embedding(sparse=True)`, as 'table' of "
    "the bottom: a step moves only the rows that it looks up; with `sparse=False` it would."
)
BOTH = (
    "`optimizer.weight_decay` and `optimizer.momentum` do not reach tables of "
    "`nn.Embedding(sparse=True)`, as 'table' of the bottom: a step moves only the rows that it "
    "looks up; with `sparse=False` they would."
)


@pytest.mark.parametrize(
    ("optimizer", "line"),
    [
        ("{name: adamw, weight_decay: 0.01}", DECAY),
        ("{name: adam, weight_decay: {low: 0.0, high: 0.1}}", DECAY),
        ("{name: sgd, weight_decay: [0.0, 0.1], momentum: 0.9}", BOTH),
    ],
)
def test_it_is_said_once(optimizer: str, line: str) -> None:
    assert told(optimizer, "[softmax, sparsemax]") == [line]
    assert told(optimizer, model="{sparse: [true, false]}") == [line]


def test_where_all_is_reached_nothing_is_said() -> None:
    assert told("{name: adamw, weight_decay: 0.01}", model="{sparse: false}") == []
    assert told("adamw") == told("{name: sgd, momentum: 0.0}") == []
    assert told("{name: adamw, weight_decay: 0.01}", "[constant]") == []
