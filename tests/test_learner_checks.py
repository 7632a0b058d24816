"""The suite of learners: each check finds its mistake, and every registered one passes them all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import gatelab
from gatelab.listing import read_registered
from gatelab.sweeps.cli import main
from gatelab.sweeps.cli.new_package import write_package
from gatelab.training.learner_checks import CHECKS, CheckedLearner, run_checks
from gatelab.training.learners import Learner, LearnerOption, Shared, learners
from gatelab.training.members import Members
from gatelab.training.train_rows import TrainRows
from tests.in_process import modules_of

BEFORE = set(learners.names())


class Undocumented(Learner):
    pass


Undocumented.__doc__ = None


class BadDefault(Learner):
    """Says of its default that it is wrong."""

    hyperparameters = {"pull": LearnerOption(2.0, "at most 1")}

    @classmethod
    def faults(cls, options: Mapping[str, Any], num_targets: int) -> dict[str, str]:
        return {"pull": f"pull <= 1, but got {options['pull']}"} if options["pull"] > 1 else {}


class Uphill(Learner):
    """Follows the gradient instead of going against it."""

    def before_step(self, members: Members) -> None:
        assert members.flat.grad is not None
        members.flat.grad.neg_()


class Secretive(Learner):
    """Tells what it does not declare."""

    def facts(self, members: Members) -> dict[str, Tensor]:
        return {"norm": members.flat.norm(dim=1)}


class Silent(Learner):
    """Declares what it does not tell."""

    diagnostics = {"norm": "Of the parameters"}


class Endless(Secretive):
    """Tells what is no number."""

    diagnostics = {"norm": "Of the parameters"}

    def facts(self, members: Members) -> dict[str, Tensor]:
        return {"norm": members.flat.norm(dim=1) / 0}


class Rebased(Learner):
    """Puts other numbers in place of the members', which a recorded step does not see."""

    def after_step(self, members: Members) -> None:
        members.flat.data = members.flat.data.clone()


class Replacing(Learner):
    """Puts another tensor in place of the members'."""

    def before_step(self, members: Members) -> None:
        members.flat = members.flat.detach() * 0.99


class ReplacingAfter(Learner):
    """Puts another tensor there after a step."""

    def after_step(self, members: Members) -> None:
        members.flat = torch.nn.Parameter(members.flat.detach().clone())


class ReplacingLate(Learner):
    """Puts another tensor there after a pass."""

    def after_pass(self, members: Members, train: TrainRows) -> None:
        members.flat = members.flat.detach()


class Gradientless(Learner):
    """Takes the gradient away."""

    def before_step(self, members: Members) -> None:
        members.flat.grad = None


class Mingling(Learner):
    """Pulls members to each other, not their copies."""

    def after_step(self, members: Members) -> None:
        with torch.no_grad():
            members.flat.lerp_(members.flat.mean(0), 0.001)


class Forgetful(Learner):
    """Slows with the steps that it counts, and forgets how many they were."""

    remembered: tuple[str, ...] = ()

    def __init__(self, options: Sequence[Mapping[str, Any]], shared: Shared) -> None:
        super().__init__(options, shared)
        self.steps = shared.of_members([0.0 for _ in options])

    def before_step(self, members: Members) -> None:
        assert members.flat.grad is not None
        self.steps += 1
        members.flat.grad[:, 0].add_(self.steps[: len(members)])


class Counting(Forgetful):
    """Remembers them."""

    remembered = ("steps",)


BROKEN: list[tuple[type[Learner], str, str]] = [
    (Undocumented, "learner_is_declared", "no docstring"),
    (BadDefault, "learner_is_declared", "pull <= 1, but got 2.0"),
    (Uphill, "learner_trains", "elsewhere than to less loss"),
    (Secretive, "what_is_told_is_declared", "'norm'"),
    (Silent, "what_is_told_is_declared", "'norm' is not told of"),
    (Endless, "what_is_told_is_declared", "norm is inf"),
    (Rebased, "steps_are_in_place", "another tensor"),
    (Mingling, "members_do_not_meet", "depends on who trains beside it"),
    (Forgetful, "a_state_is_gone_on_from", "`remembered` does not name"),
]


@pytest.fixture
def key(request: pytest.FixtureRequest) -> Iterator[str]:
    """The key of a learner that is registered for a test."""
    cls = request.param
    learners.register(cls.__name__, Learner)(cls)
    yield cls.__name__
    del learners._classes[cls.__name__]


@pytest.mark.parametrize(
    ("key", "check", "words"), BROKEN, indirect=["key"], ids=[c.__name__ for c, _, _ in BROKEN]
)
def test_each_mistake_is_found_by_its_check(key: str, check: str, words: str) -> None:
    failed = {each.check: each.reason for each in run_checks(key) if not each.ok}
    assert words in failed.pop(check)
    assert failed == {}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (Replacing, "Replacing.before_step must change `members.flat` in place, as by `copy_`"),
        (ReplacingAfter, "ReplacingAfter.after_step must change `members.flat` in place"),
        (ReplacingLate, "ReplacingLate.after_pass must change `members.flat` in place"),
        (Gradientless, "`members.flat.grad` must be there at a step, but is None: the learner's"),
    ],
    indirect=["key"],
    ids=["before", "after", "late", "gradient"],
)
def test_what_no_step_can_go_on_with_is_one_line(key: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        CheckedLearner(key, {}).training().run_epoch()
    assert said in str(caught.value) and "\n" not in str(caught.value)
    found = {each.check: each.reason for each in run_checks(key) if not each.ok}
    assert said in found["learner_trains"]


@pytest.mark.parametrize("key", [Counting], indirect=True)
def test_what_is_remembered_is_gone_on_from(key: str) -> None:
    assert all(each.ok for each in run_checks(key))


@pytest.mark.parametrize("key", [Silent], indirect=True)
def test_a_failure_may_be_expected(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    why = {"what_is_told_is_declared": "nobody asked"}
    monkeypatch.setattr(Silent, "expected_failed_checks", why)
    assert all(each.ok for each in run_checks(key))


@pytest.mark.parametrize("name", sorted(BEFORE))
def test_every_registered_learner_passes(name: str) -> None:
    outcomes = run_checks(name)
    assert len(outcomes) == len(CHECKS)
    assert [each.reason for each in outcomes if not each.ok] == []


def test_gossip_passes_on_a_ring_with_chains() -> None:
    assert all(each.ok for each in run_checks("gossip", graph="ring", correlation=0.5))


def command(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_a_new_learner_passes_as_it_is_written(tmp_path: Path) -> None:
    assert "gatelab check learner pulled:pulled" in _written(tmp_path, "pulled")
    with modules_of(tmp_path / "pulled"):
        said = command("check", "learner", "pulled:pulled")
        assert said.endswith(f"pulled:pulled: {len(CHECKS)} of {len(CHECKS)} checks pass.\n")
        assert "pull" in command("show", "learner", "pulled:pulled")
    files = {each.name for each in (tmp_path / "pulled").iterdir()} - {"__pycache__"}
    assert files == {"pulled.py", "test_pulled.py", "README.md", "pyproject.toml"}
    assert 'entry-points."gatelab.learners"' in (tmp_path / "pulled/pyproject.toml").read_text()


def _written(folder: Path, name: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return command("new", "learner", name)


@pytest.mark.parametrize("name", ["gossip", "Pulled", "lambda", "torch"])
def test_a_bad_name_of_a_new_learner_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="learner|module"):
        write_package(learners, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_learners_are_listed_shown_and_completed() -> None:
    listed = command("list", "learners")
    assert [line.split()[0] for line in listed.splitlines()] == sorted(BEFORE)
    assert {one.name for one in read_registered("learner")} == BEFORE
    shown = command("show", "learner", "gossip")
    assert "arXiv" in shown and "correlation" in shown and "learner/consensus_error" in shown
    content = json.loads(command("show", "learner", "gossip", "--json"))
    assert content["agents"] and [each["name"] for each in content["hyperparameters"]] == [
        *("graph", "rows", "correlation"),
    ]
    result = CliRunner().invoke(main, ["check", "learner", "gosip"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "'gossip'" in result.stderr


def test_the_api_has_learners() -> None:
    assert gatelab.Learner is Learner
    assert "register_learner" in gatelab.__all__
