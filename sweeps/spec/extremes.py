"""What a spec describes at the ends of its ranges, made to see that it can be."""

from __future__ import annotations

from functools import partial

import torch

from gatelab.foreign import foreign
from gatelab.gates.gate import Gate
from gatelab.sweeps.spec.faults import blamed, raise_faults
from gatelab.sweeps.spec.learner_spec import LearnerSpec, learner_faults, learner_row_faults
from gatelab.sweeps.spec.space import configuration, space
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.sweeps.spec.steps import step_faults
from gatelab.tasks.task import Network, Task
from gatelab.training.configuration import Configuration
from gatelab.training.model import target_gate

MOST_EXPERTS = 10_000
"""More are a slip of the pen, and would fill the memory of whoever makes them to look."""


def check_values(spec: Spec, task: Task, label: str, gate: type[Gate]) -> None:
    """Construct what a gate's extremes describe: the rules of values live in constructors.

    Raises:
        SpecError: With every value that cannot work.
    """
    found = space(spec, label, task)
    faults: dict[str, str] = {}
    for sampled in found.meetings():
        chosen = configuration(found, sampled)
        for check in (
            partial(_check_steps, chosen),
            partial(_check_learner, chosen, task, label, spec.gates[label].learner),
            partial(_check_made, chosen, task, label, gate, spec.gates[label].learner),
        ):
            try:
                check()
            except SpecError as error:
                for path, why in error.faults:
                    faults.setdefault(path, why)  # that of the first extreme
    raise_faults(faults.items())


def _check_steps(chosen: Configuration) -> None:
    raise_faults(step_faults(chosen))


def _check_learner(chosen: Configuration, task: Task, label: str, said: LearnerSpec) -> None:
    with blamed(f"gates.{label}.learner", chosen.learner_options), foreign():
        found = learner_faults(said, chosen.learner_options, len(task.targets))
        beside = said.cls.gate_faults(chosen.gate)
    raise_faults((f"gates.{label}.learner.{name}", why) for name, why in found.items())
    raise_faults((f"gates.{label}.{name}", why) for name, why in beside.items())


def check_learner_rows(spec: Spec, task: Task) -> None:
    """Check that train has the rows that options of gates' learners need.

    Raises:
        SpecError: With every value that needs more.
    """
    rows = len(task.data("train").inputs)
    faults: dict[str, str] = {}
    for label, gate in spec.gates.items():
        path = f"gates.{label}.learner"
        for chosen in space(spec, label, task).at_extremes():
            with blamed(path, chosen.learner_options), foreign():
                found = learner_row_faults(gate.learner, chosen.learner_options, rows)
            for name, why in found.items():
                faults.setdefault(f"{path}.{name}", why)  # that of the first extreme
    raise_faults(faults.items())


def _check_made(
    chosen: Configuration, task: Task, label: str, gate: type[Gate], said: LearnerSpec
) -> None:
    options, num_experts = chosen.network, chosen.num_experts
    if not 1 <= num_experts <= MOST_EXPERTS:
        raise SpecError(
            "",
            "model.num_experts",
            f"`1 <= num_experts <= {MOST_EXPERTS}` must hold, but got ({num_experts=}).",
        )
    with blamed("model", options), foreign():
        experts = gate.num_experts_for(num_experts, len(task.targets))
        network = task.network(**options)
    if not isinstance(network, Network):
        raise SpecError("", "model", f"`network` must give a Network, but gives {network!r:.100}.")
    width = network.gate_features
    if not (isinstance(width, int) and width >= 1):
        raise SpecError(
            "", "model", f"`gate_features >= 1` must hold, a whole number, but got {width!r:.100}."
        )
    if num_experts < (kinds := len(network.other_experts) + 1):
        raise SpecError(
            "",
            "model.num_experts",
            f"`num_experts >= {kinds}` must hold, one of each kind, but got ({num_experts=}).",
        )
    sizes = (network.gate_width(experts), experts)
    with blamed(f"gates.{label}", chosen.gate), foreign(), torch.random.fork_rng([]):
        made = target_gate(task, len(task.targets) - 1, gate, sizes, chosen.gate)
    place = f"gates.{label}.learner"
    with blamed(place, chosen.learner_options), foreign(), torch.random.fork_rng([]):
        why = said.cls.misfit(network, task.targets, made)
    if why:
        raise SpecError("", place, f"{why}.")
