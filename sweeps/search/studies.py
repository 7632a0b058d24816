"""Studies: Optuna's search for each gate, and what has become of every trial.

Private of Optuna: a trial's ``_trial_id``; guarded by tests/test_private_attributes.py.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from gatelab.sweeps.search.halving import Halving
from gatelab.sweeps.search.study_file import StudyFile, damages
from gatelab.sweeps.spec.space import SearchSpace, configuration
from gatelab.tracking.lines import Lines
from gatelab.training.configuration import Configuration

OPTUNA_STATES = {
    "finished": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
STATE_ATTRIBUTE = "state"
"""The attribute of a trial that says where its newest saved state lies."""


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended."""

    end: str
    """``finished``, ``pruned`` or ``failed``."""
    reason: str
    epoch: int
    objective: float
    """The lowest validation loss; not finite for one that never had any."""


class Study:
    """One gate's search.

    Trials go into Optuna with their true ends: a pruned one is PRUNED, not COMPLETE with the loss
    of a shorter training, and a failed one FAIL with its reason, never left RUNNING.
    """

    def __init__(self, study: optuna.Study, space: SearchSpace, sampler: str, seed: int) -> None:
        """Wrap an Optuna study, which may hold trials from before a stop.

        Args:
            study: Optuna's, with its pruner.
            space: What is searched.
            sampler: ``tpe`` or ``random``.
            seed: Of the sampler.
        """
        self.study, self.space, self.sampler, self.seed = study, space, sampler, seed
        self.live: dict[int, optuna.Trial] = {}
        trials = study.get_trials(deepcopy=False)
        self.ended = sum(trial.state.is_finished() for trial in trials)
        self.unfinished = [trial for trial in trials if not trial.state.is_finished()]
        # Optuna copies all of them at each look, and Tune's loop looks at every event.
        self.attributes: dict[str, Any] = study.user_attrs
        """What :meth:`mark` has kept."""
        self.trial_states: dict[int, str] = {
            trial.number: trial.user_attrs[STATE_ATTRIBUTE]
            for trial in self.unfinished
            if STATE_ATTRIBUTE in trial.user_attrs
        }
        """Where the newest saved states of trials lie that have not ended."""

    def ask(self) -> tuple[int, Configuration]:
        """Return a new trial's number and configuration, or those of one that a stop cut short."""
        if self.unfinished:
            frozen = self.unfinished.pop(0)
            self.live[frozen.number] = optuna.Trial(self.study, frozen._trial_id)
            return frozen.number, configuration(self.space, frozen.params)
        # The sampler follows from the seed and the number, so that a resume repeats no draw.
        drawn = dict(self.space.distributions)
        self.study.sampler = _sampler(self.sampler, self.seed, self.ended + len(self.live), drawn)
        trial = self.study.ask(drawn)
        self.live[trial.number] = trial
        return trial.number, configuration(self.space, trial.params)

    def report(self, number: int, epoch: int, objective: float) -> bool:
        """Note a trial's lowest validation loss so far; return whether to prune the trial.

        By asynchronous successive halving within this study: Li et al., A System for Massively
        Parallel Hyperparameter Tuning, MLSys 2020, algorithm 2.
        """
        trial = self.live[number]
        if math.isfinite(objective):
            trial.report(objective, epoch)
        return trial.should_prune()

    def tell(self, number: int, outcome: TrialEnd) -> None:
        """End a trial."""
        trial = self.live.pop(number)
        self.trial_states.pop(number, None)
        for name, value in asdict(outcome).items():
            finite = not isinstance(value, float) or math.isfinite(value)
            trial.set_user_attr(name, value if finite else None)
        value = outcome.objective if outcome.end == "finished" else None
        self.study.tell(trial, value, OPTUNA_STATES[outcome.end])
        self.ended += 1

    def selected(self) -> tuple[int, Configuration] | None:
        """Return the finished trial of lowest validation loss; ``None`` where all others ended."""
        done = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if not done:
            return None
        best = min(done, key=lambda trial: (trial.value, trial.number))
        return best.number, configuration(self.space, best.params)

    def reasons(self) -> Counter[str]:
        """Return why trials failed, and how many for each reason."""
        failed = self.study.get_trials(deepcopy=False, states=[TrialState.FAIL])
        return Counter(str(trial.user_attrs.get("reason", "")) for trial in failed)

    def best(self) -> float:
        """Return the lowest validation loss of a finished trial; inf without any."""
        done = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        return min((trial.value for trial in done if trial.value is not None), default=math.inf)

    def keep_state(self, number: int, folder: str) -> None:
        """Note with a trial that has not ended where its newest saved state lies.

        Not with the study: a note of all states would grow with the trials that run at once.
        """
        if number in self.live:
            self.live[number].set_user_attr(STATE_ATTRIBUTE, folder)
            self.trial_states[number] = folder

    def ends(self) -> Counter[str]:
        """Return how many trials ended each way."""
        trials = self.study.get_trials(deepcopy=False)
        ends = {state: end for end, state in OPTUNA_STATES.items()}
        return Counter(ends[trial.state] for trial in trials if trial.state in ends)

    def mark(self, **attributes: Any) -> None:
        """Keep what a resume must know beyond the trials."""
        for name, value in attributes.items():
            self.study.set_user_attr(name, value)
            self.attributes[name] = value


class _Storage(JournalStorage):
    """Optuna's, without its search of all trials, at each question, for one that is enqueued."""

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return a study's trials, of which none is ever enqueued here."""
        if states == (TrialState.WAITING,):
            return []
        return super().get_all_trials(study_id, deepcopy, states)


def open_studies(
    path: Path,
    spaces: Mapping[str, SearchSpace],
    *,
    sampler: str,
    seed: int,
    halving: tuple[int, int] | None = None,
    behind: Lines | None = None,
) -> dict[str, Study]:
    """Open one study a gate in one journal file, which optuna-dashboard opens too.

    Args:
        path: The file, made if missing.
        spaces: What is searched, by the gate's name, which is the study's.
        sampler: ``tpe`` or ``random``.
        seed: Of the samplers, the same for every gate.
        halving: The first epoch at which trials are pruned, and of how many one goes on there;
            ``None``: no trial is pruned.
        behind: The record, no line of which may wait for room when a study's is written.

    Raises:
        DamagedFile: If the file cannot be read; a torn last line is cut off.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the display says what it would
    file = StudyFile(path, behind)
    with damages(path):
        storage = _Storage(file)
    studies = {}
    for label, space in spaces.items():
        pruner = NopPruner() if halving is None else Halving(*halving)
        study = optuna.create_study(
            storage=storage, study_name=label, pruner=pruner, load_if_exists=True
        )
        studies[label] = Study(study, space, sampler, seed)
    return studies


class _TPESampler(TPESampler):
    """Optuna's, told what is searched; by itself it finds that out from all trials, at each ask."""

    def __init__(self, seed: int, drawn: Mapping[str, BaseDistribution]) -> None:
        super().__init__(seed=seed)
        self._drawn = {name: d for name, d in sorted(drawn.items()) if not d.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what is drawn together."""
        return self._drawn


def _sampler(
    name: str, seed: int, number: int, drawn: Mapping[str, BaseDistribution]
) -> BaseSampler:
    mixed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return RandomSampler(seed=mixed) if name == "random" else _TPESampler(mixed, drawn)
