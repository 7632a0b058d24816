"""Numbers that single precision does not have: a member of them fails alone, with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gatelab.gates import SoftmaxGate
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from tests.in_process import gatelab
from tests.launched import read

LARGE = 1e39
SMALL = {"num_targets": 2, "train_rows": 64, "val_rows": 32, "test_rows": 32}
TASK = SyntheticGroups(**SMALL)
FIRST = TASK.targets[0].name
SOUND: dict[str, Any] = {
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.01,
    "optimizer.weight_decay": 0.0,
    "model.num_experts": 2,
}


def learner(name: str, **options: Any) -> dict[str, Any]:
    return {"learner": name, **{f"learner.{key}": value for key, value in options.items()}}


@pytest.mark.parametrize(
    ("said", "large"),
    [
        ({}, "optimizer.learning_rate"),
        ({"optimizer.name": "adam"}, "optimizer.learning_rate"),
        ({}, "optimizer.weight_decay"),
        ({f"training.target_weights.{FIRST}": 1.0}, f"training.target_weights.{FIRST}"),
        (learner("mean_regularized", pull=0.1), "learner.pull"),
        (learner("mean_regularized", clip=1.0, noise=0.1), "learner.noise"),
        (learner("anil", shots=8, inner_rate=0.1), "learner.inner_rate"),
    ],
    ids=str,
)
def test_who_has_one_fails_beside_another_that_does_not(said: dict[str, Any], large: str) -> None:
    sound = {**SOUND, **said}
    members = [Member(Configuration({**sound, large: LARGE}), 0), Member(Configuration(sound), 1)]
    training = Training(TASK, SoftmaxGate, members, Recipe(32, 3))
    while not training.done:
        training.run_epoch()
    lost, other = training.courses
    assert (lost.end, other.end) == ("failed", "finished")
    assert lost.reason.startswith(("val/loss is ", "train/loss is "))
    assert " in epoch " in lost.reason and "\n" not in lost.reason


@pytest.mark.parametrize(
    ("said", "none"),
    [
        ({"training.gradient_clip": LARGE}, {}),
        (learner("mean_regularized", clip=LARGE), learner("mean_regularized")),
    ],
    ids=str,
)
def test_a_clip_that_large_clips_nothing(said: dict[str, Any], none: dict[str, Any]) -> None:
    found = []
    for more in (said, none):
        member = Member(Configuration({**SOUND, **more}), 0)
        training = Training(TASK, SoftmaxGate, [member], Recipe(32, 3))
        ((_, evaluation),) = training.run_epoch().values()
        found.append(evaluation.loss)
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.slow
def test_a_sweep_says_why(place: Path) -> None:
    content = {
        "name": "large",
        "task": {"name": "synthetic_groups", **SMALL},
        "gates": ["softmax"],
        "baselines": False,
        "optimizer": {"learning_rate": LARGE},
        "training": {"max_epochs": 2},
        "search": {"trials": 1},
        "evaluation": {"seeds": 2},
    }
    (place / "large.yaml").write_text(yaml.safe_dump(content))
    said = gatelab(place, "launch", "large.yaml", code=4)
    assert "softmax: trial 0 failed: val/loss is nan in epoch 1" in said
    (trial,) = read(place, "large").of("search")
    assert trial.end == "failed"
