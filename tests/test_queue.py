"""Which of the jobs that wait gets the next free worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelab.sweeps.driver.tune.ray_hooks import Results
from tests.test_handing_out import Heard, sweep
from tests.tune_controller import made_controller

# isort: split
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial


@pytest.fixture
def controller(tmp_path: Path) -> TuneController:
    """Tune's controller with three trials, whose ids, drawn at random, sort the other way."""
    controller = made_controller(tmp_path)
    for trial_id in "cba":
        controller.add_trial(Trial("__fake", trial_id=trial_id, stub=True))
    return controller


def test_who_has_waited_longest_is_first(controller: TuneController, tmp_path: Path) -> None:
    results = Results(sweep(tmp_path, Heard()))
    chosen = []
    while (trial := results.choose_trial_to_run(controller)) is not None:
        trial.set_status(Trial.RUNNING)
        chosen.append(trial.trial_id)
    assert chosen == ["c", "b", "a"]
