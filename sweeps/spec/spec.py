"""The spec: what one sweep is, as a user writes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_serializer,
    model_validator,
)

from gatelab.registry import near_misses
from gatelab.sweeps.spec.hyperparameters import Hyperparameter, Range

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0)]


class SpecError(ValueError):
    """What is wrong with a spec, in one line: source, path inside it, rule and value."""

    def __init__(self, source: str, path: str, message: str) -> None:
        """Join the parts."""
        self.source, self.path, self.message = source, path, message
        parts = [source, path, " ".join(message.split())]
        super().__init__(": ".join(part for part in parts if part))


class SpecPart(BaseModel):
    """A mapping of the spec, which refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"must be a mapping of keys to values, but got {data!r}.")
        for key in data:
            if key not in cls.model_fields:
                raise ValueError(f"unknown key {key!r}; {near_misses(str(key), cls.model_fields)}")
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
            raise ValueError(f"must be a name, or a mapping with a `name`, but got {data!r}.")
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


class OptimizerSpec(SpecPart):
    """The optimiser of every model."""

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: Hyperparameter = 1e-3
    """Above 0."""
    weight_decay: Hyperparameter = 0.0
    """0 or more."""


class TrainingSpec(SpecPart):
    """How long every model trains."""

    batch_size: Count = 256
    max_epochs: Count = 20
    patience: Count | None = 5
    """Epochs without a lower validation loss before training stops; null: never."""


class HalvingSpec(SpecPart):
    """When a gate's search gives up trials that lag behind its others."""

    grace_epochs: Count = 5
    """No trial is pruned before: sparse gates settle late."""
    reduction_factor: Annotated[int, Field(strict=True, ge=2)] = 3
    """Of how many trials one goes on; epochs are compared at grace, grace x factor, and so on."""


class SearchSpec(SpecPart):
    """Every gate's search, the same for each."""

    trials: Count = 20
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Seed = 0
    """From which every seed of the sweep follows."""
    early_stopping: HalvingSpec | Literal[False] = HalvingSpec()

    @field_validator("early_stopping", mode="before")
    @classmethod
    def _off_or_on(cls, value: Any) -> Any:
        return HalvingSpec.model_validate(value) if isinstance(value, dict) else value


class EvaluationSpec(SpecPart):
    """The final evaluation of each gate's selected configuration."""

    seeds: Count = 5
    select: Literal["best"] = "best"


class ResourcesSpec(SpecPart):
    """What one job occupies; null: what :mod:`.cluster.sizing` finds for the nodes."""

    cpus: Annotated[float, Field(ge=0)] | None = None
    gpus: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _something(self) -> ResourcesSpec:
        if self.cpus == 0 and not self.gpus:
            raise ValueError(
                f"`cpus + gpus > 0` must hold, but got (cpus=0, gpus={self.gpus or 0:g})."
            )
        return self


class Spec(SpecPart):
    """One sweep."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    experiment: str = ""
    """MLflow's experiment; the sweep's name where none is given."""
    task: TaskSpec
    metrics: tuple[str, ...] | None = None
    """By default those of each target's kind."""
    model: dict[str, Hyperparameter] = {}
    """``num_experts`` (8), and the hyperparameters of the task's network."""
    gates: dict[Annotated[str, Field(pattern=NAME_PATTERN)], GateSpec]
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
            raise ValueError(f"must name at least one gate, but got {value!r}.")
        if not isinstance(value, dict):
            value = _labelled(value)
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
        if isinstance(data, dict) and "name" in data and not data.get("experiment"):
            data = {**data, "experiment": data.get("name")}
        return data

    def to_yaml(self) -> str:
        """Return the spec with every default written out; it loads as an equal spec."""
        return yaml.safe_dump(_plain(self.model_dump()), sort_keys=False, allow_unicode=True)


def _labelled(names: Any) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    for key in names:
        if not isinstance(key, str):
            raise ValueError(f"a list of gates holds their names, but got {key!r}.")
        label = key.rpartition(":")[2]
        if label in labels:
            raise ValueError(f"gates must have different names, but {label!r} is there twice.")
        labels[label] = {"gate": key}
    return labels


def _gate(label: str, entry: Any) -> Any:
    if isinstance(entry, GateSpec):
        return entry
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        raise ValueError(f"{label!r} must be a mapping of hyperparameters, but got {entry!r}.")
    hyperparameters = {key: value for key, value in entry.items() if key != "gate"}
    return {"gate": entry.get("gate", label), "hyperparameters": hyperparameters}


def _plain(value: Any) -> Any:
    """Return what YAML can write: mappings and lists of scalars."""
    if isinstance(value, Range):
        value = value.model_dump(exclude_defaults=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
