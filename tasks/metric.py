"""The contract of a metric: a score of one target's outputs, and whether more of it is better."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, TypeVar, get_args

import torch
from torch import Tensor

from gatelab.foreign import is_ours
from gatelab.registry import Registry, check_made_without
from gatelab.rules import check_name, shown
from gatelab.tasks.target import Kind, Target

M = TypeVar("M", bound="type[Metric]")
TARGETS_LOSS = "loss"
"""Is recorded beside the metrics, of every target."""
TARGETS_UNWEIGHTED = "unweighted_loss"
"""Is recorded beside the loss of a target that is weighted, by rows or classes."""


class Metric:
    """A score of a target's outputs.

    The first line of a subclass's docstring says what it is; the report prints it.
    """

    kinds: ClassVar[Collection[Kind]]
    """The kinds of target that it fits."""
    higher_is_better: ClassVar[bool]
    min_rows: ClassVar[int] = 1
    """With fewer known rows than this it is NaN, and not computed."""
    takes_columns: ClassVar[bool] = False
    """Whether :meth:`compute` is given a target of several columns whole, ``(rows, width)``. If
    not, it is given one column after the other, and the score is the mean of those defined."""

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the score ``()``, NaN where it is not defined.

        A metric that can be of weighted rows has one argument more, ``weights=None``.

        Args:
            outputs: Logits or values, ``(rows, out_features)``.
            target: Class indices, 0/1 or values, ``(rows,)``, of any dtype; of several columns
                ``(rows, width)`` where :attr:`takes_columns` says so.
        """
        raise NotImplementedError

    def score(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> float:
        """Return what :meth:`compute` gives; NaN of too few rows.

        Args:
            outputs: As there.
            target: As there.
            weights: What each row weighs, above 0, ``(rows,)``; ``None``: all the same.

        Raises:
            ValueError: If rows are weighted, and the metric takes no weights.
        """
        if len(target) < self.min_rows:
            return math.nan
        if weights is not None and not self.takes_weights():
            raise ValueError(f"{type(self).__name__}.compute has no argument `weights`.")
        found = self._computed(outputs, target, weights)
        try:
            return float(found)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"`compute` must return one number, but gives {_form(found)}"
            ) from error

    def _computed(self, outputs: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        """Return the score of all rows, of several columns as :attr:`takes_columns` says."""
        given = {"outputs": outputs, "target": target}
        if weights is not None:
            given["weights"] = weights.double()
        if target.dim() == 1 or self.takes_columns:
            return self._of_ones_own(given)
        pairs = zip(outputs.split(1, 1), target.unbind(1), strict=True)
        columns = [{**given, "outputs": one, "target": other} for one, other in pairs]
        each = [torch.as_tensor(self._of_ones_own(c), dtype=torch.float64) for c in columns]
        return torch.stack(each).nanmean()

    def _of_ones_own(self, given: Mapping[str, Tensor]) -> Tensor:
        """Return what :meth:`compute` gives.

        One of others' begins anew and is given copies: what it keeps, or writes where it reads,
        would be in the next score.
        """
        metric: Any = self
        if not is_ours(type(self)):
            metric, given = type(self)(), {name: each.clone() for name, each in given.items()}
        more = {"weights": given["weights"]} if "weights" in given else {}
        found: Tensor = metric.compute(given["outputs"], given["target"], **more)
        return found

    def scores(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> list[float]:
        """Return what :meth:`score` gives of each of several members' outputs.

        On a GPU, where each small operation waits to be launched, they are computed at once if
        :meth:`compute` can be vmapped over them; else each on the CPU.

        Args:
            outputs: ``(members, rows, out_features)``
            target: As there.
            weights: As there.
        """
        if target.device.type == "cpu":
            return [self.score(each, target, weights) for each in outputs]
        if len(target) >= self.min_rows:
            with suppress(Exception):  # whatever a stranger's metric raises
                return self._scores_at_once(outputs, target, weights)
        rows, weighed = target.cpu(), None if weights is None else weights.cpu()
        return [self.score(each.cpu(), rows, weighed) for each in outputs]

    def _scores_at_once(
        self, outputs: Tensor, target: Tensor, weights: Tensor | None
    ) -> list[float]:
        found = torch.vmap(lambda each: self._computed(each, target, weights))(outputs)
        return [float(score) for score in found.tolist()]

    @classmethod
    def takes_weights(cls) -> bool:
        """Return whether the metric can be of weighted rows."""
        return "weights" in inspect.signature(cls.compute).parameters

    @classmethod
    def meaning(cls) -> str:
        """Return what the metric is, in one line."""
        return (inspect.getdoc(cls) or "").partition("\n")[0].rstrip(".")


def _form(found: object) -> str:
    """Return what stands where a number is due: the shape of a tensor, or the value."""
    if isinstance(found, Tensor):
        return f"a tensor of shape {tuple(found.shape)}"
    return shown(found)


metrics: Registry[Metric] = Registry("metric")


def register_metric(name: str) -> Callable[[M], M]:
    """Return a class decorator that enters a :class:`Metric` under ``name``, as it is recorded.

    Raises:
        ValueError: If the name is taken or cannot be recorded, or the class does not say all.
    """

    def enter(cls: M) -> M:
        check_name("metric", name)
        if name.casefold() in (TARGETS_LOSS, TARGETS_UNWEIGHTED):
            raise ValueError(f"no metric is called {name!r}, as what is minimised is.")
        if inspect.isclass(cls) and issubclass(cls, Metric):
            _check_declared(name, cls)
        return metrics.register(name, Metric)(cls)

    return enter


def _check_declared(name: str, cls: type[Metric]) -> None:
    kinds, valid = getattr(cls, "kinds", ()), get_args(Kind)
    if isinstance(kinds, str) or not kinds or not set(kinds) <= set(valid):
        raise ValueError(f"metric {name!r}: `kinds` must be some of {valid}, but got {kinds!r}.")
    direction = getattr(cls, "higher_is_better", None)
    if not isinstance(direction, bool):
        raise ValueError(
            f"metric {name!r}: `higher_is_better` must be True or False, but got {direction!r}."
        )
    check_made_without("metric", name, cls)
    if not cls.__dict__.get("__doc__"):
        raise ValueError(f"metric {name!r} must say in its docstring what it is.")


_DEFAULTS: Mapping[Kind, tuple[str, ...]] = {
    "regression": ("rmse", "r2"),
    "binary": ("accuracy", "auroc"),
    "multiclass": ("accuracy",),
}


def default_metrics(kind: Kind) -> tuple[str, ...]:
    """Return the names of the metrics that are recorded where a spec chooses none."""
    return _DEFAULTS[kind]


def metrics_of(target: Target, chosen: Sequence[str] | None) -> dict[str, Metric]:
    """Return which of the chosen metrics fit a target, by the names that are recorded.

    Args:
        target: The target.
        chosen: Names, or ``"package.module:name"``; ``None``: its kind's own.
    """
    keys = default_metrics(target.kind) if chosen is None else chosen
    found = {key.rpartition(":")[2]: metrics.get(key) for key in keys}
    return {name: cls() for name, cls in found.items() if target.kind in cls.kinds}
