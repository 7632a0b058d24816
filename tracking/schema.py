"""The schema: every name under which a sweep is recorded, and by which it is read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("gatelab_runs")
"""Beside the user's work: the store, and a folder for each sweep."""
STAGES = ("sweep", "gate", "search", "evaluate")
"""What a run is of: the sweep, one gate of it, one of its trials, one of its evaluation's seeds."""
ENDS = {"finished": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
"""How a run of ours ends, and what MLflow calls that."""
COUNTS = {end: f"search/{end}" for end in ENDS}
"""How many trials of a gate ended so: with the gate's run, so that nobody need read the trials."""


class Tags:
    """What says of a run what it is."""

    SWEEP, STAGE, TASK, GATE = "sweep", "stage", "task", "gate"
    HOME = "home"
    """Of the sweep's run: the id of the folder that it is recorded from."""
    GATES = "gates"
    """Of the sweep's run: its gates in the spec's order, with commas."""
    SEED, TRIAL = "seed", "trial"
    REPEAT = "repeat"
    """Of a trial's or an evaluation's run: of which repeat of the search, counted from 0."""
    GOES_ON_FROM, TAKEN_OVER_FROM = "goes_on_from", "taken_over_from"
    """Of the sweep's run: the finished sweeps with whose trials it began, the first first, with
    commas; of a run that was trained in another sweep: that one."""
    ROLE, HARDENS = "role", "hardens"
    """Of a gate's run: what it is compared as; and ``yes`` if it is dense at first and is to become
    sparse in training."""
    ROW_OF = "row_of"
    """Of a gate's run that is the best at one k of another gate's search: that gate."""
    SPLIT_SEED, TEST_TO_TRAIN = "split_seed", "test_to_train"
    """Of an evaluation's run: which split it was on, and its test rows over its train rows where
    splits are of the same rows."""
    GIVEN = "learner.given"
    """Of a gate's run: what its learner gives a model to learn by, in a line."""
    MEMBERS = "members"
    """Of a gate's run: how many models trained together at most, where that was found by trying."""
    END, END_REASON, END_EPOCH = "end", "end.reason", "end.epoch"
    BROKEN = "broken"
    """``yes`` on the run of a trial or seed that breaks what the search requires, and on that of a
    gate whose selected trial does: whatever keeps it is better, whatever its objective."""
    FAILURES = "search.reasons"
    """Of a gate's run: why its trials failed, with counts, in JSON."""
    HIGHER, LOWER = "metrics.higher", "metrics.lower"
    """Of the sweep's run: the names of metrics of which more is better, or less, with commas."""
    MEANINGS = "metrics.meanings"
    """Of the sweep's run: what its metrics are; of a gate's: what its own are; in JSON by name."""
    WARNINGS = "warnings"
    """Of the sweep's run: what a reader must know of its data, a line each."""
    DATA = "data"
    """The fingerprint of the task's train and val splits."""
    COMMIT = "git.commit"
    VERSION, MACHINE = "version.", "machine."
    """How the tags begin that name versions of packages, and the driver's machine."""
    CODE = "code."
    """How the tags begin that hold a fingerprint of a module of the user's own."""
    DESCRIPTION = "mlflow.note.content"
    """Whose Markdown MLflow shows above a run."""
    VERDICT, BEST = "verdict", "best"
    """Of the sweep's run: the answer in a sentence, and whose numbers the run carries."""
    USER, SOURCE, SOURCE_TYPE = "mlflow.user", "mlflow.source.name", "mlflow.source.type"
    """Who ran it and with what, as MLflow shows it."""
    GIT_COMMIT = "mlflow.source.git.commit"


class Params:
    """What is recorded of a sweep's data beside its spec, as params of its run."""

    ROWS = "rows."
    """How the names begin of how many rows each split has."""
    TEST_ROWS = "rows.test"
    """Of the split that is read last."""
    KINDS = "targets"
    """How many targets of which kind: ``2 regression, 1 binary``."""


class Metrics:
    """The keys that more than one place names; training makes those by target and by metric."""

    TRAIN_LOSS, VAL_LOSS, TEST_LOSS = "train/loss", "val/loss", "test/loss"
    TEST_UNWEIGHTED = "test/unweighted_loss"
    """Beside the loss, as in train and val, where rows or classes are weighted in it."""
    OBJECTIVE = "objective"
    """What the search looks for, of the weights that are kept."""
    EXPERTS_PER_EXAMPLE, EXPERTS_PER_ROW = "gate/experts_per_example", "gate/experts_per_row"
    AT_MOST_K, SETTLED_EPOCH = "gate/at_most_k", "gate/settled_epoch"
    RISE_WHILE_DENSE = "gate/rise_while_dense"
    CHANGES = ("gate/weight_change", "gate/support_flips")
    """Since the epoch before: NaN of weights that were kept after the first."""
    SEARCH_EPOCHS = "search/epochs"
    """Of a gate's run: the epochs that all its trials trained."""
    TRAIN_SECONDS = "time/train_seconds"
    PARAMETERS, GATE_PARAMETERS = "model/parameters", "model/gate_parameters"
    ACTIVE_PARAMETERS = "model/active_parameters"
    """Those that run for a row: without the experts that none of its targets uses."""
    DEFINED, TARGETS = "defined/", "targets/"
    """How keys begin that tell of how many targets a metric is defined, and how many have it, where
    these differ: ``defined/test/auroc``."""
    IMPORTANCE, DEVIATION = "importance/", "std/"
    """How keys begin that tell a hyperparameter's importance, and a deviation over seeds."""


class Artifacts:
    """The files of runs."""

    SPEC = "spec.yaml"
    WEIGHTS = "weights.csv"
    """Of a gate: mean weight and load of every expert, by seed and target."""
    TRACE = "traceback.txt"
    """Of a trial or seed that an error ended, where it was raised."""
    TRACES = "tracebacks"
    """The folder of the same in a sweep's home."""
    TARGETS = "targets.csv"
    """Of an evaluation's seed, of many targets: loss and metrics of each."""
    REPORT = "report.html"
    COMPARISON_CSV, COMPARISON_JSON = "comparison.csv", "comparison.json"


LOSS = "loss"
"""How the keys of losses end."""
UNWEIGHTED_LOSS = "unweighted_loss"
"""How those end that stand beside a weighted loss, with all rows counting alike."""


@dataclass(frozen=True)
class Directions:
    """Of which metrics more is better, and of which less: the names at the end of their keys."""

    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    """Beside the losses, of which less is always better."""

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Directions:
        """Return those that are recorded with a sweep's run; none where the tags are missing."""
        higher, lower = (tags.get(tag, "").split(",") for tag in (Tags.HIGHER, Tags.LOWER))
        return cls(tuple(filter(None, higher)), tuple(filter(None, lower)))

    def to_tags(self) -> dict[str, str]:
        """Return them as tags of a sweep's run."""
        return {Tags.HIGHER: ",".join(self.higher), Tags.LOWER: ",".join(self.lower)}

    @classmethod
    def of_all(cls, found: Iterable[Directions]) -> Directions:
        """Return those of several, in which what any two contradict each other about has none."""
        known = list(found)
        higher = {name for each in known for name in each.higher}
        lower = {name for each in known for name in each.lower}
        return cls(tuple(sorted(higher - lower)), tuple(sorted(lower - higher)))

    def __or__(self, other: Directions) -> Directions:
        """Return those of both, as :meth:`of_all` does; of three ask that, or a dispute is lost."""
        return self.of_all((self, other))

    def of(self, metric: str) -> int:
        """Return 1 where more of a metric is better, -1 where less is, 0 where neither is known.

        Neither is better of what gates do: only the scores of a split have a direction.
        """
        part, name = metric.partition("/")[0], metric.rpartition("/")[2]
        if part not in ("test", "val"):
            return 0
        return (name in self.higher) - (name in (LOSS, UNWEIGHTED_LOSS, *self.lower))
