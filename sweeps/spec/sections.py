"""Sections of a spec: how models train, are searched and evaluated, and what a job occupies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gatelab.rules import written
from gatelab.sweeps.spec.hyperparameters import Hyperparameter, Scalar
from gatelab.sweeps.spec.numbering import Numbering
from gatelab.training.member import Recipe
from gatelab.training.precision import Precision

Count = Annotated[int, Field(strict=True, ge=1)]
Listed = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
"""A count of what a driver holds one by one."""
Seed = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
LEAST_SHARE = 1e-4
"""Ray counts in such parts: less is nothing, of which any number of jobs run at once."""


class SpecPart(BaseModel):
    """A mapping of the spec, which refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _amapping_of(cls, data: Any) -> Any:
        return mapping_of(data)


def mapping_of(data: Any) -> dict[Any, Any]:
    """Return what is a mapping.

    Raises:
        ValueError: If it is none.
    """
    if data is None:
        raise ValueError("is empty: write its keys below it, or leave it out.")
    if not isinstance(data, dict):
        raise ValueError(f"must be a mapping of keys to values, but got {written(data)}.")
    return data


class TrainingSpec(SpecPart):
    """How every model trains."""

    batch_size: Count = 256
    max_epochs: Count = 20
    patience: Count | None = 5
    """Epochs without a better objective before training stops; null: never."""
    schedule: Hyperparameter = "constant"
    """Of the learning rate."""
    warmup: Hyperparameter = 0.0
    """The share of all steps in which the learning rate rises, in [0, 1)."""
    gradient_clip: Hyperparameter = None
    """The largest norm of a model's gradients; null: any."""
    target_weights: dict[str, Hyperparameter] = {}
    """By target what its loss is multiplied by in what is minimised, above 0; in what is scored and
    compared it is the target's own ``weight``."""
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

    at_most_k: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)] = 0.99
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
    hours: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """After which no round begins any more that no gate has begun, stops left out; null: never."""
    first: dict[str, tuple[dict[str, Scalar], ...]] = {}
    """By gate, configurations that are tried right after its default: values by dotted name."""
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

    seeds: Listed = 5
    """On each split."""
    splits: Listed = 1
    """More than the task's own: those of the split seeds that follow its own."""

    @property
    def numbering(self) -> Numbering:
        """How the runs of a gate's evaluations are numbered."""
        return Numbering(self.seeds, self.splits)


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


class TrackingSpec(SpecPart):
    """What is recorded beside what every sweep records."""

    system_metrics: Annotated[bool, Field(strict=True)] = False
    """Whether the driver's machine is looked at while the sweep runs: processors, memory, disk,
    network, GPUs."""
