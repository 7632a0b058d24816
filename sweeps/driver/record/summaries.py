"""Summaries: what stands with a gate's run at its end, over all that was evaluated of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gatelab.gates.metrics import seed_agreement
from gatelab.results.comparison.cells import Cell, UnitValues, mean
from gatelab.sweeps.cluster.storage import model_name
from gatelab.sweeps.driver.evaluations import selected_rows
from gatelab.sweeps.driver.listener import Listener
from gatelab.sweeps.home.files import gates_files, scores_file
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.scores import Evaluated, read_scores, write_scores
from gatelab.sweeps.home.written_table import write_table
from gatelab.sweeps.search.attributes import DONE, EVALUATED
from gatelab.sweeps.search.importance import importance
from gatelab.sweeps.search.outcomes import OPTUNA_STATES
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.conditional import active
from gatelab.sweeps.spec.searches import Search, of_gate
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.task import Task
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import COUNTS, Artifacts, Metrics, Tags
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending


class Summaries(Listener):
    """Keeps how evaluations ended in the sweep's home, and sums them up when a gate ends.

    A stop may come between two evaluations of one gate, on two splits or after two searches.
    """

    def __init__(
        self,
        recorder: Recorder,
        spec: Spec,
        task: Task,
        studies: Mapping[str, Study],
        home: Home,
    ) -> None:
        """Write through a recorder; the arguments are those of :class:`.record.Record`.

        It listens before that does, which ends the gates' runs.

        Raises:
            DamagedFile: If it is not kept how an evaluation ended that is still to be summed up.
        """
        self.recorder, self.spec, self.task = recorder, spec, task
        self.studies, self.home = studies, home
        self.numbering = spec.evaluation.numbering
        for gate in spec.gates:
            if any(DONE not in study.attributes for study in self._of(gate)):
                self._kept(gate)  # now, or what is left would be trained in vain

    def ended(self, job: Job, endings: Sequence[Ending]) -> None:
        """Keep how the members of an evaluation ended that have a score."""
        if job.stage == "search":
            return
        found = [
            Evaluated(member.seed, ending.metrics, ending.weights, ending.load, ending.broken)
            for member, ending in zip(job.members, endings, strict=True)
            if ending.end == "finished"
        ]
        if found:
            write_scores(scores_file(self.home.path, job.label, job.number), found)

    def gate_ended(self, label: str, reason: str) -> None:
        """Record with a gate, or a row of it, its hyperparameters, scores, weights and model.

        The hyperparameters and the model are those of the best search by the objective of its
        selected trial, on the first split.
        """
        identity = f"{self.spec.name}/{label}"
        selected = self._selected(label)
        if selected is None:
            return
        search, values = selected
        self.recorder.log_params(identity, values)
        if self._is_broken(label, search):
            self.recorder.set_tags(identity, {Tags.BROKEN: "yes"})
        by_job = self._by_job(label, search.label)
        if not by_job:
            return
        metrics = over_evaluations(self._by_cell(by_job))
        first = [one for number in self._first_split(by_job) for one in by_job[number]]
        metrics |= self._agreement(first) | self._searched(label, search.label)
        self._over_seeds(identity, search, by_job, metrics)
        if any(one.weights for one in first):
            self.recorder.log_artifact(identity, self._weights(label, first))
        self._model(label, search, by_job)

    def _over_seeds(
        self,
        identity: str,
        search: Search,
        by_job: Mapping[int, Sequence[Evaluated]],
        means: Mapping[str, float],
    ) -> None:
        """Record every seed's metrics, a step each, and then the means, which MLflow shows.

        So its charts have a line for each metric, of which a mean alone would be a dot. Means over
        more seeds, after a resume, follow those before.
        """
        step = 1 + sum(study.ended for study in self._of(search.label))
        every = self.numbering.number(self.spec.search.repeats, 0, 0)
        for first, members in by_job.items():
            for number, member in enumerate(members, first):
                own = {key: value for key, value in member.metrics.items() if key in means}
                self.recorder.log_metrics(identity, step + number, own, f"seed {number}")
        scored = sum(map(len, by_job.values()))
        self.recorder.log_once(identity, f"mean of {scored}", step + every, means)

    def _selected(self, label: str) -> tuple[Search, dict[str, Any]] | None:
        """Return the best search that has the row of a label, and what is evaluated of it."""
        every, found = self.spec.search.repeats > 1, []
        for name, study in self.studies.items():
            search = Search.of(name)
            row = selected_rows(search.label, study, every=every).get(label)
            if row is not None:
                values = active(row.values, study.space.parents)
                found.append((study.outcomes.best(), search.repeat, search, values))
        best = min(found, key=lambda one: one[:2], default=None)
        return best and best[2:]

    def _is_broken(self, label: str, search: Search) -> bool:
        """Return whether a gate's selected trial breaks what is required; a row's is not asked."""
        outcomes = self.studies[search.name].outcomes
        searched = label == search.label and outcomes.selected() is not None
        return searched and outcomes.best().broken

    def _of(self, label: str) -> list[Study]:
        """Return all searches of a gate."""
        return [*of_gate(label, self.studies).values()]

    def _by_job(self, label: str, gate: str) -> dict[int, list[Evaluated]]:
        """Return what has a score, by the number of the evaluation's first run."""
        kept = self._kept(gate)
        return {number: kept[row, number] for row, number in sorted(kept) if row == label}

    def _kept(self, gate: str) -> dict[tuple[str, int], list[Evaluated]]:
        """Return what has a score of a gate and its rows, by label and number.

        Raises:
            DamagedFile: If it is not kept of an evaluation that has ended: the means would be of
                the others alone.
        """
        names = (name for study in self._of(gate) for name in study.attributes.get(EVALUATED, []))
        found = ((name.partition("/")[0], int(name.rpartition("/")[2])) for name in names)
        return {one: read_scores(scores_file(self.home.path, *one)) for one in found}

    def _by_cell(
        self, by_job: Mapping[int, Sequence[Evaluated]]
    ) -> dict[Cell, list[Mapping[str, float]]]:
        """Return the metrics of every seed, by search and split."""
        found: dict[Cell, list[Mapping[str, float]]] = {}
        for first, members in by_job.items():
            repeat, place, _ = self.numbering.of(first)
            cell = found.setdefault((str(repeat), str(place)), [])
            cell += [member.metrics for member in members]
        return found

    def _first_split(self, numbers: Iterable[int]) -> Iterator[int]:
        """Yield the numbers of evaluations on the first split, of each search."""
        return (number for number in numbers if not self.numbering.of(number).place)

    def _agreement(self, members: Sequence[Evaluated]) -> dict[str, float]:
        weights = [np.array(one.weights) for one in members if one.weights]
        return {"gate/seed_agreement": seed_agreement(weights)} if len(weights) > 1 else {}

    def _searched(self, label: str, gate: str) -> dict[str, float]:
        """Return the importance of what was searched; of a row, how its trials ended."""
        trials = [t for s in self._of(gate) for t in s.study.get_trials(deepcopy=False)]
        if label == gate:
            found = importance(trials)
            return {f"{Metrics.IMPORTANCE}{name}": value for name, value in found.items()}
        k = int(label.rpartition(".k")[2])
        mine = [trial for trial in trials if trial.params.get("gate.k") == k]
        return {
            key: float(sum(trial.state == OPTUNA_STATES[end] for trial in mine))
            for end, key in COUNTS.items()
        }

    def _weights(self, label: str, members: Sequence[Evaluated]) -> Path:
        """Write the mean weight and the load of every expert, by seed and target."""
        names = [target.name for target in self.task.targets]
        truth = self.task.truth
        groups: Sequence[object] = truth.groups if truth else [""] * len(names)
        table = (
            (one.seed, name, group, expert, weight, load)
            for one in members
            if one.weights
            for name, group, weights, loads in zip(
                names, groups, one.weights, one.load, strict=True
            )
            for expert, (weight, load) in enumerate(zip(weights, loads, strict=True))
        )
        header = ["seed", "target", "group", "expert", "weight", "load"]
        return write_table(self.home, f"{label}/{Artifacts.WEIGHTS}", header, table)

    def _model(self, label: str, search: Search, by_job: Mapping[int, list[Evaluated]]) -> None:
        """Record the model that the first evaluation of a search has left.

        Where some of its seeds were taken over it is that of the best of all.
        """
        cost = self.studies[search.name].goal.cost

        def best(number: int) -> tuple[bool, float]:
            return min((one.broken, cost(one.metrics[Metrics.OBJECTIVE])) for one in by_job[number])

        own = [n for n in self._first_split(by_job) if self.numbering.of(n).repeat == search.repeat]
        number = min(own, key=best) if len(own) > 1 else self.numbering.number(search.repeat, 0, 0)
        model = gates_files(self.home.path, label) / f"{label}.pt"
        if self.home.storage.get(model_name(label, number), model):
            self.recorder.log_artifact(f"{self.spec.name}/{label}", model)


def over_evaluations(by_cell: Mapping[Cell, Sequence[Mapping[str, float]]]) -> dict[str, float]:
    """Return means under the metrics' own keys, so that gates line up in MLflow.

    They are a comparison's: over searches, of means over splits, of those over seeds. Beside them
    the standard deviation over all evaluations of the test metrics, which MLflow cannot compute.
    """
    every = [scores for seeds in by_cell.values() for scores in seeds]
    counts = _counts(every)
    metrics = {cell: [{**counts, **scores} for scores in seeds] for cell, seeds in by_cell.items()}
    keys = [key for key in {**counts, **every[0]} if all(key in {**counts, **one} for one in every)]
    found = {key: _mean(key, metrics) for key in keys}
    if len(every) > 1:
        tests = (key for key in keys if key.startswith("test/"))
        found |= {
            f"{Metrics.DEVIATION}{key}": float(np.std([one[key] for one in every], ddof=1))
            for key in tests
        }
    return found


def _counts(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return of how many targets means are in an evaluation that does not say it: of all."""
    targets = {
        key.removeprefix(Metrics.TARGETS): value
        for scores in metrics
        for key, value in scores.items()
        if key.startswith(Metrics.TARGETS)
    }
    starts = (Metrics.DEFINED, Metrics.TARGETS)
    return {f"{start}{name}": value for name, value in targets.items() for start in starts}


def _mean(key: str, by_cell: Mapping[Cell, Sequence[Mapping[str, float]]]) -> float:
    """Return the mean of a metric over searches, as a comparison's units give it."""
    units: dict[str, dict[Cell, float]] = {}
    for cell, seeds in by_cell.items():
        units.setdefault(cell[0], {})[cell] = mean([scores[key] for scores in seeds])
    return mean([*UnitValues(units).values()])
