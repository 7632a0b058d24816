"""EM: a mixture of linear experts is fitted in closed form, on all train rows at each epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from gatelab.gates.auxiliary import AUXILIARY_WEIGHTS
from gatelab.gates.gate import Gate
from gatelab.registry import near_misses
from gatelab.rules import shown
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network
from gatelab.training.em import (
    cooling,
    kmeans_start,
    likeliest,
    maximise,
    random_start,
    responsibilities,
)
from gatelab.training.em_experts import LinearExperts
from gatelab.training.learners.learner import (
    LEARNER_MODULE,
    Learner,
    LearnerOption,
    register_learner,
)
from gatelab.training.learners.linear_mixture import (
    FittedRows,
    keep_mixture,
    kept_of,
    put,
    rows_to_fit,
    why_no_linear_mixture,
)
from gatelab.training.learners.shared import Shared
from gatelab.training.members import Members
from gatelab.training.train_rows import TrainRows

START_KINDS = ("random", "kmeans")
COOLED, SETTLED = 8, 5
"""Steps of EM of a start: above temperature 1, and then at it, before the starts are compared."""


@register_learner("em")
class Em(Learner):
    """Expectation-maximisation of linear experts with a softmax gate, a step on all rows an epoch.

    Source: Jordan and Jacobs, Hierarchical Mixtures of Experts and the EM Algorithm, Neural
    Computation 6, 1994, of one level, with ridges: p(y|x) = sum_k g_k(x) N(y; B_k x, s_k^2 I). E:
    r_k ~ g_k(x) N(y; B_k x, s_k^2). M: B_k = (X'R_kX + ridge I)^-1 X'R_kY, s_k^2 the mean of
    r_k |y - B_k x|^2, with the ridge's part, over columns, and Newton's steps on sum_k r_k log g_k
    less gate_ridge / 2 |V|^2 for g = softmax(V x). The first epoch makes several starts, each
    cooled from a temperature that divides the logarithms of E (Ueda and Nakano, Deterministic
    annealing EM, 1998), and goes on with the likeliest (Biernacki, Celeux and Govaert, 2003).
    """

    descends = False
    given = (
        "one model of linear experts, fitted by EM in closed form on all train rows at each epoch, "
        "from the likeliest of several starts, without an optimiser"
    )
    hyperparameters = MappingProxyType(
        {
            "ridge": LearnerOption(
                1.0, "above 0: what squares of an expert's weights count, a bias's too"
            ),
            "gate_ridge": LearnerOption(0.1, "above 0: what squares of the gate's weights count"),
            "restarts": LearnerOption(4, "at least 1: starts, of which the likeliest is taken"),
            "start": LearnerOption(
                "random",
                "random: rows belong to experts by random numbers; kmeans: by clusters of what the "
                "gate reads",
            ),
            "temperature": LearnerOption(
                None,
                "at least 1: where a start's cooling begins; None: the number of the target's "
                "columns, and with kmeans 1",
            ),
        }
    )
    diagnostics = MappingProxyType(
        {
            "log_likelihood": "Logarithm of the train rows' likelihood, less the ridges' penalty: "
            "no epoch lowers it"
        }
    )

    def __init__(self, options: Sequence[Mapping[str, Any]], shared: Shared) -> None:
        """Take each member's options and key."""
        super().__init__(options, shared)
        self._own = list(zip(options, shared.keys.tolist(), strict=True))

    @classmethod
    def faults(cls, options: Mapping[str, Any], num_targets: int) -> dict[str, str]:
        """Return which values are out of their ranges."""
        ridges = {name: options[name] for name in ("ridge", "gate_ridge")}
        found = {
            name: f"`0 < {name} < inf` must hold, but got ({name}={value})."
            for name, value in ridges.items()
            if not 0 < value < math.inf
        }
        if not (restarts := options["restarts"]) >= 1:
            found["restarts"] = f"`restarts >= 1` must hold, but got ({restarts=})."
        if (start := options["start"]) not in START_KINDS:
            found["start"] = f"unknown start {shown(start)}; {near_misses(str(start), START_KINDS)}"
        return found | _temperature_faults(options["temperature"])

    @classmethod
    def gate_faults(cls, gate: Mapping[str, Any]) -> dict[str, str]:
        """Return which auxiliary losses a gate was given: a likelihood has none."""
        return {
            name: f"`{name} = 0` must hold with `em`, which minimises no auxiliary loss, but got "
            f"({name}={gate[name]})."
            for name in AUXILIARY_WEIGHTS
            if gate.get(name)
        }

    @classmethod
    def misfit(cls, network: Network, targets: Sequence[Target], gate: Gate) -> str:
        """Return why models of such parts are no mixture of linear experts."""
        why = why_no_linear_mixture(network, targets, gate)
        return f"`em` fits linear experts alone: {why}; use `joint` in its place" if why else ""

    @classmethod
    def furnish(cls, model: nn.Module) -> None:
        """Give a model what is kept of the mixture in float64, with its variances."""
        keep_mixture(model)

    @torch.no_grad()
    def after_pass(self, members: Members, train: TrainRows) -> None:
        """Take a step of EM of each member; of one that has not begun, those of its starts."""
        rows = rows_to_fit(train)
        for row, (options, key) in enumerate(self._own):
            put(members, row, _stepped(rows, kept_of(members, row), options, key))

    def facts(self, members: Members) -> dict[str, Tensor]:
        """Return how likely the train rows are."""
        return {"log_likelihood": members.buffers[f"{LEARNER_MODULE}.log_likelihood"]}

    def keep(self, index: Tensor) -> None:
        """Go on with some of the members only: those at an index ``(members,)``."""
        self._own = [self._own[member] for member in index.tolist()]


def _stepped(
    rows: FittedRows, kept: Mapping[str, Tensor], options: Mapping[str, Any], key: int
) -> LinearExperts:
    """Return a mixture a step of EM later, or where it has not begun, that of its starts."""
    maps, variances, gate = (kept[name] for name in ("maps", "variances", "gate"))
    if kept["log_likelihood"] == -torch.inf:
        return _begun(rows, len(maps), options, key)
    last = LinearExperts(*rows, maps, variances, gate, options["ridge"], options["gate_ridge"])
    return last.refit(responsibilities(last.joint()))


def _begun(rows: FittedRows, experts: int, options: Mapping[str, Any], key: int) -> LinearExperts:
    """Return the likeliest of several starts."""
    drawn = torch.Generator().manual_seed(key)
    hottest = _hottest(options, rows.values.shape[1])
    starts = (_start(rows, experts, options, drawn) for _ in range(options["restarts"]))
    return likeliest(maximise(it, SETTLED, cooling(hottest, COOLED))[0] for it in starts)


def _start(
    rows: FittedRows, experts: int, options: Mapping[str, Any], drawn: torch.Generator
) -> LinearExperts:
    if options["start"] == "kmeans":
        answers = kmeans_start(rows.read, experts, drawn)
    else:
        answers = random_start(len(rows.inputs), experts, drawn).to(rows.inputs.device)
    return LinearExperts.start(
        rows.inputs,
        rows.values,
        answers,
        ridge=options["ridge"],
        gate_ridge=options["gate_ridge"],
        read=rows.read,
        counts=rows.counts,
    )


def _hottest(options: Mapping[str, Any], columns: int) -> float:
    given = options["temperature"]
    if given is not None:
        return float(given)
    return 1.0 if options["start"] == "kmeans" else float(columns)


def _temperature_faults(temperature: object) -> dict[str, str]:
    """Return whether a temperature is none; that it is not given is."""
    match temperature:
        case None:
            return {}
        case bool():
            pass
        case int() | float() if 1 <= temperature < math.inf:
            return {}
    return {
        "temperature": "`1 <= temperature < inf` must hold where it is given, but got "
        f"(temperature={shown(temperature)})."
    }
