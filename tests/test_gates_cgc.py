"""The gate of customized gate control: experts of a target's own beside shared ones, by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from click.testing import CliRunner
from optuna.distributions import IntDistribution
from torch import Tensor, nn

from gatelab.gates import (
    CGCGate,
    Gate,
    Mixture,
    OneEachGate,
    Routing,
    SoftmaxGate,
    Stack,
    make_gate,
)
from gatelab.gates.check import check_gate, run_checks
from gatelab.sweeps.cli import main
from gatelab.training.member import Recipe
from gatelab.training.train import Training
from tests.in_process import gatelab, modules_of
from tests.launched import read
from tests.scaled import BATCH, Scaled, member

pytestmark = pytest.mark.usefixtures("float64")

test_with_two_private_experts = check_gate("cgc", private=2)
test_static = check_gate("cgc", static=True)
test_without_private_experts = check_gate("cgc", private=0)


def made(targets: int, experts: int, features: int = 2, **options: Any) -> list[Gate]:
    torch.manual_seed(0)
    return [
        make_gate(CGCGate, features, experts, target=t, num_targets=targets, **options)
        for t in range(targets)
    ]


def with_kernels(gates: list[Gate], kernel: list[list[float]]) -> list[Gate]:
    for gate in gates:
        assert isinstance(gate, CGCGate) and gate.logits.kernel is not None
        assert gate.logits.kernel.shape == torch.Size((len(kernel), len(kernel[0])))
        gate.logits.kernel = nn.Parameter(torch.tensor(kernel))
    return gates


KERNEL = [[1.0, 0.0, 2.0], [5.0, 5.0, 5.0]]
X = torch.tensor([[math.log(2), 0.0]], dtype=torch.float64)
"""With it the logits are ln 2, 0 and 2 ln 2: weights of 2, 1 and 4 sevenths."""


class Searching(CGCGate):
    """Searches what makes a difference only where targets are several."""

    search_space: ClassVar = {"private": IntDistribution(0, 2)}


def test_a_hyperparameter_of_several_targets_is_live() -> None:
    assert [outcome.reason for outcome in run_checks(Searching) if not outcome.ok] == []


def close(found: Tensor, expected: Any) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-15)


def test_a_target_weighs_its_own_and_the_shared_by_one_softmax() -> None:
    """Of four experts the first is target 0's, the second target 1's, the others all targets'."""
    stack = Stack(with_kernels(made(2, 4), KERNEL)).eval()
    routing: Routing = stack(X)
    close(routing.weights[0], [[2 / 7, 0, 1 / 7, 4 / 7]])
    close(routing.weights[1], [[0, 2 / 7, 1 / 7, 4 / 7]])
    assert routing.weights[0, 0, 1] == routing.weights[1, 0, 0] == 0
    assert routing.aux_loss.tolist() == [0, 0]
    close(routing.diagnostics["shared_weight"], [5 / 7, 5 / 7])
    close(routing.logits[0][0], [[math.log(2), 0, 2 * math.log(2)]])
    assert stack.train()(X).diagnostics == {}


@pytest.mark.parametrize(
    ("targets", "experts", "private", "reads"),
    [
        (2, 4, 1, [[0, 2, 3], [1, 2, 3]]),
        (3, 8, 2, [[0, 1, 6, 7], [2, 3, 6, 7], [4, 5, 6, 7]]),
        (2, 4, 2, [[0, 1], [2, 3]]),
        (2, 3, 0, [[0, 1, 2], [0, 1, 2]]),
        (1, 3, 2, [[0, 1, 2]]),
        (1, 1, 1, [[0]]),
        (5, 5, 1, [[0], [1], [2], [3], [4]]),
    ],
)
@pytest.mark.parametrize("static", [False, True])
def test_which_experts_a_target_reads(
    targets: int, experts: int, private: int, reads: list[list[int]], static: bool
) -> None:
    gates = made(targets, experts, private=private, static=static)
    weights = Stack(gates)(torch.randn(5, 2)).weights
    used = [row.nonzero().flatten().tolist() for row in (weights > 0).all(1)]
    assert used == reads
    assert ((weights > 0).any(1) == (weights > 0).all(1)).all()
    close(weights.sum(-1), [[1.0] * 5] * targets)
    assert [gate.k for gate in gates] == [len(row) for row in reads]
    assert sum(p.numel() for p in gates[0].parameters()) == len(reads[0]) * (1 if static else 2)


def test_the_gradient_by_hand() -> None:
    """Of sum_i w_i y_i by logit j: w_j (y_j - mean), where y is 1, 100, 2, 3 and the mean 16/7."""
    (gate, _) = with_kernels(made(2, 4), KERNEL)
    (gate(X).weights @ torch.tensor([1.0, 100.0, 2.0, 3.0])).sum().backward()
    gradient = gate.get_parameter("logits.kernel").grad
    assert gradient is not None
    close(gradient[0] / math.log(2), [-18 / 49, -2 / 49, 20 / 49])
    assert (gradient[1] == 0).all(), "the second feature is 0"


@pytest.mark.parametrize("target", [0, 1, 2])
def test_no_gradient_reaches_the_other_targets_experts(target: int) -> None:
    mixture = Mixture(made(3, 8, private=2), [nn.Linear(2, 3) for _ in range(8)])
    x = torch.randn(6, 2)
    mixed, _ = mixture(x, x)
    mixed[target].square().sum().backward()
    gradient = mixture.experts.each.get_parameter("weight").grad
    assert gradient is not None
    own = {2 * target, 2 * target + 1, 6, 7}
    assert [bool(g.any()) for g in gradient] == [i in own for i in range(8)]


def test_without_shared_experts_targets_are_apart() -> None:
    """Each is a softmax gate over experts of its own, as if trained alone."""
    gates, experts = made(3, 6, private=2), [nn.Linear(2, 4) for _ in range(6)]
    x = torch.randn(7, 2)
    together, _ = Mixture(gates, experts)(x, x)
    for target, gate in enumerate(gates):
        alone = SoftmaxGate(2, 2)
        alone.logits.load_state_dict(gate.get_submodule("logits").state_dict())
        mixed, _ = Mixture([alone], experts[2 * target : 2 * target + 2])(x, x)
        torch.testing.assert_close(together[target], mixed[0], rtol=1e-14, atol=1e-14)


def test_with_one_expert_each_it_trains_as_one_each_does() -> None:
    """``Scaled`` has two targets; a member whose gate has a hyperparameter has two experts."""
    cgc = Training(Scaled(), CGCGate, [member(rate=0.1, private=1)], Recipe(BATCH, 3))
    apart = Training(
        Scaled(), OneEachGate, [member(rate=0.1, balance_weight=0.0)], Recipe(BATCH, 3)
    )
    for training in (cgc, apart):
        for _ in range(3):
            training.run_epoch()
    weights = [t.best[0]["mixture.experts.each.weight"].flatten() for t in (cgc, apart)]
    assert torch.equal(*weights)
    assert weights[0][0] != weights[0][1]


@pytest.mark.parametrize(("targets", "private"), [(3, 0), (1, 1), (1, 4)])
@pytest.mark.parametrize("static", [False, True])
def test_where_a_target_reads_all_it_is_the_softmax_gate(
    targets: int, private: int, static: bool
) -> None:
    """Of the same seed to the bit, but for what a CPU's kernels of softmax round otherwise."""
    gate = made(targets, 5, private=private, static=static)[0]
    torch.manual_seed(0)
    x, softmax = torch.randn(9, 2, generator=torch.Generator()), SoftmaxGate(2, 5, static=static)
    found, due = gate(x), softmax(x)
    assert torch.equal(found.logits[0], due.logits[0])
    torch.testing.assert_close(found.weights, due.weights, rtol=1e-6, atol=0)


def test_members_together_are_each_alone() -> None:
    """Two members of two targets in one call, experts and gates."""
    task, recipe = Scaled(), Recipe(BATCH, 2)
    members = [member(seed, rate=0.1, private=1, static=True) for seed in range(2)]
    together = Training(task, CGCGate, members, recipe)
    together.run_epoch()
    assert not together.members.one_by_one
    for index, one in enumerate(members):
        alone = Training(task, CGCGate, [one], recipe)
        alone.run_epoch()
        for name, tensor in alone.best[0].items():
            torch.testing.assert_close(together.best[index][name], tensor, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("targets", "experts", "private", "said"),
    [
        (5, 4, 1, "`model.num_experts` has to be 5 or more, or `private` less."),
        (3, 8, 3, "`model.num_experts` has to be 9 or more, or `private` less."),
        (1, 4, 5, "`model.num_experts` has to be 5 or more, or `private` less."),
    ],
)
def test_too_few_experts(targets: int, experts: int, private: int, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        made(targets, experts, private=private)
    message = str(caught.value)
    assert message.endswith(said)
    assert f"{private=}, num_experts={experts})" in message


@pytest.mark.parametrize("private", [-1, 1.0, "1", None, 1.5])
def test_private_is_a_whole_number(private: Any) -> None:
    with pytest.raises(ValueError, match=r"`private >= 0` must hold, a whole number, but got \("):
        CGCGate(2, 4, private=private)


SPEC = """
name: bad
task: {name: synthetic_groups, num_targets: 4, train_rows: 32, val_rows: 16, test_rows: 16}
model: {num_experts: EXPERTS}
gates: {cgc: {private: PRIVATE}}
training: {max_epochs: 2}
search: {trials: 2}
evaluation: {seeds: 2}
"""


@pytest.mark.parametrize(
    ("experts", "private", "said"),
    [
        ("8", "3", "`model.num_experts` has to be 12 or more, or `private` less."),
        ("8", "9", "`model.num_experts` has to be 36 or more, or `private` less."),
        ("8", "[1, 2, 3]", "`model.num_experts` has to be 12 or more, or `private` less."),
        ("[3, 8]", "1", "`model.num_experts` has to be 4 or more, or `private` less."),
        ("8", "-1", "`private >= 0` must hold, a whole number, but got (private=-1)"),
        ("8", "0.5", "private"),
        ("8", "true", "private"),
        ("8", "all", "private"),
    ],
)
def test_a_spec_that_cannot_be_is_one_line(
    experts: str, private: str, said: str, tmp_path: Path
) -> None:
    text = SPEC.replace("EXPERTS", experts).replace("PRIVATE", private)
    (tmp_path / "bad.yaml").write_text(text)
    with modules_of(tmp_path):
        result = CliRunner().invoke(main, ["validate", "bad.yaml"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert "gates.cgc.private: " in result.stderr and said in result.stderr


@pytest.mark.slow
def test_a_sweep_that_searches_private(place: Path) -> None:
    """Each trial reads what its number says, and the record has what the shared experts weigh."""
    text = SPEC.replace("bad", "searched").replace("EXPERTS", "8").replace("PRIVATE", "[0, 1, 2]")
    text = text.replace("trials: 2", "trials: 6, early_stopping: false") + "baselines: false\n"
    (place / "searched.yaml").write_text(text)
    gatelab(place, "launch", "searched.yaml")
    runs = [run for run in read(place, "searched").runs if run.gate == "cgc"]
    trials = [run for run in runs if run.stage == "search"]
    assert len(trials) == 6 and {run.end for run in trials} == {"finished"}
    weights = {int(run.params["gate.private"]): run.metrics["gate/shared_weight"] for run in trials}
    assert weights.keys() == {0, 1, 2}
    assert weights[0] == pytest.approx(1) and weights[2] == 0 < weights[1] < 1
    assert all(run.metrics["gate/at_most_k"] == 1 for run in runs if run.stage == "evaluate")
