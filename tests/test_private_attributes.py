"""Private attributes of others that we use: which, where, and that they do what we rely on.

pyproject.toml bounds ray and optuna because of them. Before a bound is raised, this must pass.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from ray.job_config import JobConfig
from ray.tune.execution.tune_controller import TuneController

from gatelab.sweeps.driver.tune import ray_jobs
from tests.commands import ROOT
from tests.tune_controller import made_controller

USED = {
    "ray": {
        ("sweeps/cluster/joining.py", "_client_job"),
        ("sweeps/driver/tune/idle_workers.py", "_actor_cache"),
        ("sweeps/driver/tune/ray_hooks.py", "_actor_manager"),
        ("sweeps/driver/tune/ray_hooks.py", "_checkpoint_manager"),
        ("sweeps/driver/tune/ray_hooks.py", "_trial_to_actor"),
    },
    "optuna": {
        ("sweeps/search/study.py", "_trial_id"),
    },
}


NAMED_TUPLE = ("_asdict", "_fields", "_make", "_replace")
"""What is public of named tuples, whose fields may have any other name."""


def private(path: Path) -> Iterator[str]:
    """Yield the private names of others that a file reads, sets, passes or imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and not _is_self(node.value):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from node.module.split(".")


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def test_no_other_is_used_in_sweeps() -> None:
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "sweeps").rglob("*.py")  # where alone studies and Ray's loop are
        for name in private(path)
        if name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLE
    }
    assert found == set().union(*USED.values())


@pytest.fixture
def controller(tmp_path: Path) -> TuneController:
    """What runs Tune's trials, before there is any."""
    return made_controller(tmp_path)


def test_tune_writes_its_state_through_what_we_replace(controller: TuneController) -> None:
    written: list[dict[str, object]] = []
    manager = controller._checkpoint_manager
    manager.sync_up_experiment_state = lambda **asked: written.append(asked)
    controller.checkpoint(force=True, wait=True)
    assert len(written) == 1


def test_tune_knows_each_trials_worker(controller: TuneController) -> None:
    assert controller._trial_to_actor == {}
    assert callable(controller._actor_manager.is_actor_started)


def test_tunes_workers_have_no_environment_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    made = ray_jobs.class_cache._ActorClassCache().get(ray_jobs.Worker)
    assert made._default_options["runtime_env"] == {}


def test_ray_adds_no_folder_for_a_driver_that_is_elsewhere() -> None:
    """What follows in real workers is in tests/test_user_names.py."""
    assert not JobConfig()._client_job
    assert JobConfig(_client_job=True)._client_job


def test_optuna_finds_a_trial_by_its_id() -> None:
    study = optuna.create_study()
    number = study.ask().number
    assert optuna.Trial(study, study.trials[number]._trial_id).number == number
