"""The spec: what one sweep is, as a user writes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.hyperparameters import Hyperparameter, Range
from gatelab.sweeps.spec.notation import write_notation
from gatelab.training.member import Recipe
from gatelab.training.optimizers.catalogue import OPTIMIZERS, optimizer_defaults
from gatelab.training.precision import Precision

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
Count = Annotated[int, Field(strict=True, ge=1)]
Listed = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
"""A count of what a driver holds one by one."""
Seed = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
LEAST_SHARE = 1e-4
"""Ray counts in such parts: less is nothing, of which any number of jobs run at once."""
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=128)]
"""Part of names of files, which end at 255 characters."""
Fault = tuple[str, str]
"""Where in a spec something is wrong, by dotted path, and what."""
LINE_WIDTH = 800
"""Characters of a part of it at most: a class of the user's may say anything."""


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
        """Return the same faults as those of another source."""
        return SpecError(source, *self.faults[0], *self.faults[1:])


def _line(source: str, path: str, message: str) -> str:
    parts = (source if source.isprintable() else repr(source), path, message)
    cut = [f"{part[:LINE_WIDTH]}..." if len(part) > LINE_WIDTH else part for part in parts]
    return ": ".join(" ".join(part.split()) for part in cut if part)


class SpecPart(BaseModel):
    """A mapping of the spec, which refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _a_mapping(cls, data: Any) -> Any:
        return _mapping(data)


def _mapping(data: Any) -> dict[Any, Any]:
    if data is None:
        raise ValueError("is empty: write its keys below it, or leave it out.")
    if not isinstance(data, dict):
        raise ValueError(f"must be a mapping of keys to values, but got {written(data)}.")
    return data


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
    hyperparameters: dict[str, Hyperparameter] = {}

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return {"gate": self.gate, **_plain(self.hyperparameters)}


class OptimizerSpec(BaseModel):
    """The optimiser of every model by its name, and the hyperparameters that it takes."""

    model_config = ConfigDict(frozen=True)

    name: str = "adam"
    hyperparameters: dict[str, Hyperparameter] = optimizer_defaults("adam")

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, data: Any) -> Any:
        given = _mapping(data)
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
        return {"name": self.name, **_plain(self.hyperparameters)}


class TrainingSpec(SpecPart):
    """How every model trains."""

    batch_size: Count = 256
    max_epochs: Count = 20
    patience: Count | None = 5
    """Epochs without a lower validation loss before training stops; null: never."""
    schedule: Hyperparameter = "constant"
    """Of the learning rate."""
    warmup: Hyperparameter = 0.0
    """The share of all steps in which the learning rate rises, in [0, 1)."""
    gradient_clip: Hyperparameter = None
    """The largest norm of a model's gradients; null: any."""
    precision: Precision = "float32"
    """Of the products in a step; scores are float32."""

    def recipe(self) -> Recipe:
        """Return what all models have in common of it."""
        return Recipe(self.batch_size, self.max_epochs, self.patience, self.precision)


class HalvingSpec(SpecPart):
    """When a gate's search gives up trials that lag behind the others of their round."""

    grace_epochs: Count | None = None
    """No trial is pruned before, nor before the schedule of a gate has ended; null: a quarter of
    ``max_epochs``."""
    reduction_factor: Annotated[int, Field(strict=True, ge=2)] = 2
    """Of how many trials one goes on; they are compared at grace, grace x factor, and so on."""


class RequireSpec(SpecPart):
    """What weights must keep to be better than those that do not."""

    at_most_k: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.99
    """The share of val rows that use at most k experts, of gates that state a k."""


def _off_or_on(value: Any, part: type[SpecPart], off: str) -> Any:
    """Return what stands for a part that a spec may turn off, if it is false or a mapping."""
    if value is not False and not isinstance(value, (dict, part)):
        keys = " or ".join(f"`{key}`" for key in part.model_fields)
        raise ValueError(
            f"must be false, which {off}, or a mapping with {keys}, or be left out, "
            f"but got {written(value)}."
        )
    return value


class SearchSpec(SpecPart):
    """Every gate's search, the same for each."""

    trials: Listed = 20
    rounds: Count | None = None
    """In how many parts they are asked for, each once the last has ended; null: what
    :mod:`.rounds` finds for the trials."""
    repeats: Listed = 1
    """How often every gate is searched, each time with draws and seeds of its own; what each
    search selects is evaluated, and the searches are what the verdict compares."""
    seeds: Listed = 1
    """Members of a trial, whose objective is their mean."""
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Seed = 0
    """From which every seed of the sweep follows."""
    objective: str = "loss"
    """What is minimised or maximised: the validation loss, or a metric such as
    ``val/mean/auroc``."""
    require: Annotated[
        Annotated[RequireSpec, Tag("(requirement)")] | Annotated[Literal[False], Tag("(none)")],
        Discriminator(lambda value: "(none)" if value is False else "(requirement)"),
    ] = RequireSpec()
    early_stopping: Annotated[
        Annotated[HalvingSpec, Tag("(halving)")] | Annotated[Literal[False], Tag("(none)")],
        Discriminator(lambda value: "(none)" if value is False else "(halving)"),
    ] = HalvingSpec()

    @field_validator("early_stopping", mode="before")
    @classmethod
    def _stopping_off_or_on(cls, value: Any) -> Any:
        return _off_or_on(value, HalvingSpec, "prunes no trial")

    @field_validator("require", mode="before")
    @classmethod
    def _requirement_off_or_on(cls, value: Any) -> Any:
        return _off_or_on(value, RequireSpec, "requires nothing")


class EvaluationSpec(SpecPart):
    """The final evaluation of each gate's selected configuration."""

    seeds: Count = 5
    """On each split."""
    splits: Listed = 1
    """More than the task's own: those of the split seeds that follow its own."""

    @model_validator(mode="before")
    @classmethod
    def _without_select(cls, data: Any) -> Any:
        """Leave out what specs of 2026 said of the selection, which had one value."""
        if isinstance(data, dict) and data.get("select") == "best":
            return {key: value for key, value in data.items() if key != "select"}
        return data


class ResourcesSpec(SpecPart):
    """What one job occupies; null: what :mod:`.cluster.sizing` finds for the nodes."""

    cpus: Share | None = None
    gpus: Share | None = None
    members: Listed | None = None
    """How many models of one structure it trains at once, at most."""

    @field_validator("cpus", "gpus")
    @classmethod
    def _not_too_small(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value and value < LEAST_SHARE:
            name = info.field_name
            raise ValueError(
                f"`{name} >= {LEAST_SHARE:g}` must hold where it is above 0, but got "
                f"({name}={value:g}): Ray counts in such parts."
            )
        return value

    @field_validator("gpus")
    @classmethod
    def _a_part_or_whole_ones(cls, value: float | None) -> float | None:
        if value and value > 1 and value != int(value):
            raise ValueError(
                f"above 1 it must be a whole number, but got (gpus={value:g}): Ray shares one GPU "
                "among jobs, not several."
            )
        return value

    @model_validator(mode="after")
    def _something(self) -> ResourcesSpec:
        if self.cpus == 0 and not self.gpus:
            raise ValueError(
                f"`cpus + gpus > 0` must hold, but got (cpus=0, gpus={self.gpus or 0:g})."
            )
        return self


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

    @field_validator("gates", mode="before")
    @classmethod
    def _by_label(cls, value: Any) -> Any:
        """Turn a list of names, or a mapping with or without hyperparameters, into one form."""
        if not isinstance(value, (dict, list, tuple)) or not value:
            raise ValueError(f"must name at least one gate, but got {written(value)}.")
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
        return write_notation(_plain(self.model_dump()))


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
    hyperparameters = {key: value for key, value in entry.items() if key != "gate"}
    return {"gate": entry.get("gate", label), "hyperparameters": hyperparameters}


def _plain(value: Any) -> Any:
    """Return what YAML can write: mappings and lists of scalars."""
    if isinstance(value, Range):
        value = value.model_dump(exclude_defaults=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
