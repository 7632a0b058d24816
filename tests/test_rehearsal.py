"""What cannot be fused is found before training, and trains one by one to the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import SoftmaxGate, gates
from gatelab.gates.gate import Gate, Routing
from gatelab.tasks import Network, Split, SplitName, SyntheticGroups
from gatelab.tasks.layers import Dropout, mlp_network
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from tests.odd_layers import REFUSED, WIDTH, Branch, Cast, Checkpointed, Item, Linear, Recurrent
from tests.unsteady_gates import Writing

RECIPE = Recipe(batch_size=32, max_epochs=2)


def member(seed: int = 0) -> Member:
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    return Member(Configuration.of({}, {"num_experts": 3}, optimizer), seed)


class Odd(SyntheticGroups):
    """A small task, some part of whose network is odd."""

    def __init__(self, **parts: Callable[..., nn.Module]) -> None:
        sizes = {"train_rows": 96, "val_rows": 48, "test_rows": 48}
        super().__init__(num_targets=2, experts_per_group=1, in_features=WIDTH, **sizes)
        self.parts = parts

    def network(self) -> Network:  # type: ignore[override]
        network = mlp_network(
            Linear, WIDTH, expert_width=WIDTH, expert_depth=1, tower_width=WIDTH, dropout=0.0
        )
        return replace(network, **{"bottom": nn.Identity, **self.parts})

    def split(self, name: SplitName) -> Split:
        inputs, targets, mask, *_ = super().split(name)
        return Split(inputs.to(torch.get_default_dtype()), targets.to(inputs), mask)


def trained(task: Odd, seeds: list[int], gate: type[Gate] = SoftmaxGate) -> Training:
    training = Training(task, gate, [member(seed) for seed in seeds], RECIPE)
    while not training.done:
        training.run_epoch()
    return training


def same_as_alone(task: Odd, gate: type[Gate] = SoftmaxGate) -> list[str]:
    """Check that three members end with the weights that each has alone; return the notes."""
    together = trained(task, [0, 1, 2], gate)
    for seed in range(3):
        alone = trained(task, [seed], gate)
        for name, tensor in alone.best[0].items():
            torch.testing.assert_close(together.best[seed][name], tensor, rtol=1e-9, atol=1e-12)
        losses = [t.courses[s].best_cost for t, s in ((together, seed), (alone, 0))]
        assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    return together.notes


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("layer", REFUSED)
def test_members_that_cannot_be_fused_are_called_one_by_one(layer: type[nn.Module]) -> None:
    (note,) = same_as_alone(Odd(bottom=layer))
    # What is computed again in the backward pass raises there, where no layer is under way.
    where = "the model" if layer is Checkpointed else "bottom"
    assert note.startswith(where)
    assert "cannot be fused (" in note and "takes as long as its seeds in turn" in note


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("part", ["expert", "tower"])
@pytest.mark.parametrize("layer", [Recurrent, Branch])
def test_experts_and_towers_that_cannot_be_fused(part: str, layer: type[nn.Module]) -> None:
    """One member alone cannot do without, since its experts are fused as well."""
    factories: dict[str, Callable[..., nn.Module]] = {
        "expert": lambda: nn.Sequential(nn.Linear(WIDTH, WIDTH), layer()),
        "tower": lambda target: nn.Sequential(layer(), nn.Linear(WIDTH, 1)),
    }
    notes = same_as_alone(Odd(**{part: factories[part]}))
    assert [f"{part}s" in note.partition(" ")[0] for note in notes] == [True, True]
    assert "members are called one by one" in notes[0]
    assert f"its {3 if part == 'expert' else 2} modules are called one by one" in notes[1]


class Glancing(SoftmaxGate):
    """Looks at numbers in Python, in a pass and in its update."""

    seen: Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing if routing.weights.max() > 0 else routing._replace(weights=x)

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        return {"seen": self.seen + routing.weights.max().item()}


class Counting(SoftmaxGate):
    """Looks at numbers in Python in its update alone."""

    seen: Tensor
    __init__, update = Glancing.__init__, Glancing.update  # type: ignore[assignment]


@pytest.mark.usefixtures("float64")
def test_gates_that_cannot_be_fused() -> None:
    notes = same_as_alone(Odd(), Glancing)
    assert notes[1].startswith("gates (Glancing) cannot be fused")


@pytest.mark.usefixtures("float64")
def test_why_is_said_in_plain_words_with_the_place() -> None:
    """Torch's own words are long, and end in an advice to report a bug of torch's."""
    notes = same_as_alone(Odd(), Writing)
    for note in notes:
        assert "cannot be fused (a tensor that all models share is written into (" in note
        assert "unsteady_gates.py, line " in note


def test_what_raises_in_any_case_raises_what_it_would_alone() -> None:
    class Failing(Linear):
        def odd(self, y: Tensor) -> Tensor:
            raise RuntimeError("no way through")

    for seeds in ([0], [0, 1]):
        with pytest.raises(RuntimeError, match="^no way through$"):
            Training(Odd(bottom=Failing), SoftmaxGate, [member(s) for s in seeds], RECIPE)


def test_other_numbers_under_vmap_are_noticed() -> None:
    """torch.autocast does nothing there."""
    together = trained(Odd(bottom=Cast), [0, 1, 2])
    alone = trained(Odd(bottom=Cast), [2])
    (note,) = together.notes
    assert "other numbers fused than alone" in note
    assert together.courses[2].best_cost == pytest.approx(alone.courses[0].best_cost, rel=1e-6)


class Passed(Linear):
    def odd(self, y: Tensor) -> Tensor:
        return y


@pytest.mark.parametrize("dropout", [Dropout, nn.Dropout])
@pytest.mark.parametrize("layer", [Item, Passed])
def test_draws_of_members_are_independent(layer: type[nn.Module], dropout: type[nn.Module]) -> None:
    """What is drawn follows from a member's seed: equal for one seed, fused or not, else not."""

    def bottom() -> nn.Module:
        return nn.Sequential(layer(), dropout(0.5))

    training, again = (trained(Odd(bottom=bottom), [5, 5, 6]) for _ in range(2))
    assert len(training.notes) == (layer is Item) and training.loop.draws
    first, second, third = training.courses
    assert first.best_cost == second.best_cost != third.best_cost
    assert again.courses == [first, second, third]


@pytest.mark.parametrize("name", gates.names())
def test_members_of_our_gates_are_fused(name: str) -> None:
    cls = gates.get(name)
    state = torch.random.get_rng_state()
    training = Training(Odd(), cls, [member(0), member(1)], RECIPE)
    assert training.notes == [] and not training.members.one_by_one
    assert training.members.flat.grad is None
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("name", gates.names())
def test_a_member_that_diverged_leaves_the_others_scores(name: str) -> None:
    """Also in the evaluation, whatever the gate does with NaN."""
    training = Training(Odd(), gates.get(name), [member(s) for s in range(3)], RECIPE)
    clean = training.evaluate_best("test")
    for tensor in training.best[1].values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)
    poisoned = training.evaluate_best("test")
    assert not torch.isfinite(torch.tensor(poisoned[1].loss))
    for place in (0, 2):
        assert poisoned[place].loss == pytest.approx(clean[place].loss, rel=1e-6)
