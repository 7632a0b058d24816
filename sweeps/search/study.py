"""One gate's search in rounds: whom to train next, and what has become of every trial.

Private of Optuna: a trial's ``_trial_id``; guarded by tests/test_private_attributes.py.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from gatelab.sweeps.search.draws import Draws
from gatelab.sweeps.search.halving import Standing, Verdict, verdict
from gatelab.sweeps.search.outcomes import OPTUNA_STATES, Outcomes
from gatelab.sweeps.search.study_file import DamagedFile
from gatelab.sweeps.spec.even_parts import even_parts
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.space import SearchSpace, configuration
from gatelab.training.configuration import Configuration
from gatelab.training.goal import Goal, Rank
from gatelab.training.steps import Ending, Step

STATE_ATTRIBUTE = "state"
"""The attribute of a trial that says where its newest saved state lies."""
BROKEN_ATTRIBUTE = "broken_at"
"""That which says at which rungs it broke what is required."""
SPENT_ATTRIBUTE = "spent"
"""That which says what was trained by its last rung: epochs of all members, seconds of one."""
SCORES_ATTRIBUTE = "scores"
"""That which says what the weights score that it keeps at its last rung."""
NOTED = ("end", "reason", "epoch", "broken", "trained")
"""What a trial keeps of its ending, beside the objective."""


class Ask(NamedTuple):
    """What a trial is to do next."""

    number: int
    configuration: Configuration
    until: int | None
    """The epoch to which it trains; ``None``: its end."""


class Study:
    """One gate's search, in rounds.

    Trials go into Optuna with their true ends: a pruned one is PRUNED, not COMPLETE with the loss
    of a shorter training, and a failed one FAIL with its reason, never left RUNNING. All that is
    decided follows from what stands there, so that a resume decides the same.
    """

    def __init__(
        self, study: optuna.Study, space: SearchSpace, draws: Draws, rounds: Rounds, goal: Goal
    ) -> None:
        """Wrap an Optuna study, which may hold trials from before a stop.

        Raises:
            DamagedFile: If a trial of an earlier round has not ended: the rounds were others.
        """
        self.study, self.space, self.draws = study, space, draws
        self.rounds, self.goal = rounds, goal
        self.outcomes = Outcomes(study, goal)
        self.running: set[int] = set()
        """The trials that somebody works on."""
        self.trials: dict[int, optuna.Trial] = {}
        """Of the round at hand, those that have not ended."""
        self.standings: dict[int, Standing] = {}
        """Of its trials."""
        self.configurations: dict[int, Configuration] = {}
        """Likewise."""
        self.ended = 0
        self._decided: Verdict | None = None
        # Optuna copies all of them at each look, and Tune's loop looks at every event.
        self.attributes: dict[str, Any] = study.user_attrs
        """What :meth:`mark` has kept."""
        self.trial_states: dict[int, str] = {}
        """Where the newest saved states of trials lie that have not ended."""
        for frozen in study.get_trials(deepcopy=False):
            self._take_in(frozen)
        if self.trials.keys() - self.standings.keys():
            name = study.study_name
            raise DamagedFile(f"the search of {name!r} was begun in other rounds: it cannot go on.")

    def _take_in(self, frozen: FrozenTrial) -> None:
        """Take in a trial, new or from before a stop."""
        number, attributes = frozen.number, frozen.user_attrs
        if number % self.rounds.size == 0:
            self.standings, self.configurations = {}, {}
        self.configurations[number] = configuration(self.space, frozen.params)
        standing = self.standings[number] = Standing()
        self._decided = None
        broken = attributes.get(BROKEN_ATTRIBUTE, {})
        for epoch, value in frozen.intermediate_values.items():
            rank = Rank(broken.get(str(epoch), False), self.goal.cost(value))
            standing.ranks[epoch] = rank
        standing.trained, standing.seconds = attributes.get(SPENT_ATTRIBUTE, (0, 0.0))
        standing.scores = attributes.get(SCORES_ATTRIBUTE, {})
        if frozen.state.is_finished():
            self.ended += 1
            self._settle(number, frozen.state, self.outcomes.rank(frozen))
            return
        self.trials[number] = optuna.Trial(self.study, frozen._trial_id)
        if STATE_ATTRIBUTE in attributes:
            self.trial_states[number] = attributes[STATE_ATTRIBUTE]

    def _settle(self, number: int, state: TrialState, final: Rank) -> None:
        standing, self._decided = self.standings[number], None
        standing.failed = state == TrialState.FAIL
        if state != TrialState.PRUNED:  # what ended by itself stands at every later rung
            standing.final = final

    def ask(self, trials: int) -> Ask | None:
        """Return what to work on next; ``None`` while all that is left waits for what runs.

        Args:
            trials: How many there are in all.
        """
        if self.over(trials):
            return None
        if not self.trials or 0 < len(self.standings) < self.rounds.size:
            self._begin_round()
        found = self._verdict()
        for number in found.going:
            if self._is_free(number, found.until):
                return self._take(number, found.until)
        return None

    def ask_mates(self, number: int, width: int) -> list[Ask]:
        """Return what is to train together with a trial that was just asked for.

        All that set out for a rung are parted by structure, in the order of their numbers, into
        as few parts of at most so many as there can be, all as large as the others or one more: who
        trains with whom follows from the round alone, and none trains alone for want of a place.
        """
        going, until, _ = self._verdict()
        structure = self.configurations[number].structure()
        alike = [n for n in going if self.configurations[n].structure() == structure]
        part = next(part for part in even_parts(alike, width) if number in part)
        return [self._take(n, until) for n in part if self._is_free(n, until)]

    def _is_free(self, number: int, until: int | None) -> bool:
        """Return whether a trial neither has ended, nor waits at the rung, nor is worked on."""
        waits = until in self.standings[number].ranks
        return number in self.trials and number not in self.running and not waits

    def _take(self, number: int, until: int | None) -> Ask:
        self.running.add(number)
        return Ask(number, self.configurations[number], until)

    @property
    def begun(self) -> int:
        """How many trials there are once the rounds that have begun are over."""
        size = self.rounds.size
        return math.ceil((self.ended + len(self.trials)) / size) * size if size else 0

    def over(self, trials: int) -> bool:
        """Return whether so many trials have ended, or there is nothing to search."""
        return not self.rounds.size or self.ended >= trials

    def _verdict(self) -> Verdict:
        self._decided = self._decided or verdict(self.standings, self.rounds)
        return self._decided

    def _begin_round(self) -> None:
        """Draw the trials of a round, or those that a stop has left undrawn."""
        there = self.ended + len(self.trials)
        first = there - there % self.rounds.size
        past = [trial.params for trial in self.outcomes.ranked(first)]
        drawn = self.draws.draw(first, self.rounds.size, past)
        for params in drawn[there - first :]:
            own = {name: self.space.distributions[name] for name in params}
            trial = create_trial(state=TrialState.RUNNING, params=params, distributions=own)
            self.study.add_trial(trial)
        for frozen in self.study.get_trials(deepcopy=False)[there:]:
            self._take_in(frozen)

    def arrive(self, number: int, step: Step) -> None:
        """Note what a trial is worth at a rung, where it waits for the others of its round.

        Args:
            number: The trial's.
            step: Its last before the rung.
        """
        self.running.discard(number)
        trial, standing = self.trials[number], self.standings[number]
        self._decided = None
        standing.ranks[step.epoch] = Rank(step.broken, self.goal.cost(step.objective))
        standing.trained, standing.seconds = step.trained, step.seconds
        standing.scores = step.scores
        noted = {str(epoch): rank.broken for epoch, rank in standing.ranks.items()}
        trial.set_user_attr(BROKEN_ATTRIBUTE, noted)
        trial.set_user_attr(SPENT_ATTRIBUTE, [step.trained, step.seconds])
        trial.set_user_attr(SCORES_ATTRIBUTE, step.scores)
        trial.report(step.objective, step.epoch)

    def lost(self) -> list[tuple[Ask, Ending]]:
        """Return the trials that have not ended yet and need not go on, and how they end."""
        found = self._verdict().lost
        return [self._pruned(n, found[n]) for n in sorted(found.keys() & self.trials.keys())]

    def _pruned(self, number: int, reason: str) -> tuple[Ask, Ending]:
        standing = self.standings[number]
        epoch, (broken, cost) = max(standing.ranks.items())
        asked = Ask(number, self.configurations[number], epoch)
        objective = self.goal.cost(cost)
        spent = {"objective": objective, "time/train_seconds": standing.seconds}
        metrics = {**standing.scores, **spent}
        pruned = Ending("pruned", reason, epoch, objective, broken, metrics)
        return asked, replace(pruned, trained=standing.trained)

    def tell(self, number: int, ending: Ending) -> None:
        """End a trial."""
        self.running.discard(number)
        trial = self.trials.pop(number)
        self.trial_states.pop(number, None)
        finite = math.isfinite(ending.objective)
        noted = {name: getattr(ending, name) for name in NOTED}
        for name, value in {**noted, "objective": ending.objective if finite else None}.items():
            trial.set_user_attr(name, value)
        state = OPTUNA_STATES[ending.end]
        self.study.tell(trial, ending.objective if ending.end == "finished" else None, state)
        self._settle(number, state, Rank(ending.broken, self.goal.cost(ending.objective)))
        self.ended += 1

    def selected(self) -> tuple[int, Configuration] | None:
        """Return the best finished trial; ``None`` where there is none.

        Where nothing is searched, it is what the spec fixes, as trial 0.
        """
        if not self.rounds.size:
            return 0, configuration(self.space, {})
        return self._chosen(self.outcomes.selected())

    def best_with(self, name: str, value: Any) -> tuple[int, Configuration] | None:
        """Return the best trial with a value of a hyperparameter, whether it was pruned or not.

        ``None`` where all failed, or none was drawn.
        """
        return self._chosen(self.outcomes.best_with(name, value))

    def _chosen(self, trial: FrozenTrial | None) -> tuple[int, Configuration] | None:
        return None if trial is None else (trial.number, configuration(self.space, trial.params))

    def keep_state(self, number: int, folder: str) -> None:
        """Note with a trial that has not ended where its newest saved state lies.

        Not with the study: a note of all states would grow with the trials that run at once.
        """
        if number in self.trials:
            self.trials[number].set_user_attr(STATE_ATTRIBUTE, folder)
            self.trial_states[number] = folder

    def mark(self, **attributes: Any) -> None:
        """Keep what a resume must know beyond the trials."""
        for name, value in attributes.items():
            self.study.set_user_attr(name, value)
            self.attributes[name] = value
