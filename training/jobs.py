"""Jobs: what is handed to a worker, as plain values that any process can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gatelab.training.configuration import Configuration
from gatelab.training.goal import Goal
from gatelab.training.member import Member, Recipe

Stage = Literal["search", "evaluate"]


@dataclass(frozen=True)
class Job:
    """Members of one gate to train: a trial of its search, or its evaluation.

    The members of a trial are one configuration with several seeds. Several trials of one
    structure that train to the same epoch are handed to a worker together, which fuses them.
    """

    stage: Stage
    label: str
    """Under which it is recorded: the gate's name in the spec, or of its row at one k."""
    gate: str
    """Its key in the registry."""
    members: tuple[Member, ...]
    number: int = 0
    """Of the trial in its search; of an evaluation's first run among all of its label."""
    until: int | None = None
    """The epoch, counted from 1, at which it waits for the others of its round; ``None``: it
    trains to its end."""
    split_seed: int | None = None
    """Of the split that an evaluation is on; ``None``: the task's own."""
    search: str = ""
    """The search that it is part of, or that selected its configuration; empty: the label's."""

    @property
    def of_search(self) -> str:
        """The name of its search."""
        return self.search or self.label

    @property
    def name(self) -> str:
        """The same in every process and after every resume."""
        return self.key if self.until is None else f"{self.key}@{self.until}"

    @property
    def key(self) -> str:
        """The same at every rung."""
        return f"{self.run}/{self.number}"

    @property
    def run(self) -> str:
        """How the names of its runs in the record begin."""
        whose = self.of_search if self.stage == "search" else self.label
        return f"{whose}/{self.stage}"

    @property
    def told(self) -> int:
        """Of how many results it is: a trial tells its members as one."""
        return 1 if self.stage == "search" else len(self.members)

    def to_plain(self) -> dict[str, Any]:
        """Return dicts, lists, strings and numbers only."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Job:
        """Return the job that :meth:`to_plain` was called on."""
        members = tuple(
            Member(Configuration(member["configuration"]["values"]), member["seed"])
            for member in plain["members"]
        )
        return cls(**{**plain, "members": members})


@dataclass(frozen=True)
class Setting:
    """What every job of a sweep has in common, as plain values."""

    task: str
    task_options: Mapping[str, Any]
    recipe: Recipe
    metrics: tuple[str, ...] | None
    goal: Goal
    cpus: float
    gpus: float
    storage: str
    """The place of :class:`gatelab.sweeps.cluster.storage.Storage` for states and models."""
    classes: bytes = b""
    """Those that a worker cannot import, as :func:`.packed_classes.pack_classes` packs them."""
    data: str = ""
    """What tells the task's data from others, as :mod:`gatelab.sweeps.worker.same_data` has it."""
