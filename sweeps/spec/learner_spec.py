"""How a gate's models learn, as a spec says it: a learner's name, or a mapping with its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_serializer, model_validator

from gatelab.rules import written
from gatelab.sweeps.spec.hyperparameters import Hyperparameter, scalars_of, typed
from gatelab.training.configuration import LEARNER
from gatelab.training.learners import DEFAULT, Learner, learners


class LearnerSpec(BaseModel):
    """A learner's key in the registry, and the hyperparameters that the spec names."""

    model_config = ConfigDict(frozen=True)

    name: str = DEFAULT
    hyperparameters: dict[str, Hyperparameter] = {}

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"name": data}
        if not isinstance(data, dict) or not isinstance(data.get("name", DEFAULT), str):
            raise ValueError(
                f"must be a name, or a mapping with a `name`, but got {written(data)}."
            )
        if set(data) == {"name", "hyperparameters"}:  # of this form already
            return data
        own = {key: value for key, value in data.items() if key != "name"}
        return {"name": data.get("name", DEFAULT), "hyperparameters": own}

    @model_serializer
    def _flat(self) -> Any:
        own = scalars_of(self.hyperparameters)
        return {"name": self.name, **own} if own else self.name

    @property
    def is_default(self) -> bool:
        """Whether nothing is said of it."""
        return self == LearnerSpec()

    @property
    def cls(self) -> type[Learner]:
        """The learner's class.

        Raises:
            ValueError: If there is none of this name.
        """
        return learners.get(self.name)


def learner_space(said: LearnerSpec) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a spec says of a learner by dotted name, and what is wrong with it by key.

    All its options have a value, so that each is recorded. Of the default nothing is said, as
    ever.
    """
    if said.is_default:
        return {}, {}
    found: dict[str, Any] = {LEARNER: said.name}
    faults = {}
    for name, option in said.cls.hyperparameters.items():
        try:
            value = typed(said.hyperparameters.get(name, option.default), option.default)
        except ValueError as error:
            faults[name] = str(error)
            continue
        found[f"{LEARNER}.{name}"] = value
    return found, faults


def learner_faults(said: LearnerSpec, chosen: Mapping[str, Any], targets: int) -> dict[str, str]:
    """Return what is wrong with values of a learner's options, by their names.

    Args:
        said: The learner.
        chosen: Values of all its options.
        targets: Of the task.
    """
    return said.cls.faults(said.cls.completed(chosen), targets)


def learner_row_faults(said: LearnerSpec, chosen: Mapping[str, Any], rows: int) -> dict[str, str]:
    """Return which values of a learner's options need more rows than train has, by their names.

    Args:
        said: The learner.
        chosen: Values of all its options.
        rows: Of the train split.
    """
    return said.cls.row_faults(said.cls.completed(chosen), rows)
