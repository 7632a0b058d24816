"""A package of a user's own task, which passes every check and trains as it is written."""

from __future__ import annotations

from pathlib import Path
from string import Template

from gatelab.sweeps.cli.new_package import write_package
from gatelab.tasks.task import tasks

_TASK = Template('''"""The task $name."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatelab.tasks import Network, Split, SplitName, Target, Task, register_task

FEATURES = 8
ENDS = {"train": (0.0, 0.7), "val": (0.7, 0.85), "test": (0.85, 1.0)}


@register_task("$name")
class ${cls}(Task):
    """Learns an amount and an answer from eight numbers; some answers are not known.

    Say here what a row is, and what its numbers mean.
    """

    source = "Made by `read` below; say here where your data are from."
    licence = "None is needed for numbers that are made; say here that of your data."
    targets = (
        Target("amount", "regression"),
        Target("answer", "binary", classes=("no", "yes")),
    )

    def __init__(self, *, rows: int = 4000, seed: int = 0, split_seed: int = 0) -> None:
        """Set what a spec may say of the task, each with a default.

        Args:
            rows: How many are made, at least 20.
            seed: Of what is made.
            split_seed: Another one divides the same rows anew.

        Raises:
            ValueError: If an option is outside its range.
        """
        if rows < 20:
            raise ValueError(f"`rows >= 20` must hold, but got ({rows=}).")
        self.rows, self.seed, self.split_seed = rows, seed, split_seed

    def read(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs ``(rows, 8)``, targets ``(rows, 2)``, and where a target is known.

        Read your own data here, as tensors or arrays of NumPy; `torch.from_numpy` and
        `numpy.load` will do. What is not known may be any number, such as 0.
        """
        draw = torch.Generator().manual_seed(self.seed)
        inputs = torch.randn(self.rows, FEATURES, generator=draw)
        amount = inputs[:, :4].square().mean(1) + 0.1 * torch.randn(self.rows, generator=draw)
        answer = inputs[:, 4] * inputs[:, 5] > 0
        known = torch.ones(self.rows, 2, dtype=torch.bool)
        known[:, 1] = torch.rand(self.rows, generator=draw) < 0.8
        return inputs, torch.stack([amount - 1, answer.float()], 1), known

    def split(self, name: SplitName) -> Split:
        """Return the rows of one split; each row is in one of the three."""
        inputs, targets, known = self.read()
        order = torch.randperm(
            len(inputs), generator=torch.Generator().manual_seed(self.split_seed)
        )
        first, last = (round(end * len(inputs)) for end in ENDS[name])
        rows = order[first:last]
        return Split(inputs[rows], targets[rows], known[rows])

    def network(self, *, width: int = 32, dropout: float = 0.0) -> Network:
        """Return the networks around the mixture; a spec may fix or search these arguments.

        Args:
            width: The number of an expert's units, at least 1.
            dropout: The share of them that is dropped in training, in [0, 1).
        """

        def expert() -> nn.Module:
            return nn.Sequential(nn.Linear(FEATURES, width), nn.ReLU(), nn.Dropout(dropout))

        def tower(target: Target) -> nn.Module:
            return nn.Linear(width, target.out_features)

        return Network(
            bottom=nn.Identity,  # from a split's inputs to what every expert reads
            gate_input=nn.Identity,  # from that to what the gates read,
            gate_features=FEATURES,  # so many numbers a row
            expert=expert,
            tower=tower,
        )
''')

_TEST = Template('''"""The conformance suite of tasks, one case a check."""

from gatelab.tasks.check import check_task

test_$name = check_task("$name:$name", rows=400)
''')

_SPEC = Template("""# Which gate serves $name best? Every value can be changed: docs/specs.md.
name: $name
task:
  name: "$name:$name" # $name alone, once `pip install .` has entered it
  rows: 4000 # or any other option of the task
gates: [dselect_k, top_k, softmax] # `gatelab list gates`; baselines are added by themselves
model:
  num_experts: 8
  width: [16, 32] # an argument of the task's `network`: here searched, or one value
optimizer:
  learning_rate: {low: 1e-3, high: 1e-2, log: true}
training:
  batch_size: 128
  max_epochs: 20
search:
  trials: 8 # of each gate; 20 and more for an answer to rely on
evaluation:
  seeds: 5
""")

_README = Template("""# $name

A task for gatelab. It is in `$name.py`; `test_$name.py` checks it, and `$name.yaml` compares gates
on it.

    gatelab launch $name.yaml        # search, fresh seeds, and a table of the gates
    gatelab check task $name:$name   # a line a check, with the likely cause of each failure
    gatelab show task $name:$name    # its targets, splits and options
    python -m pytest                 # the checks again, a case each
    pip install .                    # enters it as `$name` for every sweep

To make it yours, change `read`, then `targets` and what the class says of itself, then `network`.
gatelab's docs/tasks.md has the whole contract, with other networks and metrics.
""")


def write_task(name: str, where: Path) -> Path:
    """Write the package into a new folder of its name: the task, its test, a spec, a README.

    Args:
        name: The task's, its module's and its package's name.
        where: The folder that gets the new one.

    Raises:
        ValueError: If the name cannot be all that, or is taken.
    """
    files = {f"{name}.py": _TASK, f"test_{name}.py": _TEST, f"{name}.yaml": _SPEC}
    return write_package(tasks, name, where, {**files, "README.md": _README})
