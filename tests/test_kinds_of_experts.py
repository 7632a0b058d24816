"""Experts of several kinds side by side: in the mixture, in training, in an export, in checks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import Gate, Mixture, Routing, SoftmaxGate, Stack, TopKGate
from gatelab.gates.randomness import Randomness
from gatelab.gates.stacks import Stacks
from gatelab.sweeps.export.predictor import Predictor
from gatelab.sweeps.spec.first_pass import numbers_of_model
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tasks import MultiMNIST, Network
from gatelab.tasks.check import run_checks
from gatelab.tasks.layers import kinds_of
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.model import Model
from gatelab.training.train import Training
from tests.broken_tasks import FEATURES, Sound
from tests.in_process import gatelab
from tests.launched import read
from tests.tiny_data import write_images

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
SMALL: dict[str, Any] = {"train_rows": 60, "val_rows": 20, "test_rows": 20}


def deep() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 3))


def flat() -> nn.Module:
    return nn.Linear(6, 3)


def network(*others: Callable[[], nn.Module]) -> Network:
    return Network(nn.Identity, nn.Identity, 6, deep, lambda _: nn.Linear(3, 1), others)


@pytest.mark.parametrize(
    ("others", "num_experts", "counts"),
    [
        ((), 5, [5]),
        ((flat,), 6, [3, 3]),
        ((flat,), 5, [3, 2]),
        ((flat,), 1, [1]),
        ((flat, deep), 6, [4, 2]),
        ((flat, deep), 5, [3, 2]),
        ((flat, nn.Identity), 5, [2, 2, 1]),
    ],
)
def test_how_many_are_of_each_kind(
    others: tuple[Any, ...], num_experts: int, counts: list[int]
) -> None:
    """A kind that stands there twice has two places; the first places have one more."""
    found = network(*others).experts(num_experts)
    assert [count for _, count in found] == counts
    assert [make for make, _ in found] == [*dict.fromkeys((deep, *others))][: len(counts)]


def test_a_mixture_of_two_kinds_is_the_loop_with_its_gradients() -> None:
    torch.manual_seed(0)
    gates, kinds = (
        [SoftmaxGate(6, 5) for _ in range(2)],
        ([deep(), deep()], [flat() for _ in "abc"]),
    )
    modules: list[nn.Module] = [module for kind in kinds for module in kind]
    mixture = Mixture(gates, *kinds)
    assert isinstance(mixture.experts, Stacks) and mixture.experts.size == 5
    mixed, routing = mixture(X, X)
    outputs = torch.stack([module(X) for module in modules])
    expected = torch.stack([torch.einsum("bn,nbd->bd", gate(X).weights, outputs) for gate in gates])
    torch.testing.assert_close(mixed, expected)
    assert routing.weights.shape == (2, 40, 5)
    for index, module in enumerate(modules):
        torch.testing.assert_close(mixture.experts.call_one(index, X), module(X))
    with pytest.raises(IndexError, match="index=5, size=5"):
        mixture.experts.call_one(5, X)
    mixed.square().sum().backward()
    expected.square().sum().backward()
    stacks = [stack for stack in mixture.experts.stacks if isinstance(stack, Stack)]
    for stack, kind in zip(stacks, kinds, strict=True):
        for name, parameter in stack.each.named_parameters():
            loop = torch.stack([dict(m.named_parameters())[name].grad for m in kind])  # type: ignore[misc]
            torch.testing.assert_close(parameter.grad, loop, rtol=1e-4, atol=1e-4)


class Linear(nn.Module):
    """Is of another form than others."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(FEATURES, width) / 2)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Both(Sound):
    """Has experts with and without a hidden layer, and dropout in the one."""

    def network(self, *, width: int = 6) -> Network:
        made = super().network(width=width)

        def dropping() -> nn.Module:
            return nn.Sequential(self.expert(width), nn.Dropout(0.2))

        return replace(made, expert=dropping, other_experts=(lambda: Linear(width),))


def member(seed: int, **options: float) -> Member:
    values = {"model.num_experts": 5, "optimizer.name": "adam", "optimizer.weight_decay": 0.0}
    return Member(Configuration({**values, "optimizer.learning_rate": 0.01, **options}), seed)


def test_members_train_together_as_each_alone() -> None:
    """Fused, with dropout: three experts are of the one kind and two of the other."""
    members = [member(seed) for seed in range(3)]
    recipe = Recipe(8, 3)

    def course(some: list[Member]) -> list[list[float]]:
        training = Training(Both(), TopKGate, some, recipe)
        assert training.notes == [] and training.members.one_by_one is (len(some) == 1)
        epochs = [training.run_epoch() for _ in range(3)]
        return [[epoch[i][0] for epoch in epochs] for i in range(len(some))]

    together = course(members)
    for one, losses in zip(members, together, strict=True):
        assert course([one])[0] == pytest.approx(losses, rel=2e-4)
        assert losses[2] < losses[0]


def test_each_draws_numbers_of_its_own() -> None:
    """Two stacks of one call, whose modules drop other units each."""
    drop = [[nn.Dropout(0.5), nn.Dropout(0.5)] for _ in range(2)]
    with Randomness(torch.tensor(7)):
        dropped = Stacks([Stack(kind) for kind in drop])(torch.ones(64, 6))
    assert len({tuple(it.flatten().tolist()) for it in dropped}) == 4


class First(Gate):
    """Takes experts 0 and 3 of 5."""

    def forward(self, x: Tensor) -> Routing:
        weights = torch.tensor([0.5, 0, 0, 0.5, 0]).expand(len(x), -1)
        return Routing(weights, weights.new_zeros(()))


@pytest.mark.parametrize("dense", [False, True])
def test_an_export_computes_selected_experts_of_each_kind(dense: bool) -> None:
    """What is computed beside them is NaN: 0 times NaN is NaN."""
    torch.manual_seed(0)
    model = Model(Both(), First, {}, {"num_experts": 5}).eval()
    inputs = Both().data("val").inputs
    with torch.no_grad():
        expected = torch.cat(model.split_groups(model(inputs).groups), 1)
        predictor = Predictor(model, dense=dense)
        torch.testing.assert_close(predictor(inputs), expected)
        assert isinstance(model.mixture.experts, Stacks)
        for tensor in model.mixture.experts.parameters():
            tensor[1:] = torch.nan
        found = predictor(inputs)
    assert found.isnan().all() if dense else torch.allclose(found, expected)


class Narrow(Both):
    """The second kind gives fewer numbers."""

    def network(self, *, width: int = 6) -> Network:
        return replace(super().network(), other_experts=(lambda: Linear(width - 1),))


class Counting(Both):
    """The second kind keeps running statistics."""

    def network(self, *, width: int = 6) -> Network:
        def normed() -> nn.Module:
            return nn.Sequential(Linear(width), nn.BatchNorm1d(width))

        return replace(super().network(), other_experts=(normed,))


class Rectified(Both):
    """The second kind changes what it reads."""

    def network(self, *, width: int = 6) -> Network:
        def greedy() -> nn.Module:
            return nn.Sequential(nn.ReLU(inplace=True), Linear(width))

        return replace(super().network(), other_experts=(greedy,))


class Idle(nn.Linear):
    """Learns what it does not use."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True).expand(-1, self.out_features)


class Unused(Both):
    """The second kind has a parameter that no gradient reaches."""

    def network(self, *, width: int = 6) -> Network:
        return replace(super().network(), other_experts=(lambda: Idle(FEATURES, width),))


class Shared(Both):
    """The second kind is one module."""

    def network(self, *, width: int = 6) -> Network:
        one = Linear(width)
        return replace(super().network(), other_experts=(lambda: one,))


@pytest.mark.parametrize(
    ("cls", "check", "said"),
    [
        (Narrow, "network_fits", "the expert 2 gives (1, 5), not (1, 6)"),
        (Counting, "network_keeps_no_running_statistics", "of the expert 2 keeps running"),
        (Rectified, "features_are_not_changed_by_a_pass", "the expert 2 changes its input"),
        (Unused, "gradient_reaches_experts_and_towers", "'weight' of the expert 2"),
        (Shared, "factories_make_fresh_modules", "two calls of expert share a tensor"),
    ],
)
def test_a_mistake_of_the_second_kind_is_found(cls: type[Both], check: str, said: str) -> None:
    found = {it.check: it.reason for it in run_checks(cls) if not it.ok}
    assert said in found[check]


def test_nothing_is_found_wrong_with_two_sound_kinds() -> None:
    assert [f"{it.check}: {it.reason}" for it in run_checks(Both) if not it.ok] == []


def test_names_of_kinds() -> None:
    known = {"cnn": deep, "mlp": flat}
    assert kinds_of("mlp", known) == [flat]
    assert kinds_of("cnn+mlp+cnn", known) == [deep, flat, deep]
    with pytest.raises(ValueError, match="unknown expert 'mpl'; did you mean 'mlp'"):
        kinds_of("cnn+mpl", known)
    with pytest.raises(ValueError, match="unknown expert ''"):
        kinds_of("cnn+", known)


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "data" / "mnist", seed=1)
    monkeypatch.setenv("GATELAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def spec(**model: Any) -> dict[str, Any]:
    return {"name": "both", "task": {"name": "multi_mnist", **SMALL}, "gates": ["top_k"]} | {
        "model": {"channels": 2, "expert_width": 8, "tower_width": 8, **model}
    }


def test_image_pairs_have_cnns_before_mlps(images: None) -> None:
    (cnn, three), (mlp, two) = MultiMNIST(**SMALL).network(expert="cnn+mlp").experts(5)
    assert (three, two) == (3, 2)
    layers = [{type(it).__name__ for it in make().modules()} for make in (cnn, mlp)]
    assert "Conv2d" in layers[0] and "Conv2d" not in layers[1]
    features = torch.zeros(2, 1, 36, 36)
    assert cnn()(features).shape == mlp()(features).shape == (2, 50)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            {"expert": "cnn+mlp", "num_experts": 1},
            r"model.num_experts: `num_experts >= 2` must hold, one of each kind, but got .*=1",
        ),
        (
            {"expert": ["cnn", "cnn+mpl"]},
            r"model.expert: .*unknown expert 'mpl'; did you mean 'mlp'",
        ),
    ],
)
def test_specs_that_cannot_be(images: None, model: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_spec(spec(**model))
    assert re.search(said, str(error.value)) and "\n" not in str(error.value)


@pytest.mark.parametrize(("num_experts", "numbers"), [(5, 3 * 73 + 2 * 21 + 9), (1, 73 + 9)])
def test_the_numbers_of_a_model_are_counted_by_kind(num_experts: int, numbers: int) -> None:
    """A deep expert has 6 x 7 + 7 + 7 x 3 + 3 = 73, a flat one 6 x 3 + 3 = 21, all else 9."""
    sizes = {"bottom": 5, "expert": 73, "expert 2": 21, "tower of 'a'": 4}
    assert numbers_of_model(network(flat), sizes, num_experts) == numbers


@pytest.mark.slow
def test_a_sweep_over_kinds(images: None, place: Path) -> None:
    """Each of three structures is tried, alone and side by side."""
    rows = ", ".join(f"{name}: {count}" for name, count in SMALL.items())
    (place / "both.yaml").write_text(
        f"name: both\ntask: {{name: multi_mnist, {rows}}}\n"
        "gates: {top_k: {k: 2}}\nbaselines: false\n"
        "model: {expert: [cnn, mlp, cnn+mlp], num_experts: 4, channels: 2, expert_width: 8}\n"
        "training: {max_epochs: 1}\nsearch: {trials: 8, rounds: 1, early_stopping: false}\n"
        "evaluation: {seeds: 1}\n"
    )
    gatelab(place, "launch", "both.yaml")
    trials = read(place, "both").of("search")
    assert {run.params["model.expert"] for run in trials} == {"cnn", "mlp", "cnn+mlp"}
    assert {run.end for run in trials} == {"finished"}


class Paired(MultiMNIST):
    """Tells two digits by CNNs and MLPs side by side."""

    def network(self, *, expert: str = "cnn+mlp", channels: int = 2) -> Network:
        return super().network(expert=expert, channels=channels, expert_width=8)


@pytest.mark.slow
def test_both_kinds_of_image_pairs_pass_every_check(images: None) -> None:
    found = run_checks(Paired, **SMALL)
    assert [f"{it.check}: {it.reason}" for it in found if not it.ok] == []
