"""Weights of targets in what is minimised: by hand, searched alike for all gates, never scored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from gatelab.gates import SoftmaxGate
from gatelab.sweeps.search.draws import Draws
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.notation import read_notation
from gatelab.sweeps.spec.overrides import overridden
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.space import SearchSpace, space
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.sweeps.spec.steps import told_target_weights
from gatelab.tasks import Network, Split, Table, Target, Task
from gatelab.tasks.tables.contents import TableError
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from tests.in_process import gatelab
from tests.launched import read


class Constant(nn.Module):
    """Gives the same number for each row, from 0 on."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.value.expand(len(x), 1)


class Two(Task):
    """Two numbers, 1 and 3, the second of which weighs 2 in what is scored."""

    targets = (Target("one", "regression"), Target("three", "regression", weight=2))
    weights: Tensor | None = None

    def split(self, name: Any) -> Split:
        return Split(torch.zeros(4, 2), torch.tensor([[1.0, 3]] * 4), None, self.weights)

    def network(self) -> Network:
        return Network(nn.Identity, nn.Identity, 2, nn.Identity, lambda _: Constant())


def member(seed: int = 0, **weights: float) -> Member:
    values: dict[str, Any] = {
        "model.num_experts": 2,
        "optimizer.name": "sgd",
        "optimizer.learning_rate": 0.1,
        "optimizer.weight_decay": 0.0,
    }
    values |= {f"training.target_weights.{name}": weight for name, weight in weights.items()}
    return Member(Configuration(values), seed)


def towers(training: Training, position: int) -> list[float]:
    """Return the constants of both targets."""
    state = training.members.state(position)
    return state["towers.0.each.value"].flatten().tolist()


def test_a_step_by_hand() -> None:
    """Gradients at 0 are -2 w y: of weights 4 and 0.5 they are -8 and -3, of the own -2 and -12.

    A step of a tenth leads to 0.8 and 0.3, or 0.2 and 1.2. The loss of the epoch is that at 0,
    1 + 2 x 9 whatever is minimised, and on val that of where one is by the targets' own weights.
    """
    training = Training(Two(), SoftmaxGate, [member(one=4, three=0.5), member()], Recipe(4, 3))
    assert training.members.one_by_one is False
    found = training.run_epoch()
    assert towers(training, 0) == pytest.approx([0.8, 0.3])
    assert towers(training, 1) == pytest.approx([0.2, 1.2])
    assert [loss for loss, _ in found.values()] == pytest.approx([19, 19])
    (_, first), (_, second) = found.values()
    assert first.losses.tolist() == pytest.approx([0.2**2, 2.7**2])
    assert first.loss == pytest.approx(0.04 + 2 * 7.29)
    assert second.loss == pytest.approx(0.64 + 2 * 3.24)


def test_a_target_that_is_not_named_keeps_its_own() -> None:
    training = Training(Two(), SoftmaxGate, [member(one=4)], Recipe(4, 3))
    training.run_epoch()
    assert towers(training, 0) == pytest.approx([0.8, 1.2])
    assert Training(Two(), SoftmaxGate, [member()], Recipe(4, 3)).group.lessons.weights is None


def test_rows_weights_come_on_top() -> None:
    """All rows weigh the same, so that nothing changes but that both losses are told."""

    class Weighed(Two):
        weights = torch.full((4,), 5.0)

    training = Training(Weighed(), SoftmaxGate, [member(one=4, three=0.5)], Recipe(4, 3))
    ((loss, found),) = training.run_epoch().values()
    assert towers(training, 0) == pytest.approx([0.8, 0.3])
    assert (loss, training.courses[0].unweighted) == (pytest.approx(19), pytest.approx(19))
    assert found.loss == pytest.approx(0.04 + 2 * 7.29)


def test_who_leaves_takes_its_weights_along() -> None:
    """After the first two of three have left, the third goes on by its own, and after a load."""
    chosen = [member(one=4), member(three=0.1), member(one=0.5, three=0.25)]
    training = Training(Two(), SoftmaxGate, chosen, Recipe(4, 9))
    alone = Training(Two(), SoftmaxGate, chosen[2:], Recipe(4, 9))
    for each in (training, alone):
        each.run_epoch()
    states = [training.state(index) for index in range(3)]
    training.drop([0, 1])
    for each in (training, alone):
        each.run_epoch()
    assert towers(training, 0) == pytest.approx(towers(alone, 0))
    again = Training(Two(), SoftmaxGate, chosen, Recipe(4, 9))
    again.load(states)
    again.run_epoch()
    assert towers(again, 2) == pytest.approx(towers(alone, 0))


GOOD: dict[str, Any] = {
    "name": "weights",
    "task": {"name": "synthetic_groups", "num_targets": 4, "num_groups": 2, "train_rows": 60},
    "gates": ["softmax", "top_k"],
    "optimizer": {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}},
}
SEARCHED = {"low": 0.1, "high": 10, "log": True}


def spaces(**weights: Any) -> list[SearchSpace]:
    spec = parse_spec({**GOOD, "training": {"target_weights": weights}})
    return [space(spec, label, make_task(spec)) for label in spec.gates]


def test_a_weight_is_searched_like_any_hyperparameter() -> None:
    for found in spaces(t001=SEARCHED, t002=3):
        key = "training.target_weights.t001"
        assert found.distributions[key] == FloatDistribution(0.1, 10, log=True)
        assert found.defaults[key] == pytest.approx(1.0), "the first trial has the target's own"
        assert found.fixed["training.target_weights.t002"] == 3.0


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_all_gates_draw_the_same_in_every_round(sampler: str) -> None:
    """Whatever a gate's search has found: what comes first in its ranks differs here."""
    key, drawn, rates = "training.target_weights.t001", [], []
    for best_first, found in enumerate(spaces(t001=SEARCHED)):
        draws = Draws(found.distributions, found.defaults, sampler, seed=5)
        values = draws.draw(0, 8, [])
        for first in (8, 16):
            values += draws.draw(first, 8, values if best_first else values[::-1])
        drawn.append([one[key] for one in values])
        rates.append([one["optimizer.learning_rate"] for one in values])
    assert drawn[0] == drawn[1] and len({*drawn[0]}) == 24
    assert rates[0][:8] == rates[1][:8]
    assert (rates[0] == rates[1]) == (sampler == "random")
    softmax, top_k = spaces(t001=SEARCHED)
    assert len(top_k.distributions) > len(softmax.distributions)


def test_a_weight_is_spread_evenly_over_all_rounds() -> None:
    """Of 32 points of Sobol's sequence one lies in each 32nd part, wherever a round ends."""
    found, key = spaces(t001=SEARCHED)[0], "training.target_weights.t001"
    draws = Draws(found.distributions, found.defaults, "tpe", seed=1)
    values = draws.draw(0, 8, [])
    for first in (8, 16, 24):
        values += draws.draw(first, 8, values)
    low, high = (math.log(SEARCHED[end]) for end in ("low", "high"))
    parts = [int(32 * (math.log(one[key]) - low) / (high - low)) for one in values[1:]]
    assert len({*parts}) == 31  # the first is the default


def test_a_spec_is_written_as_it_is_read() -> None:
    spec = parse_spec({**GOOD, "training": {"target_weights": {"t001": SEARCHED}}})
    assert Spec.model_validate(read_notation(spec.to_yaml())) == spec
    assert parse_spec(overridden(GOOD, ["training.target_weights.t001=2"])).training == (
        parse_spec({**GOOD, "training": {"target_weights": {"t001": 2}}}).training
    )
    assert "`t001`" in told_target_weights(spec)[0]
    assert told_target_weights(parse_spec(GOOD)) == ()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"t0001": 2}, "training.target_weights: no target is called 't0001'; did you mean 't0"),
        ({"t001": 0}, "training.target_weights.t001: `0 < weight < inf` must hold, but go"),
        ({"t001": [1, -2]}, "`0 < weight < inf` must hold, but got (weight=-2.0)"),
        ({"t001": {"low": 0, "high": 2}}, "must hold, but got (weight=0.0)"),
        (
            {"t001": "much"},
            "target_weights.t001: must be a number, but got 'much'",
        ),
        ({"t001": {"lo": 1}}, "training.target_weights.t001: unknown key 'lo'; did you"),
        ([1, 2], "training.target_weights: must be a"),
    ],
)
def test_weights_that_cannot_be(weights: Any, said: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_spec({**GOOD, "training": {"target_weights": weights}})
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_tables_weight_that_is_a_range_says_where_it_goes() -> None:
    frame = pd.DataFrame({"a": range(40), "z": [0, 1] * 20})
    with pytest.raises(TableError) as error:
        Table(frame, targets={"z": {"kind": "binary", "weight": {"low": 1, "high": 2}}})
    assert "'z': `weight` must be a number" in str(error.value)
    assert "`training: {target_weights: {z: ...}}` searches one" in str(error.value)


@pytest.mark.slow
def test_a_sweep_scores_by_the_targets_own_weights(place: Path) -> None:
    (place / "w.yaml").write_text(
        "name: w\ntask: {name: synthetic_groups, num_targets: 3, num_groups: 3, train_rows: 60}\n"
        "gates: [softmax, top_k]\nbaselines: false\nmodel: {num_experts: 2}\n"
        "training: {max_epochs: 3, batch_size: 32, target_weights: {t000: {low: 0.01,"
        " high: 100, log: true}, t002: 3}}\n"
        "search: {trials: 4, early_stopping: false, rounds: 1}\nevaluation: {seeds: 2}\n"
    )
    gatelab(place, "launch", "w.yaml")
    record = read(place, "w")
    key = "training.target_weights.t000"
    drawn = {
        gate: [run.params[key] for run in record.of("search", gate)]
        for gate in ("softmax", "top_k")
    }
    assert sorted(drawn["softmax"]) == sorted(drawn["top_k"]) and len({*drawn["softmax"]}) == 4
    for run in record.of("evaluate"):
        parts = [run.metrics[f"test/t00{index}/loss"] for index in range(3)]
        assert run.metrics["test/loss"] == pytest.approx(sum(parts), rel=1e-5)
        assert run.params["training.target_weights.t002"] == "3.0"
    assert record.run is not None
    assert record.run.params["training.target_weights.t002"] == "3"
    assert "trained by other weights of `t000`, `t002`" in record.run.tags["warnings"]
