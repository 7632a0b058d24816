"""Networks whose parameters are made, frozen or left out learn what plain torch lets them learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.utils as older
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.parametrize import register_parametrization
from torch.utils.checkpoint import checkpoint

from gatelab.gates import SoftmaxGate
from gatelab.tasks import Network, SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from tests.orders import row_order

WIDTH, EXPERTS, BATCH, EPOCHS = 6, 2, 40, 2
ADAMW = {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.3}
SGD = {"name": "sgd", "learning_rate": 0.02, "weight_decay": 0.1, "momentum": 0.9}
Made = Callable[[int, int], nn.Module]


pytestmark = pytest.mark.usefixtures("float64")


class Halved(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


class Apart(nn.Module):
    """Looks at its input by a part that no gradient reaches, though it could learn."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(inputs, inputs), nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            looked = self.before(x).tanh()
        return self.after(looked)  # type: ignore[no-any-return]


class Detached(Apart):
    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.before(x).tanh().detach())  # type: ignore[no-any-return]


class FrozenLate(nn.Linear):
    """Freezes its weight when it begins to train."""

    def train(self, mode: bool = True) -> FrozenLate:
        self.weight.requires_grad_(False)
        return super().train(mode)


class LooksUp(nn.Module):
    """A table that was learnt elsewhere, of sparse gradients if it had any."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(torch.randn(4, inputs), freeze=True, sparse=True)
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        ids = x[:, 0].abs().long().clamp(max=3)
        return self.linear(self.table(ids) + x)  # type: ignore[no-any-return]


class Tied(nn.Module):
    """Two layers of one weight before another."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(inputs, inputs), nn.Linear(inputs, inputs)
        self.two.weight = self.one.weight
        self.last = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.two(self.one(x).tanh()))  # type: ignore[no-any-return]


def half(module: nn.Module, *gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if it is None else it / 2 for it in gradients[0])


def hooked(inputs: int, outputs: int) -> nn.Module:
    made = nn.Linear(inputs, outputs)
    made.register_full_backward_hook(half)
    return made


def hooked_before(inputs: int, outputs: int) -> nn.Module:
    made = nn.Linear(inputs, outputs)
    made.register_full_backward_pre_hook(half)
    return made


def halved(inputs: int, outputs: int) -> nn.Module:
    return register_parametrization(nn.Linear(inputs, outputs), "weight", Halved())


def with_frozen_bias(inputs: int, outputs: int) -> nn.Module:
    made = nn.Linear(inputs, outputs)
    made.bias.requires_grad_(False)
    return made


MAKERS: dict[str, Made] = {
    "weight_norm": lambda i, o: parametrizations.weight_norm(nn.Linear(i, o)),
    "spectral_norm": lambda i, o: parametrizations.spectral_norm(nn.Linear(i, o)),
    "orthogonal": lambda i, o: parametrizations.orthogonal(nn.Linear(i, o)),
    "own": halved,
    "older weight_norm": lambda i, o: older.weight_norm(nn.Linear(i, o)),
    "older spectral_norm": lambda i, o: older.spectral_norm(nn.Linear(i, o)),
    "pruned": lambda i, o: prune.l1_unstructured(nn.Linear(i, o), "weight", 0.4),
    "no_grad": Apart,
    "detached": Detached,
    "frozen late": FrozenLate,
    "frozen bias": with_frozen_bias,
    "frozen table": LooksUp,
    "tied": Tied,
    "backward hook": hooked,
    "backward pre-hook": hooked_before,
}


class Odd(SyntheticGroups):
    """Has such a layer in its bottom, its experts and its towers."""

    def __init__(self, made: Made) -> None:
        super().__init__(num_targets=2, train_rows=96, val_rows=32, test_rows=16, in_features=WIDTH)
        self.made = made

    def network(self, **_: Any) -> Network:
        def layer() -> nn.Module:
            return nn.Sequential(self.made(WIDTH, WIDTH), nn.Tanh())

        return Network(
            bottom=layer,
            gate_input=nn.Identity,
            gate_features=WIDTH,
            expert=lambda: nn.Sequential(layer(), nn.Linear(WIDTH, 4)),
            tower=lambda _: nn.Sequential(self.made(4, 1)),
        )


class Plain(nn.Module):
    """The same model without a stack in it."""

    def __init__(self, task: Odd) -> None:
        super().__init__()
        network = task.network()
        self.bottom = network.bottom()
        self.experts = nn.ModuleList(network.expert() for _ in range(EXPERTS))
        self.towers = nn.ModuleList(network.tower(target) for target in task.targets)
        self.gate_input = network.gate_input()
        self.gates = nn.ModuleList(SoftmaxGate(WIDTH, EXPERTS) for _ in task.targets)

    def forward(self, x: Tensor) -> Tensor:
        features = self.bottom(x)
        read = self.gate_input(features)
        experts = torch.stack([expert(features) for expert in self.experts])
        mixed = (torch.einsum("bn,nbd->bd", gate(read).weights, experts) for gate in self.gates)
        return torch.cat([t(m) for t, m in zip(self.towers, mixed, strict=True)], 1)


def losses_of_plain_torch(task: Odd, seed: int, options: dict[str, Any]) -> list[float]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Plain(task).train()
    given = {n: v for n, v in options.items() if n not in ("name", "learning_rate")}
    rule = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[options["name"]]
    optimizer = rule(model.parameters(), lr=options["learning_rate"], **given)
    train, val = (task.split(name) for name in ("train", "val"))
    found = []
    for epoch in range(EPOCHS):
        model.train()
        for rows in row_order(seed, epoch, len(train.inputs)).split(BATCH):
            outputs = model(train.inputs[rows].double())
            optimizer.zero_grad()
            (outputs - train.targets[rows]).square().mean(0).sum().backward()
            optimizer.step()
        with torch.no_grad():
            outputs = model.eval()(val.inputs.double())
        found.append(float((outputs - val.targets).square().mean(0).sum()))
    return found


def losses_of_members(task: Odd, seeds: list[int], options: dict[str, Any]) -> list[list[float]]:
    configuration = Configuration.of({}, {"num_experts": EXPERTS}, options)
    members = [Member(configuration, seed) for seed in seeds]
    training = Training(task, SoftmaxGate, members, Recipe(BATCH, EPOCHS))
    found: list[list[float]] = [[] for _ in seeds]
    while not training.done:
        for member, (_, evaluation) in training.run_epoch().items():
            found[member].append(evaluation.loss)
    return found


@pytest.mark.filterwarnings(
    *("ignore::FutureWarning", "ignore:There is a performance drop"),
    "ignore:Full backward hook is firing",
)
@pytest.mark.parametrize("options", [ADAMW, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize("name", MAKERS)
def test_members_learn_what_plain_torch_learns(name: str, options: dict[str, Any]) -> None:
    """Weight decay and momentum move nothing that no gradient reaches."""
    task, seeds = Odd(MAKERS[name]), [3, 4]
    expected = [losses_of_plain_torch(task, seed, options) for seed in seeds]
    for found in (
        losses_of_members(task, seeds, options),
        losses_of_members(task, seeds[:1], options),
    ):
        for one, other in zip(found, expected, strict=False):
            assert one == pytest.approx(other, rel=1e-9)


class Returning(Odd):
    """Gates read what the bottom's own layer makes of its outputs."""

    def network(self, **options: Any) -> Network:
        layers: list[nn.Module] = []

        def bottom() -> nn.Module:
            layers.append(self.made(WIDTH, WIDTH))
            return layers[-1]

        return replace(super().network(**options), bottom=bottom, gate_input=lambda: layers[-1])


def test_a_bottom_and_the_gates_input_may_share_what_they_learn() -> None:
    task = Returning(nn.Linear)
    for found in losses_of_members(task, [3, 4], SGD), losses_of_members(task, [3], SGD):
        assert found[0] == pytest.approx(losses_of_plain_torch(task, 3, SGD), rel=1e-9)
    assert found[0] != pytest.approx(losses_of_plain_torch(Odd(nn.Linear), 3, SGD), rel=1e-3)


def masked(inputs: int, outputs: int) -> nn.Module:
    made = nn.Linear(inputs, outputs)
    made.weight.register_hook(lambda gradient: gradient * 0)
    return made


def muted(inputs: int, outputs: int) -> nn.Module:
    made = nn.Linear(inputs, outputs)
    made.weight.register_post_accumulate_grad_hook(lambda weight: None)
    return made


class Bounded(LooksUp):
    """Changes its table when it is looked at."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.table = nn.Embedding(4, inputs, max_norm=1.0)


class Bag(nn.Module):
    """Sums rows of a table, whose gradient is sparse."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(4, outputs, mode="sum", sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.bag(x.abs().long().clamp(max=3))  # type: ignore[no-any-return]


def lazy(inputs: int, outputs: int) -> nn.Module:
    return nn.LazyLinear(outputs)


class Again(nn.Module):
    """Computes a layer again for the gradient, which is of parameters."""

    reentrant = False

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.then = nn.Linear(inputs, inputs), nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        layer = nn.Sequential(self.then, nn.Tanh())
        return checkpoint(layer, self.first(x), use_reentrant=self.reentrant)  # type: ignore[no-any-return]


class Reentrant(Again):
    reentrant = True


@pytest.mark.parametrize("seeds", [[3], [3, 4]])
@pytest.mark.parametrize("where", ["bottom", "expert", "tower"])
@pytest.mark.parametrize(
    ("made", "what"),
    [
        (lazy, r"but the \w+( 1)? has a lazy layer: give it its size"),
        (Again, "torch.utils.checkpoint computes again when they are gone"),
        (Reentrant, "torch.utils.checkpoint computes again when they are gone"),
        (masked, "has a hook on its gradient, which is lost"),
        (muted, "has a hook on its gradient, which is lost"),
        (Bounded, r"\(Embedding\) has a `max_norm`"),
        (Bag, r"\(EmbeddingBag\) has them too; leave out `sparse=True`"),
    ],
)
def test_what_would_be_lost_is_refused(made: Made, what: str, where: str, seeds: list[int]) -> None:
    class Somewhere(Odd):
        def network(self, **options: Any) -> Network:
            odd, plain = super().network(**options), Odd(nn.Linear).network()
            part: dict[str, Any] = {where: getattr(odd, where)}
            return replace(plain, **part)

    with pytest.raises(ValueError, match=what) as caught:
        losses_of_members(Somewhere(made), seeds, ADAMW)
    assert "\n" not in str(caught.value)


class Listed(nn.Linear):
    """Finds its kernel in a list, where no other can be put in its place."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.kernels = [self.weight]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.kernels[0].T + self.bias


def test_a_parameter_in_a_list_would_not_learn() -> None:
    class Somewhere(Odd):
        def network(self, **options: Any) -> Network:
            plain = Odd(nn.Linear).network()
            return replace(plain, bottom=super().network(**options).bottom)

    with pytest.raises(ValueError, match="a list keeps those that were first"):
        losses_of_members(Somewhere(Listed), [3], ADAMW)


def test_what_is_frozen_in_part_of_the_experts_is_refused() -> None:
    made = [0]

    def sometimes(inputs: int, outputs: int) -> nn.Module:
        made[0] += 1
        return nn.Linear(inputs, outputs).requires_grad_(made[0] % 2 == 0)

    with pytest.raises(ValueError, match="freeze it in all of them, or in none"):
        losses_of_members(Odd(sometimes), [3], ADAMW)
