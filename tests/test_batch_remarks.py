"""A gate of one's own that looks at a batch to weigh a row is remarked on, and no other."""

from __future__ import annotations

from pathlib import Path

from gatelab.sweeps.spec.batch_remarks import FOLLOWS_FROM_ROWS
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.remarks import told_remarks
from tests.in_process import modules_of

MODULE = '''
from gatelab import Routing, register_gate
from gatelab.gates import SoftmaxGate


@register_gate("alone")
class Alone(SoftmaxGate):
    """Looks at each row by itself; its loss at all."""

    def forward(self, x):
        routing = super().forward(x)
        return routing._replace(aux_loss=routing.weights.mean(0).square().sum())


@register_gate("choosing")
class Choosing(SoftmaxGate):
    """Lets each expert take half of the rows."""

    def forward(self, x):
        weights = super().forward(x).weights
        chosen = weights >= weights.quantile(0.5, 0)
        return Routing(weights * chosen, weights.new_zeros(()))


@register_gate("in_training")
class InTraining(Choosing):
    """Does so in training alone."""

    def forward(self, x):
        return super().forward(x) if self.training else SoftmaxGate.forward(self, x)


@register_gate("raising_alone")
class Raising(SoftmaxGate):
    """Looks where nothing is."""

    def forward(self, x):
        return self.nothing
'''


def test_a_gate_whose_rows_hang_together_is_remarked_on(tmp_path: Path) -> None:
    """Expert choice and capacities do so: their scores are of these rows together."""
    (tmp_path / "mine.py").write_text(MODULE)
    names = ("alone", "choosing", "in_training", "raising_alone")
    rows = {"train_rows": 640, "val_rows": 32, "test_rows": 32}
    with modules_of(tmp_path):
        spec = parse_spec(
            {
                "name": "s",
                "task": {"name": "synthetic_groups", "num_targets": 2, **rows},
                "model": {"num_experts": 4},
                "training": {"batch_size": 32},
                "gates": ["softmax", "bias_balanced_top_k", *(f"mine:{name}" for name in names)],
            }
        )
        assert told_remarks(spec, make_task(spec)) == [f"gate 'choosing': {FOLLOWS_FROM_ROWS}."]
