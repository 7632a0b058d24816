"""A package of a user's own learner, which passes every check before a line is changed."""

from __future__ import annotations

from pathlib import Path
from string import Template

from gatelab.sweeps.cli.new_package import write_package
from gatelab.training.learners import learners

_LEARNER = Template('''"""The learner $name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gatelab import Learner, register_learner
from gatelab.training.learners import LearnerOption, Shared
from gatelab.training.members import Members


@register_learner("$name")
class ${cls}(Learner):
    """Gives each target a model of its own, and pulls what they share to its mean.

    Source: where the learner is from, with its equation.
    """

    agents = True  # a copy of the model for each target, which learns from its loss alone
    given = "a model for each target, whose bottom and experts are pulled to their mean"
    hyperparameters = {"pull": LearnerOption(0.1, "in [0, 1]: the share of the way to the mean")}
    diagnostics = {"distance": "Sum over copies of the squared distance to their mean"}
    remembered = ("matrices",)

    def __init__(self, options: Sequence[Mapping[str, Any]], shared: Shared) -> None:
        """Make of each member's pull how its copies are averaged."""
        super().__init__(options, shared)
        pull = shared.of_members([own["pull"] for own in options])[:, None, None]
        self.matrices = (1 - pull) * torch.eye(shared.copies).to(pull) + pull / shared.copies

    @classmethod
    def faults(cls, options: Mapping[str, Any], num_targets: int) -> dict[str, str]:
        """Return what is wrong with the values of options, by their names."""
        pull = options["pull"]
        if not 0 <= pull <= 1:
            return {"pull": f"`0 <= pull <= 1` must hold, but got ({pull=})."}
        return {}

    def after_step(self, members: Members) -> None:
        """Pull, after each step of the optimiser."""
        self.shared.mix(members, self.matrices)

    def facts(self, members: Members) -> dict[str, Tensor]:
        """Return how far copies are apart."""
        return {"distance": self.shared.spread(members)}
''')

_TEST = Template('''"""The conformance suite of learners, one case a check."""

from gatelab.training.learner_checks import check_learner

test_$name = check_learner("$name:$name")
''')

_README = Template("""# $name

A learner for gatelab. It is in `$name.py`; `test_$name.py` checks it.

    gatelab check learner $name:$name   # a line a check, with the likely cause of each failure
    python -m pytest                    # the same, a case each
    pip install .                       # enters it as `$name` for every sweep

In a spec a gate names it: `gates: {mine: {gate: top_k, learner: $name}}`, or without an install,
from this folder, `learner: "$name:$name"`.
""")


def write_learner(name: str, where: Path) -> Path:
    """Write the package into a new folder of its name.

    Args:
        name: The learner's, its module's and its package's name.
        where: The folder that gets the new one.

    Raises:
        ValueError: If the name cannot be all that, or is taken.
    """
    files = {f"{name}.py": _LEARNER, f"test_{name}.py": _TEST, "README.md": _README}
    return write_package(learners, name, where, files)
