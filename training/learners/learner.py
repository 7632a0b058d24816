"""The contract of a learner: what one step of a member minimises, and what happens beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeVar

from torch import Tensor, nn

from gatelab.gates.gate import Gate
from gatelab.registry import Registry, near_misses
from gatelab.rules import shown
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network
from gatelab.training.learners.shared import Shared
from gatelab.training.member_loss import MemberLoss, Minimised
from gatelab.training.members import Members, Tensors
from gatelab.training.train_rows import TrainRows

LearnerClass = TypeVar("LearnerClass", bound="type[Learner]")
DEFAULT = "joint"
"""The learner of a gate for which a spec names none."""
LEARNER_MODULE = "learner"
"""The module of a model, within :class:`Members`, in which a learner keeps what it likes."""


class LearnerOption(NamedTuple):
    """A hyperparameter of a learner."""

    default: bool | int | float | str | None
    """``None``: a value of any kind, which ``faults`` judges."""
    what: str
    """In a line."""


class RowOrder(NamedTuple):
    """In which order a member's copies read the rows of the train split."""

    own: bool = False
    """Whether each copy has an order of its own."""
    correlation: float = 0.0
    """In [0, 1): the chance that the next row is the same again; 0: all rows, once a pass."""


class Learner:
    """How members learn: all methods are of all members at once, whose tensors are stacked.

    As it is, a member is one model, which minimises the sum of its targets' losses. The loop, the
    passes over the splits, early stopping and states are the same for all learners: a subclass says
    what is different, in a few operations on :class:`Members`, none of which may wait for a GPU.
    """

    agents: ClassVar[bool] = False
    """Whether each target is an agent with a copy of the model of its own. It learns from its
    target's loss, and gives the output for that target; what else the copies have, is unused."""
    given: ClassVar[str] = "one model for all targets, which all read the same rows at each step"
    """What models are given to learn by, in a line: a comparison says where it is not the same."""
    hyperparameters: ClassVar[Mapping[str, LearnerOption]] = MappingProxyType({})
    """By the keys of a spec. Members of different real values train together."""
    diagnostics: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What each of the :meth:`facts` means, in a line: the report prints it."""
    expected_failed_checks: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Why it must fail a check of the conformance suite, by the check's name."""
    second_order: bool = False
    """Whether :meth:`objective` takes gradients, through which the step's gradient goes: gates and
    networks must then be differentiable twice."""
    descends: ClassVar[bool] = True
    """Whether members follow the gradient of :meth:`objective`; else a pass over the train rows
    takes no step and tells their loss alone, and :meth:`after_pass` changes them. Then a spec's
    optimiser has no effect, so that nothing of it is searched."""
    remembered: ClassVar[tuple[str, ...]] = ()
    """The attributes that are tensors with a row for each member: its state."""

    def __init__(self, options: Sequence[Mapping[str, Any]], shared: Shared) -> None:
        """Begin.

        Args:
            options: Of each member the values of all hyperparameters.
            shared: The part of the model that all targets share.
        """
        self.shared = shared

    @classmethod
    def copies(cls, num_targets: int) -> int:
        """Return how many models a member is."""
        return num_targets if cls.agents else 1

    @classmethod
    def completed(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options with the defaults of those that are not given."""
        return {**{name: one.default for name, one in cls.hyperparameters.items()}, **options}

    @classmethod
    def faults(cls, options: Mapping[str, Any], num_targets: int) -> dict[str, str]:
        """Return what is wrong with the values of options, by their names; nothing by default."""
        return {}

    @classmethod
    def row_faults(cls, options: Mapping[str, Any], rows: int) -> dict[str, str]:
        """Return which options need more rows than train has, by their names; none by default."""
        return {}

    @classmethod
    def gate_faults(cls, gate: Mapping[str, Any]) -> dict[str, str]:
        """Return what cannot be beside it of a gate's hyperparameters, by their names."""
        weight = gate.get("union_weight")
        if not (cls.agents and weight):
            return {}
        return {
            "union_weight": "`union_weight = 0` must hold where each target has a copy of the "
            f"experts, of which no other uses any, but got (union_weight={weight})."
        }

    @classmethod
    def misfit(cls, network: Network, targets: Sequence[Target], gate: Gate) -> str:
        """Return why models of such parts cannot learn so, in a line; empty where they can.

        Args:
            network: Makes the parts around the mixture.
            targets: Of the task.
            gate: One of a model's, with the auxiliary losses that it was given.
        """
        return ""

    @classmethod
    def furnish(cls, model: nn.Module) -> None:
        """Put buffers into a model that follow its weights: into states, and where these are best.

        They are those of a module :data:`LEARNER_MODULE`, found in ``members.buffers`` and no part
        of what is served; by default there are none. What need not follow the best weights is
        rather ``remembered``.
        """

    @classmethod
    def remarks(cls, options: Mapping[str, Any], num_targets: int, steps: int) -> list[str]:
        """Return lines on what is allowed, but may not be meant; none by default.

        Args:
            options: Of a member, all of them.
            num_targets: Of the task.
            steps: That a training takes at most.
        """
        return []

    @classmethod
    def order(cls, options: Mapping[str, Any]) -> RowOrder:
        """Return in which order rows are read: the same for all copies, by default."""
        return RowOrder()

    @classmethod
    def kept_passes(cls, options: Mapping[str, Any]) -> float:
        """Return of how many passes over a batch a step keeps tensors at once: of one, by default.

        A GPU's memory is counted by it.
        """
        return 1.0

    @classmethod
    def tells(cls, options: Mapping[str, Any]) -> Collection[str]:
        """Return which of ``diagnostics`` a member of these options tells: all by default."""
        return cls.diagnostics.keys()

    @classmethod
    def spent(
        cls, options: Mapping[str, Any], num_targets: int, steps: int, *, ended: bool
    ) -> dict[str, float]:
        """Return what follows from options and steps taken alone, by names of ``diagnostics``.

        Args:
            options: Of a member, all of them.
            num_targets: Of the task.
            steps: That it has taken.
            ended: Whether it takes no more: what is slow to compute is asked for once.
        """
        return {}

    @classmethod
    def judged(cls, options: Mapping[str, Any], losses: Tensor) -> dict[str, float]:
        """Return what follows from a member's losses on a split, by names of ``diagnostics``.

        Args:
            options: Of the member, all of them.
            losses: Of every target, ``(targets,)``.
        """
        return {}

    def begin(self, members: Members) -> None:
        """Take what is needed of members before their first step; their tensors move later."""

    @property
    def taught(self) -> Tensor | None:
        """What :meth:`objective` takes of each row of members, ``(rows, ...)``; nothing."""
        return None

    @property
    def unmoved(self) -> Collection[str]:
        """Names of parameters that no step is to move, so that they do not decay either: none.

        Those that no loss depends on, which torch does not move, are found without a word; here are
        those whose loss is left out of the objective by a factor of 0.
        """
        return ()

    def objective(self, loss: MemberLoss, tensors: Tensors, taught: Tensor | None) -> Minimised:
        """Return what a step of one row of members minimises: its loss on its rows, by default.

        It is called within ``torch.vmap``, and may call the loss several times, on parts of the
        rows and with other tensors; gradients by ``torch.func.grad`` are differentiated through.

        Args:
            loss: Of the member, with its part of the batch.
            tensors: Its tensors by name.
            taught: Its row of :attr:`taught`.
        """
        return loss(tensors)

    def before_step(self, members: Members) -> None:
        """Change members or their gradients ``members.flat.grad``, which the step then follows."""

    @property
    def resting(self) -> Tensor | None:
        """Which rows of members take no step now, ``(rows,)`` bool, after :meth:`before_step`.

        They stay as they are, and so does all that the optimiser remembers of them; by default none
        does.
        """
        return None

    def after_step(self, members: Members) -> None:
        """Change members after a step of the optimiser."""

    def after_pass(self, members: Members, train: TrainRows) -> None:
        """Change members after a pass over the train rows; a GPU may be waited for here."""

    def scored(
        self, members: Members, which: Sequence[int], train: TrainRows, weights: Tensor | None
    ) -> Members:
        """Return what is scored, and served, of members: themselves, by default.

        Args:
            members: As they train, or with their best weights; they are not to be changed.
            which: Their indices among those with which the learner began: some may have left.
            train: From which what is scored may still learn.
            weights: By what targets' losses are minimised, ``(rows, targets)``; ``None``: by the
                targets' own weights.
        """
        return members

    def facts(self, members: Members) -> dict[str, Tensor]:
        """Return numbers ``(members,)`` for the record, by names of ``diagnostics``.

        They are asked of those that train, and of all members with their best weights.
        """
        return {}

    def beside(self, members: Members) -> dict[str, Members]:
        """Return others of as many copies whose loss is recorded too, by names of the same."""
        return {}

    def keep(self, index: Tensor) -> None:
        """Go on with some of the members only: those at an index ``(members,)``."""
        for name in self.remembered:
            setattr(self, name, getattr(self, name)[index])

    def state(self, member: int) -> dict[str, Tensor]:
        """Return a copy of what is remembered of one member, by name."""
        return {name: getattr(self, name)[member].clone() for name in self.remembered}

    def load(self, member: int, state: Mapping[str, Tensor]) -> None:
        """Put what :meth:`state` returned into a member."""
        for name in self.remembered:
            getattr(self, name)[member] = state[name]


ROW_ORDERS = ("own", "shared")


def order_faults(rows: str) -> dict[str, str]:
    """Return whether the value of an option ``rows`` is none of the orders, as a fault of it."""
    if rows in ROW_ORDERS:
        return {}
    return {"rows": f"unknown order {shown(rows)}; {near_misses(str(rows), ROW_ORDERS)}"}


learners: Registry[Learner] = Registry("learner", made_alike=True)


def register_learner(name: str) -> Callable[[LearnerClass], LearnerClass]:
    """Return a class decorator that enters a :class:`Learner` under ``name``."""
    return learners.register(name, Learner)
