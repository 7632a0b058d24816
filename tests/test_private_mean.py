"""Private mean-regularised learning: rounds by hand, what they equal, and what is told of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gatelab.gates import SoftmaxGate
from gatelab.training.learner_checks import CHECKS, run_checks
from gatelab.training.learners.accounting import pld_epsilon, rdp_epsilon
from gatelab.training.learners.mean_regularized import MeanRegularized
from gatelab.training.learners.published import Published
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from tests.bad_specs import GOOD, run
from tests.in_process import gatelab
from tests.launched import read as read_record
from tests.test_gossip import GROUPS, Sums, member, numbers, trained
from tests.test_learner_specs import of_learner


def pulled(seed: int = 0, **options: Any) -> Member:
    return member(seed, learner="mean_regularized", **options)


def published(training: Training) -> Published:
    learner = training.group.learner
    assert isinstance(learner, MeanRegularized) and learner.published is not None
    return learner.published


def center(training: Training) -> Tensor:
    """Return what is published, ``(members, numbers)``."""
    return published(training)._tensors["center"]


def begun(members: Sequence[Member], epochs: int, task: Any = GROUPS, batch: int = 32) -> Training:
    training = Training(task, SoftmaxGate, members, Recipe(batch, 9))
    for _ in range(epochs):
        training.run_epoch()
    return training


def test_two_clipped_rounds_by_hand(float64: None) -> None:
    """From 0 experts and towers go to 0.2 and 0.6, of which 0.2 and 0.3 are heard: u is 0.25.

    There gradients are -1.2 and -3.6, and half of the way from u: -0.025 and 0.175. So experts move
    by 0.1225 and 0.3425, of which 0.1225 and 0.3 are heard.
    """
    training = begun([pulled(pull=0.5, clip=0.3)], 1, Sums(), 4)
    assert center(training).tolist() == [[pytest.approx(0.25)]]
    training.run_epoch()
    assert numbers(training) == [pytest.approx([0.3225, 0.9425]), pytest.approx([0.32, 0.96])]
    assert center(training).tolist() == [[pytest.approx(0.25 + 0.21125)]]


def test_a_round_of_two_steps_by_hand(float64: None) -> None:
    """In the second step copies are pulled to 0 still, by 0.1 and 0.3: 0.31 and 0.93."""
    training = begun([pulled(pull=0.5, local_steps=2)], 1, Sums(), 4)
    assert center(training).tolist() == [[0.0]]
    training.run_epoch()
    assert numbers(training)[0] == pytest.approx([0.31, 0.93])
    assert center(training).tolist() == [[pytest.approx(0.62)]]


def test_who_is_not_sampled_stays_and_the_others_count_by_the_chance(float64: None) -> None:
    """Half of two targets is one on average: u moves by the whole change of each that moved."""
    training = Training(Sums(), SoftmaxGate, [pulled(pull=0.5, sampled=0.5)], Recipe(4, 40))
    places, seen = [0.0, 0.0], set()
    for _ in range(30):
        towers, before = numbers(training)[1], float(center(training)[0, 0])
        training.run_epoch()
        experts = numbers(training)[0]
        moved = [after - place for after, place in zip(experts, places, strict=True)]
        took_part = published(training)._tensors["sampled"][0].tolist()
        assert [change != 0 for change in moved] == took_part
        assert [a != b for a, b in zip(numbers(training)[1], towers, strict=True)] == took_part
        assert float(center(training)[0, 0]) - before == pytest.approx(sum(moved), abs=1e-12)
        places = experts
        seen.add(tuple(took_part))
    assert len(seen) == 4  # one, the other, both, and none


@pytest.mark.parametrize(
    ("optimizer", "places"),
    [
        ({"optimizer": "sgd", "momentum": 0.5}, (0.2, 0.42)),
        ({"optimizer": "adam"}, (0.1, 0.1988125)),
        ({"optimizer": "adamw", "weight_decay": 0.5}, (0.1, 0.1938125)),
    ],
    ids=["momentum", "adam", "adamw"],
)
def test_the_optimiser_of_who_is_not_sampled_rests_too(
    float64: None, optimizer: dict[str, Any], places: tuple[float, float]
) -> None:
    """So a target's first two steps are the same, however many rounds were without it.

    Gradients are -2, and after that -1.2 with a velocity of -2.2, or with Adam -1.6, whose moments
    are -0.34 / 0.19 and 0.006556 / 0.001999: a step of 0.0988125. Decay takes a twentieth of 0.1.
    """
    members = [pulled(seed, pull=0.0, sampled=0.3, **optimizer) for seed in range(6)]
    training = Training(Sums(), SoftmaxGate, members, Recipe(4, 40))
    course, waited = [[0.0] for _ in members], [0, 0]
    for _ in range(20):
        training.run_epoch()
        for place, seen in enumerate(course):
            took_part = bool(published(training)._tensors["sampled"][place, 0])
            now = training.copies.state(training.members, place)["mixture.experts.each.value"]
            if len(seen) < 3 and took_part:
                seen.append(float(now[0]))
            elif len(seen) < 3:
                waited[len(seen) > 1] += 1
    assert all(waited), "some waited before the first, some before the second"
    assert [seen[1:] for seen in course] == [pytest.approx(places, rel=1e-6)] * len(members)


def test_targets_are_sampled_by_their_chance() -> None:
    """Each by its own: of 3 targets of 40 members in 60 rounds, within four standard errors."""
    chances = (0.2, 0.7)
    members = [pulled(seed, sampled=chances[seed % 2], rate=0.0) for seed in range(40)]
    training, drawn = begun(members, 0, batch=96), []
    for _ in range(9):
        training.run_epoch()
        drawn.append(published(training)._tensors["sampled"].double())
    took = torch.stack(drawn)  # (rounds, members, targets)
    for place, chance in enumerate(chances):
        own = took[:, place::2]
        assert abs(float(own.mean()) - chance) < 4 * (chance * (1 - chance) / own.numel()) ** 0.5
    pairs = (took - took.mean((0, 2), keepdim=True))[:, 0::2]
    assert abs(float((pairs[:, :, 0] * pairs[:, :, 1]).mean())) < 0.05


def test_noise_is_of_the_stated_size_and_drawn_for_each_round() -> None:
    """Nobody moves, so what is published is noise alone: z clip sqrt(rounds) / (q T)."""
    options = {"rate": 0.0, "experts": 4, "clip": 0.5}
    members = [
        pulled(0, noise=2.0, **options),
        pulled(1, noise=4.0, sampled=0.5, **options),
        pulled(2, **options),
    ]
    training = begun(members, 0)
    start = center(training).clone()
    for _ in range(3):  # of three rounds each
        training.run_epoch()
    noise = center(training) - start
    assert noise.shape[1] > 2000
    sizes = [2.0 * 0.5 * 3 / 3, 4.0 * 0.5 * 3 / 1.5]
    for own, size in zip(noise, sizes, strict=False):
        assert float(own.std()) == pytest.approx(size, rel=0.07)
        assert abs(float(own.mean())) < 4 * size / own.numel() ** 0.5
    assert abs(float((noise[0] * noise[1]).mean())) < 0.1 * sizes[0] * sizes[1]
    assert not noise[2].any()


def test_with_neither_clip_nor_noise_all_is_as_without_rounds_bit_for_bit() -> None:
    """Beside a member that publishes, whose round is in the same operations."""
    options = {"rate": 0.05, "experts": 4, "pull": 0.7}
    plain = begun([pulled(3, **options), pulled(4, **options)], 4)
    said = {"clip": float("inf"), "noise": 0.0, "sampled": 1.0}
    beside = begun(
        [pulled(3, **options, **said), pulled(4, **options, clip=0.1, noise=2.0, sampled=0.5)],
        4,
    )
    assert torch.equal(plain.members.flat[:3], beside.members.flat[:3])
    assert not torch.equal(plain.members.flat[3:], beside.members.flat[3:])
    learner = plain.group.learner
    assert isinstance(learner, MeanRegularized)
    assert learner.state(0) == beside.group.learner.state(0) == {"pulls": learner.pulls[0]}


def test_what_is_published_without_clip_or_noise_is_the_mean(float64: None) -> None:
    """A clip that shortens nothing: the sum of all changes is the change of the mean."""
    options = {"rate": 0.05, "experts": 4, "pull": 0.7}
    plain = begun([pulled(3, **options)], 4)
    rounds = begun([pulled(3, **options, clip=1e9)], 4)
    assert torch.allclose(plain.members.flat, rounds.members.flat, rtol=0, atol=1e-12)
    means = torch.cat(plain.group.learner.shared.parts(plain.members.flat.detach()), dim=2).mean(1)
    assert torch.allclose(center(rounds), means, rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_without_a_pull_targets_are_trained_apart_whatever_is_published(optimizer: str) -> None:
    options = {"optimizer": optimizer, "rate": 0.01, "experts": 4}
    ones = [[float(t == own) for t in range(3)] for own in range(3)]
    private = {"pull": 0.0, "clip": 0.1, "noise": 3.0, "local_steps": 2}
    together = trained(SoftmaxGate, [pulled(3, **private, **options)], Recipe(20, 3))
    alone = trained(SoftmaxGate, [member(3, one, "", **options) for one in ones], Recipe(20, 3))
    assert torch.equal(together.members.flat, alone.members.flat)


def test_no_update_counts_for_more_than_the_clip() -> None:
    """Also of many steps, and of one that was put back."""
    training = begun([pulled(clip=0.01, sampled=0.7, rate=0.5, experts=4)], 0)
    for _ in range(4):
        before = center(training).clone()
        training.run_epoch()  # of three rounds
        assert float((center(training) - before).norm()) <= 3 * 3 * 0.01 / (0.7 * 3) + 1e-6


@pytest.mark.parametrize("options", [{"noise": 0.3, "clip": 0.1}, {"sampled": 0.5, "clip": 1.0}])
def test_it_keeps_to_the_contract_of_learners(options: dict[str, Any]) -> None:
    """Also where an epoch ends in the midst of a round: its three steps are one and a half."""
    outcomes = run_checks("mean_regularized", local_steps=2, **options)
    assert len(outcomes) == len(CHECKS)
    assert [each.reason for each in outcomes if not each.ok] == []


def test_what_is_spent_is_told_of_all_rounds() -> None:
    """Three steps an epoch are a round and a half; delta is 1 / 3 by default."""
    options = {"noise": 2.0, "clip": 0.1, "sampled": 0.5, "local_steps": 2}
    training = begun([pulled(**options), pulled(delta=0.01, **options)], 0)
    told = [training.run_epoch()[1][1].learner for _ in range(3)]
    rounds = [1, 3, 4]
    assert [each["rounds"] for each in told] == rounds
    spent = [rdp_epsilon(2.0, 0.5, number, 0.01) for number in rounds]
    assert [each["epsilon_rdp"] for each in told] == spent
    assert all(each["delta"] == 0.01 and "epsilon_pld" not in each for each in told)
    default, found = training.evaluate_best("val")
    assert found.learner["epsilon_pld"] == pld_epsilon(2.0, 0.5, 4, 0.01)
    assert found.learner.keys() == MeanRegularized.diagnostics.keys()
    assert default.learner["delta"] == 1 / 3


def test_before_a_round_has_ended_there_is_no_epsilon() -> None:
    """An epsilon of 0 would be read as that of something published."""
    training = begun([pulled(noise=2.0, clip=0.1, local_steps=4)], 0)  # steps; an epoch has three
    first, second = (training.run_epoch()[0][1].learner for _ in range(2))
    assert first["rounds"] == 0 and "epsilon_rdp" not in first
    assert second["rounds"] == 1 and second["epsilon_rdp"] == rdp_epsilon(2.0, 1.0, 1, 1 / 3)
    never = begun([pulled(noise=2.0, clip=0.1, local_steps=100)], 2)
    (found,) = never.evaluate_best("val")
    assert found.learner["rounds"] == 0
    assert not {"epsilon_rdp", "epsilon_pld"} & found.learner.keys()


def test_rounds_after_the_kept_weights_are_spent_too() -> None:
    """With much noise no later epoch is better than the first."""
    training = begun([pulled(noise=8.0, clip=1.0, pull=1.0, rate=0.05)], 4)
    assert training.courses[0].best_epoch < 4
    (found,) = training.evaluate_best("val")
    assert found.learner["rounds"] == 4 * 3


BAD: list[tuple[str, tuple[str, ...]]] = [
    ("clip: 0", ("learner.clip", "clip > 0", "clip=0.0")),
    ("clip: [1, -1]", ("learner.clip", "clip > 0", "clip=-1.0")),
    ("noise: 1", ("learner.clip", "must be given with noise", "noise=1.0")),
    ("noise: -1, clip: 1", ("learner.noise", "0 <= noise < inf", "noise=-1.0")),
    ("sampled: 0", ("learner.sampled", "0 < sampled <= 1", "sampled=0.0")),
    ("sampled: 1.5", ("learner.sampled", "sampled=1.5")),
    ("local_steps: 0", ("learner.local_steps", "local_steps >= 1", "local_steps=0")),
    ("noise: 1, clip: 1, delta: 0", ("learner.delta", "0 < delta < 1", "delta=0")),
    ("noise: 1, clip: 1, delta: 1.0", ("learner.delta", "0 < delta < 1", "delta=1.0")),
    ("noise: 1, clip: 1, delta: small", ("learner.delta", "0 < delta < 1", "small")),
    ("clip: 1, delta: 0.1", ("learner.delta", "infinite without noise", "noise=0.0")),
    (
        "noise: {low: 0, high: 4}, clip: 1, delta: 0.1",
        ("learner.delta", "infinite without noise", "noise=0.0"),
    ),
    ("weighted: rows", ("learner", "unknown key 'weighted'")),
]


@pytest.mark.parametrize(("said", "words"), BAD, ids=[said for said, _ in BAD])
def test_what_cannot_be_private_is_one_line(
    said: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(of_learner(f"{{name: mean_regularized, {said}}}"))
    code, text = run("validate", str(path))
    assert (code, text.count("\n")) == (2, 1), text
    assert all(word in text for word in words), text


def test_one_target_needs_a_delta_of_its_own() -> None:
    options = MeanRegularized.completed({"noise": 1.0, "clip": 1.0})
    assert MeanRegularized.faults(options, 1).keys() == {"delta"}
    assert MeanRegularized.faults(options, 2) == {}


def test_a_missing_package_is_a_line_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is missed by those alone who ask for noise."""
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    path = tmp_path / "bad.yaml"
    path.write_text(of_learner("{name: mean_regularized, noise: 1, clip: 1}"))
    code, text = run("validate", str(path))
    assert (code, text.count("\n")) == (2, 1)
    assert "gates.one.learner.noise" in text and "pip install 'gatelab[privacy]'" in text
    path.write_text(of_learner("{name: mean_regularized, clip: 1, sampled: 0.5}"))
    assert run("validate", str(path))[0] == 0
    begun([pulled(clip=1.0)], 1)
    with pytest.raises(ImportError, match=r"gatelab\[privacy\]"):  # a worker without it
        begun([pulled(clip=1.0, noise=1.0)], 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")
def test_a_sweep_records_epsilon_beside_the_loss(tmp_path: Path) -> None:
    said = "noise: {low: 1, high: 4}, clip: 0.5, sampled: 0.5, delta: 0.01"
    (tmp_path / "own.yaml").write_text(of_learner(f"{{name: mean_regularized, {said}}}"))
    gatelab(tmp_path, "launch", "own.yaml")
    record = read_record(tmp_path, GOOD["name"])
    names = {f"learner/{name}" for name in MeanRegularized.diagnostics}
    runs = record.of("evaluate")
    own = [run for run in runs if run.gate == "one"]
    assert own
    for each in own:
        assert names <= each.metrics.keys()
        assert 0 < each.metrics["learner/epsilon_pld"] < each.metrics["learner/epsilon_rdp"]
        assert each.metrics["learner/delta"] == 0.01
    assert "delta" in record.meanings and "add" in record.meanings["epsilon_rdp"]
