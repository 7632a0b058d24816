"""The contract of a gate: one target's rule for weighing the experts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from optuna.distributions import BaseDistribution
from torch import Tensor, nn

from gatelab.gates.scalars import register_scalars
from gatelab.registry import Registry

G = TypeVar("G", bound="type[Gate]")
Role = Literal["gate", "baseline", "ceiling"]


class Routing(NamedTuple):
    """What a gate returns for a batch."""

    weights: Tensor
    """How much each expert counts, ``(batch, num_experts)``, non-negative."""
    aux_loss: Tensor
    """The gate's own loss, ``()``: already weighted, a mean over the batch."""
    diagnostics: dict[str, Tensor] = {}
    """Scalars ``()`` for the record, by names of :attr:`Gate.diagnostics`; in evaluation only."""
    logits: tuple[Tensor, ...] = ()
    """What the weights are made of, ``(batch, ...)`` each (1 for a batch where the gate is static),
    if the gate has such; the router z-loss reads them."""


class Planted(NamedTuple):
    """What a target is really made from, as a task with a planted truth knows it."""

    experts: tuple[frozenset[int], ...]
    """By regime the teacher experts: one set where they are the same for every row."""
    directions: tuple[tuple[float, ...], ...] = ()
    """Of the gate's input: bit i of a row's regime says whether it lies on direction i's side."""


class Gate(nn.Module):
    """A rule that weighs the experts for one target.

    A subclass takes ``(in_features, num_experts, *, hyperparameters)``, raises ``ValueError`` for
    values it cannot work with, and returns everything from :meth:`forward`. Integers fix its
    structure; real-valued hyperparameters go through :meth:`register_hyperparameters`, so that
    gates which differ only in them train together.
    """

    search_space: ClassVar[Mapping[str, BaseDistribution]] = MappingProxyType({})
    """Optuna's distributions by constructor argument, searched when a spec names none.

    ``k`` is not searched unless a spec says so: the lowest loss would mostly be that of the most
    experts, and gates would be compared at different costs.
    """
    first_trial: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """What a search of that space tries first, where it is not the constructor's default."""
    diagnostics: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What each of the diagnostics means that the gate returns, in a line: the report prints it."""
    expected_failed_checks: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Why the gate must fail a check of ``gates.check``, by the check's name."""
    role: ClassVar[Role] = "gate"
    """As what it is compared: a ``gate``; a ``baseline``, which learns no selection, and which a
    gate must beat; or a ``ceiling``, which is told what none can know."""
    hardens: ClassVar[bool] = False
    """Whether it is dense at first, to become sparse in training."""
    trained: ClassVar[bool] = True
    """Whether a model with it is trained; without, every prediction is a constant of the train
    split, and nothing is searched."""
    k: int | None = None
    """The most experts that an example uses, where the gate keeps to a number."""

    def __init__(self, in_features: int, num_experts: int) -> None:
        """Check and keep the sizes.

        Raises:
            ValueError: If a size is below one.
        """
        super().__init__()
        if in_features < 1 or num_experts < 1:
            raise ValueError(
                "`in_features >= 1` and `num_experts >= 1` must hold, "
                f"but got ({in_features=}, {num_experts=})."
            )
        self.in_features = in_features
        self.num_experts = num_experts

    def register_hyperparameters(self, **values: float) -> None:
        """Keep each real value as a scalar buffer of the same name.

        Raises:
            ValueError: If one is too large or too small for the default type of numbers.
        """
        register_scalars(self, values)

    @classmethod
    def num_experts_for(cls, num_experts: int, num_targets: int) -> int:
        """Return how many experts a model with this gate has: what it is given, by default.

        Args:
            num_experts: What the model's hyperparameters say.
            num_targets: Of the task.
        """
        return num_experts

    @classmethod
    def schedule_end(cls, hyperparameters: Mapping[str, Any]) -> float:
        """Return the share of the training after which nothing follows a schedule any more.

        In [0, 1]; 0 for a gate without a schedule, which is the default. Before it a gate's
        validation losses do not speak for what it ends as.

        Args:
            hyperparameters: As the constructor takes them; what is missing has its default.
        """
        return 0.0

    def place(self, target: int, num_targets: int) -> None:
        """Take in which target the gate is for, once, before training; nothing by default.

        Args:
            target: Its index, in [0, num_targets).
            num_targets: Of the task.

        Raises:
            ValueError: If the gate cannot serve so many targets.
        """

    def reveal(self, planted: Planted | None) -> None:
        """Take in what the target is made from, once, after :meth:`place`; nothing by default.

        For a ceiling alone: what is compared as a gate must not look.

        Args:
            planted: What the task says; ``None`` where it has no truth.

        Raises:
            ValueError: If the gate cannot do without, or with it.
        """

    def forward(self, x: Tensor) -> Routing:
        """Route a batch ``(batch, in_features)``."""
        raise NotImplementedError

    @property
    def updates(self) -> bool:
        """Whether :meth:`update` does anything, as the gate is before it learns."""
        return type(self).update is not Gate.update

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        """Return the next values of buffers after a step, by name; none by default.

        Args:
            routing: What :meth:`forward` returned in this step.
            progress: The share of the training that is done, ``()``, in [0, 1].
        """
        return {}


gates: Registry[Gate] = Registry("gate")


def register_gate(name: str) -> Callable[[G], G]:
    """Return a class decorator that enters a :class:`Gate` under ``name``."""
    return gates.register(name, Gate)


def check_k(k: int, num_experts: int) -> None:
    """Check the number of experts a gate may select.

    Raises:
        ValueError: If it is no integer in [1, num_experts].
    """
    if not isinstance(k, int) or not 1 <= k <= num_experts:
        raise ValueError(f"`1 <= k <= num_experts` must hold, but got ({k=}, {num_experts=}).")
