"""The live display of a sweep in a terminal, and its plain lines in a log."""

from __future__ import annotations

import errno
import math
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from gatelab.sweeps.driver.listener import Listener
from gatelab.sweeps.driver.notebook import NotebookView
from gatelab.sweeps.driver.telling import say
from gatelab.sweeps.search.outcomes import WORST
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.searches import Search
from gatelab.training.goal import BY_LOSS, Goal, Rank
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending, Step


class Display(Listener):
    """Shows each gate's search and evaluation: bars in a terminal, else a line for each end."""

    def __init__(
        self,
        console: Console,
        studies: Mapping[str, Study],
        trials: int,
        max_epochs: int,
        goal: Goal = BY_LOSS,
        said: Sequence[str] = (),
    ) -> None:
        """Show every gate's searches, from what the studies hold and what has been said already.

        Args:
            console: Where.
            studies: Every search, by its name.
            trials: Of a search.
            max_epochs: Of a training.
            goal: By which trials are compared.
            said: What has been said already.
        """
        self.console, self.max_epochs, self.goal = console, max_epochs, goal
        self.ends: dict[str, Counter[str]] = {}
        self.best: dict[str, Rank] = {}
        self.trials: Counter[str] = Counter()
        for name, study in studies.items():
            label = Search.of(name).label
            self.trials[label] += trials if study.rounds.size else 0
            self.ends[label] = self.ends.get(label, Counter()) + study.outcomes.ends()
            self.best[label] = min(self.best.get(label, WORST), study.outcomes.best())
        self.evaluations: dict[str, dict[str, int]] = {}
        """Of each gate, those that have begun, and how many epochs of each are done."""
        self.said = set(said)
        self.view = NotebookView() if console.is_jupyter else None
        self.progress = Progress(
            TextColumn("{task.fields[label]:<14}", style="bold"),
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.bars = {label: self._new_bar(label) for label in self.ends}

    def __enter__(self) -> Display:
        """Start to draw."""
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop to draw."""
        self.progress.stop()
        self._draw(now=True)

    def started(self, job: Job) -> None:
        """Turn a gate's bar to its evaluations."""
        if job.stage == "evaluate":
            self._evaluate(job, 0)
            where = "" if job.split_seed is None else f" on split {job.split_seed}"
            seeds = f"{len(job.members)} seed{'s' * (len(job.members) > 1)}"
            self._line(f"{job.label}: evaluating {seeds}{where}")

    def progressed(self, job: Job, step: Step) -> None:
        """Move the bar of an evaluation, and say once what could not be done as usual."""
        for note in step.notes:
            self.note(f"{job.label}: {note}")
        if job.stage == "evaluate":
            self._evaluate(job, step.epoch)
        self._draw()

    def ended(self, job: Job, endings: Sequence[Ending]) -> None:
        """Count a trial, or fill the bar of an evaluation."""
        ending = endings[0]
        if job.stage == "evaluate":
            self._evaluate(job, self.max_epochs)
            return
        self.ends[job.label][ending.end] += 1
        if ending.end == "finished":
            rank = Rank(ending.broken, self.goal.cost(ending.objective))
            self.best[job.label] = min(self.best[job.label], rank)
        done = self.ends[job.label].total()
        self.progress.update(self.bars[job.label], completed=done, note=self._note(job.label))
        self._line(
            f"{job.label}: trial {_number(job)} {self._how(ending)} "
            f"({done} of {self.trials[job.label]})"
        )

    def _evaluate(self, job: Job, epoch: int) -> None:
        """Show how far the evaluations are that have begun of a gate, and of its rows."""
        label = Search.of(job.of_search).label
        begun = self.evaluations.setdefault(label, {})
        begun[job.name] = epoch
        self.progress.update(
            self.bars[label],
            description="evaluate",
            completed=sum(begun.values()),
            total=self.max_epochs * len(begun),
        )

    def _how(self, ending: Ending) -> str:
        """Return how a trial ended, and with what."""
        if ending.end == "failed":
            return f"failed: {ending.reason}"
        value = f"{self.goal.objective} {ending.objective:.4g}"
        if ending.end == "pruned":  # the reason says at which epoch
            return f"pruned: {ending.reason}, {value}"
        return f"finished, {value}, epoch {ending.epoch}"

    def gate_ended(self, label: str, reason: str) -> None:
        """Say that a gate is done with."""
        how = "failed" if reason else "done"
        if label in self.bars:  # not a row of another gate
            note = reason or self._note(label)
            self.progress.update(self.bars[label], description=how, note=note)
        self._line(f"{label}: {how}" + (f": {reason}" if reason else ""))

    def note(self, text: str) -> None:
        """Say something once, above the bars where there are any."""
        if text not in self.said:
            self.said.add(text)
            self._print(text)

    def _new_bar(self, label: str) -> TaskID:
        """Add the bar of a gate's search, or of its evaluation where nothing is searched."""
        trials, note = self.trials[label], self._note(label)
        what, total = ("search", trials) if trials else ("evaluate", self.max_epochs)
        done = self.ends[label].total()
        return self.progress.add_task(what, total=total, completed=done, label=label, note=note)

    def _note(self, label: str) -> str:
        ends, cost = self.ends[label], self.best[label].cost
        best = f"best {self.goal.objective} {self.goal.cost(cost):.4g}"
        parts = [best] if math.isfinite(cost) else []
        parts += [f"{ends[end]} {end}" for end in ("pruned", "failed") if ends[end]]
        return ", ".join(parts)

    def _draw(self, *, now: bool = False) -> None:
        """Write the bars again in a notebook; a terminal's do so themselves."""
        if self.view is not None:
            self.view.show(self.progress.get_renderable(), now=now)

    def _line(self, text: str) -> None:
        if not (self.console.is_terminal or self.view):
            self._print(text)

    def _print(self, text: str) -> None:
        """Print a line; it must not raise where Ray's loop would end for it and save nothing."""
        try:
            say(self.console, text)
        except OSError as error:  # of others, as of a log whose disk is full, the record knows all
            if error.errno == errno.EPIPE:  # nobody reads on: that is a Ctrl-C
                signal.raise_signal(signal.SIGINT)


def _number(job: Job) -> str:
    """Return a trial's number as Optuna and MLflow have it, after its repeat's if not the first."""
    repeat = Search.of(job.of_search).repeat
    return f"{repeat}-{job.number}" if repeat else str(job.number)
