"""Validating: all that can be known of a sweep before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gatelab.sweeps.spec.advice import check_of, checks_of_gates
from gatelab.sweeps.spec.baselines import with_baselines
from gatelab.sweeps.spec.first_pass import check_sweep
from gatelab.sweeps.spec.given import GivenSpec, spec_of
from gatelab.sweeps.spec.given_tables import with_tables_kept
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.rehearsals import rehearse_gates
from gatelab.sweeps.spec.remarks import told_remarks
from gatelab.sweeps.spec.rounds import plan, rounds_of
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.check.warned import warnings_of


@dataclass(frozen=True)
class Validated:
    """What is known of a sweep that can be launched."""

    gates: tuple[str, ...]
    """By their names in the spec, and the baselines."""
    plan: str
    """How every gate is searched and evaluated, in a sentence."""
    said: tuple[str, ...]
    """How the data are read, and how gates train."""
    doubts: tuple[str, ...]
    """Why scores on the task are doubtful."""
    remarks: tuple[str, ...]
    """What the spec says that may not be meant."""
    checks: tuple[str, ...]
    """The commands that look for what no spec is refused for, of a task and gates of one's own."""


def validate(spec: GivenSpec) -> Validated:
    """Check a spec, and its data, without running anything.

    Args:
        spec: As of :func:`gatelab.launch`: a file's path, a mapping, in which a class may stand for
            its key and a table for the task, or a spec.

    Raises:
        SpecError: If something cannot be trained, scored or recorded, or no gate can be trained.
    """
    with TemporaryDirectory() as place, with_tables_kept(spec, Path(place)) as given:
        return _validated(spec_of(given))


def _validated(spec: Spec) -> Validated:
    task = make_task(spec)
    spec = with_baselines(spec, task)
    check_sweep(spec, task)
    notes = rehearse_gates(spec, task, here=not spec.resources.gpus)
    rounds = rounds_of(spec, {label: space(spec, label, task) for label in spec.gates})
    return Validated(
        tuple(spec.gates),
        plan(spec, rounds),
        said=(*task.said, *notes.told),
        doubts=warnings_of(task),
        remarks=tuple(told_remarks(spec, task)),
        checks=(*filter(None, [check_of(spec.task)]), *checks_of_gates(spec)),
    )
