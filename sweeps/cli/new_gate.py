"""A package of a user's own gate, which passes every check before a line is changed."""

from __future__ import annotations

from pathlib import Path
from string import Template

from gatelab.gates.gate import gates
from gatelab.sweeps.cli.new_package import write_package

GATE = Template('''"""The gate $name."""

from __future__ import annotations

from optuna.distributions import FloatDistribution
from torch import Tensor

from gatelab.gates import Gate, Logits, Routing, check_positive, register_gate


@register_gate("$name")
class ${cls}(Gate):
    """Weighs experts by a softmax of linear logits, sharper at a lower temperature.

    Source: where the gate is from, with its equation.
    """

    search_space = {"temperature": FloatDistribution(0.1, 10.0, log=True)}
    temperature: Tensor

    def __init__(self, in_features: int, num_experts: int, *, temperature: float = 1.0) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            temperature: What logits are divided by, above 0.
        """
        super().__init__(in_features, num_experts)
        check_positive(temperature=temperature)
        self.register_hyperparameters(temperature=temperature)
        self.logits = Logits(in_features, num_experts, static=False, bias=True)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``, for one target."""
        logits = self.logits(x) / self.temperature
        weights = logits.softmax(-1)
        return Routing(weights, weights.new_zeros(()), logits=(logits,))
''')

TEST = Template('''"""The conformance suite of gates, one case a check."""

from gatelab.gates.check import check_gate

test_$name = check_gate("$name:$name")
''')

README = Template("""# $name

A gate for gatelab. It is in `$name.py`; `test_$name.py` checks it.

    gatelab check gate $name:$name   # a line a check, with the likely cause of each failure
    python -m pytest                 # the same, a case a check
    pip install .                    # enters it as `$name` for every sweep

In a spec it is `gates: [$name]`, or without an install, from this folder, `gates: ["$name:$name"]`.
""")


def write_gate(name: str, where: Path) -> Path:
    """Write the package into a new folder of its name.

    Args:
        name: The gate's, its module's and its package's name.
        where: The folder that gets the new one.

    Raises:
        ValueError: If the name cannot be all that, or is taken.
    """
    files = {f"{name}.py": GATE, f"test_{name}.py": TEST, "README.md": README}
    return write_package(gates, name, where, files)
