"""The spec: what one sweep is, as a user writes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_serializer,
    model_validator,
)

from gatelab.registry import near_misses
from gatelab.rules import as_line, written
from gatelab.sweeps.spec.hyperparameters import Hyperparameter, scalars_of
from gatelab.sweeps.spec.learner_spec import LearnerSpec
from gatelab.sweeps.spec.notation import write_notation
from gatelab.sweeps.spec.sections import (
    EvaluationSpec,
    ResourcesSpec,
    SearchSpec,
    SpecPart,
    TrackingSpec,
    TrainingSpec,
    mapping_of,
)
from gatelab.training.optimizers.catalogue import OPTIMIZERS, optimizer_defaults

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=128)]
"""Part of names of files, which end at 255 characters."""
Fault = tuple[str, str]
"""Where in a spec something is wrong, by dotted path, and what."""
LINE_WIDTH = 800
"""Characters of a part of it at most: a class of the user's may say anything."""


NO_FILE = ("", "spec")
"""Sources of faults that were found in no file, or by who does not know the file."""


class SpecError(ValueError):
    """What is wrong with a spec, one line a fault: source, path inside it, rule and value."""

    def __init__(self, source: str, path: str, message: str, *more: Fault) -> None:
        """Join the parts of each fault."""
        self.source, self.faults = source, ((path, message), *more)
        super().__init__("\n".join(_line(source, *fault) for fault in self.faults))

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> SpecError:
        """Return an error of one fault or several, each of them once."""
        (path, message), *more = dict.fromkeys(faults)
        return cls("", path, message, *more)

    def at(self, source: str) -> SpecError:
        """Return the same faults as those of a source, unless they name the file they are of."""
        if self.source not in NO_FILE:
            return self
        return SpecError(source, *self.faults[0], *self.faults[1:])


def _line(source: str, path: str, message: str) -> str:
    parts = (source if source.isprintable() else repr(source), path, message)
    return ": ".join(as_line(part, LINE_WIDTH) for part in parts if part)


class TaskSpec(BaseModel):
    """A task by its key, and its options: ``digits_pairs``, or ``{name: ..., option: ...}``."""

    model_config = ConfigDict(frozen=True)

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"name": data}
        if not isinstance(data, dict) or not isinstance(data.get("name"), str):
            raise ValueError(
                f"must be a name, or a mapping with a `name`, but got {written(data)}."
            )
        return {"name": data["name"], "options": {k: v for k, v in data.items() if k != "name"}}

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return {"name": self.name, **self.options}


class GateSpec(BaseModel):
    """A gate's key in the registry, and the hyperparameters that the spec names."""

    model_config = ConfigDict(frozen=True)

    gate: str
    learner: LearnerSpec = LearnerSpec()
    """How its models learn."""
    hyperparameters: dict[str, Hyperparameter] = {}

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        learner = {} if self.learner.is_default else {"learner": self.learner.model_dump()}
        return {"gate": self.gate, **learner, **scalars_of(self.hyperparameters)}


class OptimizerSpec(BaseModel):
    """The optimiser of every model by its name, and the hyperparameters that it takes."""

    model_config = ConfigDict(frozen=True)

    name: str = "adam"
    hyperparameters: dict[str, Hyperparameter] = optimizer_defaults("adam")

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, data: Any) -> Any:
        given = {"name": data} if isinstance(data, str) else mapping_of(data)
        name = given.get("name", "adam")
        known = isinstance(name, str) and name in OPTIMIZERS
        values = {key: value for key, value in given.items() if key != "name"}
        defaults = optimizer_defaults(name) if known else {}
        return {"name": name, "hyperparameters": {**defaults, **values}}

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {written(name)}; {near_misses(name, OPTIMIZERS)}")
        return name

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return {"name": self.name, **scalars_of(self.hyperparameters)}


class Spec(SpecPart):
    """One sweep."""

    name: Name
    experiment: str = ""
    """MLflow's experiment; the sweep's name where none is given."""
    task: TaskSpec
    metrics: tuple[str, ...] | None = None
    """By default those of each target's kind."""
    model: dict[str, Hyperparameter] = {}
    """``num_experts`` (8), and the hyperparameters of the task's network."""
    gates: dict[Name, GateSpec]
    baselines: Annotated[bool, Field(strict=True)] = True
    """Whether ``single``, ``random_k``, a constant prediction, and ``oracle`` where the task has a
    truth, are compared too."""
    optimizer: OptimizerSpec = OptimizerSpec()
    training: TrainingSpec = TrainingSpec()
    search: SearchSpec = SearchSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    resources: ResourcesSpec = ResourcesSpec()
    tracking: TrackingSpec = TrackingSpec()

    @field_validator("gates", mode="before")
    @classmethod
    def _by_label(cls, value: Any) -> Any:
        """Turn a list of names, or a mapping with or without hyperparameters, into one form."""
        if not isinstance(value, (dict, list, tuple)) or not value:
            instead = f": write [{as_line(value, 60)}]" if value and isinstance(value, str) else ""
            raise ValueError(f"must name at least one gate, but got {written(value)}{instead}.")
        if not isinstance(value, dict):
            value = labelled(value)
        return {str(label): _gate(str(label), entry) for label, entry in value.items()}

    @field_validator("metrics")
    @classmethod
    def _some_metric(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value == ():
            raise ValueError("must name at least one metric, but got [].")
        return value

    @model_validator(mode="before")
    @classmethod
    def _experiment(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("name"), str):
            data = {**data, "experiment": data.get("experiment") or data["name"]}
        return data

    @model_validator(mode="before")
    @classmethod
    def _without_anchors(cls, data: Any) -> Any:
        """Leave out keys that begin with ``x-``: a place for what others refer to."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if not str(key).startswith("x-")}

    def to_yaml(self) -> str:
        """Return the spec with every default written out; it loads as an equal spec."""
        return write_notation(scalars_of(self.model_dump()))


def labelled(names: Iterable[Any]) -> dict[str, Any]:
    """Return gates that are listed by name or key as a mapping of labels to what they are.

    Raises:
        ValueError: If one is no text, or two have one label.
    """
    labels: dict[str, Any] = {}
    for key in names:
        if not isinstance(key, str):
            raise ValueError(f"a list of gates holds their names, but got {written(key)}.")
        label = key.rpartition(":")[2]
        if label in labels:
            raise ValueError(
                f"gates must have different names, but {written(label)} is there twice."
            )
        labels[label] = {"gate": key}
    return labels


def _gate(label: str, entry: Any) -> Any:
    if isinstance(entry, GateSpec):
        return entry
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        raise ValueError(
            f"{written(label)} must be a mapping of hyperparameters, but got {written(entry)}."
        )
    named = {"gate": label, **{key: entry[key] for key in ("gate", "learner") if key in entry}}
    hyperparameters = {key: value for key, value in entry.items() if key not in named}
    return {**named, "hyperparameters": hyperparameters}
