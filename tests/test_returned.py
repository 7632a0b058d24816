"""What a gate may return, of its forward and its update: else one line before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from gatelab.gates import SoftmaxGate
from gatelab.gates.auxiliary import AuxiliaryLosses
from gatelab.gates.gate import Gate, Routing
from gatelab.gates.mixture import Mixture
from gatelab.sweeps.cli import main
from gatelab.training.train import Training
from tests.in_process import modules_of
from tests.test_rehearsal import RECIPE, Odd, member


class Counting(SoftmaxGate):
    """Returns what it is told to, of its update and its forward."""

    mean: Tensor
    after: dict[str, Any] = {"mean": torch.ones(3)}

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.register_buffer("mean", torch.zeros(num_experts))

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        return dict(self.after)


class Unknown(Counting):
    after = {"meen": torch.ones(3)}


class Learnt(Counting):
    after = {"logits.linear.weight": torch.ones(3, 8)}


class Scalar(Counting):
    after = {"mean": torch.ones(())}


class Pair(SoftmaxGate):
    def forward(self, x: Tensor) -> Routing:
        return (super().forward(x).weights, torch.zeros(()))  # type: ignore[return-value]


class Number(SoftmaxGate):
    def forward(self, x: Tensor) -> Routing:
        return super().forward(x)._replace(aux_loss=0.0)  # type: ignore[arg-type]


class ByExpert(SoftmaxGate):
    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(aux_loss=routing.weights.mean(0))


RULES = [
    (Unknown, "Unknown.update must return the next values of buffers, but 'meen' is none; "),
    (Learnt, "but 'logits.linear.weight' is none; valid: mean."),
    (Scalar, "Scalar.update must return values of their buffers' shape, but 'mean' is (3"),
    (Pair, "Pair.forward must return `Routing(weights, aux_loss)`, but returns a tuple."),
    (Number, "Number: aux_loss must be a tensor, such as `weights.new_zeros(())` for no"),
    (ByExpert, "ByExpert: aux_loss must be one number, a mean over the batch, of shape ()"),
]


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
@pytest.mark.parametrize(("gate", "said"), RULES)
def test_what_breaks_a_rule_is_one_line_before_training(
    gate: type[Gate], said: str, seeds: list[int]
) -> None:
    with pytest.raises(ValueError, match=gate.__name__) as caught:
        Training(Odd(), gate, [member(seed) for seed in seeds], RECIPE)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("gate", "said"), RULES[3:])
def test_within_auxiliary_losses_the_authors_class_is_named(gate: type[Gate], said: str) -> None:
    with pytest.raises(ValueError, match=gate.__name__) as caught:
        AuxiliaryLosses(gate(4, 3))(torch.zeros(2, 4))
    assert said in str(caught.value)


def test_a_buffer_of_its_shape_is_taken() -> None:
    mixture = Mixture([Counting(4, 3), Counting(4, 3)], [torch.nn.Linear(4, 2) for _ in range(3)])
    _, routing = mixture(torch.zeros(5, 4), torch.zeros(5, 4))
    after = mixture.next_buffers(routing, torch.tensor(0.5))
    assert {name: tensor.tolist() for name, tensor in after.items()} == {
        "gates.each.mean": [[1.0] * 3] * 2
    }


SPEC = """
name: c
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 3}
gates: ['mine:GATE']
baselines: false
training: {max_epochs: 1, batch_size: 8}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 2}
"""
MODULE = '''
import numpy as np
import torch
from gatelab.gates import SoftmaxGate, register_gate


class Own(SoftmaxGate):
    """Has a buffer."""

    def __init__(self, in_features, num_experts):
        super().__init__(in_features, num_experts)
        self.register_buffer("mean", torch.zeros(num_experts))
        self.generator = torch.Generator().manual_seed(0)
        self.kept = {"mean": torch.zeros(num_experts)}

    def forward(self, x):
        routing = super().forward(x)
        return routing._replace(weights=(self.odd(routing.weights) + 1e-6).softmax(-1))

    def odd(self, weights):
        return weights


@register_gate("misnamed")
class Misnamed(Own):
    """Returns the next value of no buffer."""

    def update(self, routing, progress):
        return {"meen": self.mean}


@register_gate("restless")
class Restless(Own):
    """Is as random in evaluation as in training."""

    def odd(self, weights):
        return weights + torch.randn_like(weights)


@register_gate("seeded")
class Seeded(Own):
    """Has a generator of its own."""

    def odd(self, weights):
        if not self.training:
            return weights
        return weights + torch.randn(weights.shape, generator=self.generator)


@register_gate("numpys")
class Numpys(Own):
    """Draws by NumPy."""

    def odd(self, weights):
        drawn = torch.as_tensor(np.random.default_rng().random(weights.shape)).to(weights)
        return weights + drawn if self.training else weights


@register_gate("hoarding")
class Hoarding(Own):
    """Keeps tensors where nobody saves them."""

    def odd(self, weights):
        self.kept["mean"] = 0.9 * self.kept["mean"] + 0.1 * weights.detach().mean(0)
        return weights - self.kept["mean"]


@register_gate("noisy")
class Noisy(Own):
    """Draws as it should."""

    def odd(self, weights):
        return weights + torch.randn_like(weights) if self.training else weights


@register_gate("in_place")
class InPlace(Own):
    """Changes a buffer in place, which stays."""

    def odd(self, weights):
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * weights.detach().mean(0))
        return weights - self.mean
'''


@pytest.mark.parametrize("command", ["validate", "launch"])
@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (
            "misnamed",
            "gates.misnamed: cannot be trained: Misnamed.update must return the next values",
        ),
        ("restless", "gates.restless: in evaluation a gate must give the same rows the same wei"),
        ("seeded", "gates.seeded: a gate's weights must follow from its tensors and torch's seed"),
        ("numpys", "gates.numpys: a gate's weights must follow from its tensors and torch's seed"),
        ("hoarding", "gates.hoarding: in evaluation a gate must give the same rows the same wei"),
    ],
)
def test_validate_and_launch_refuse_what_is_wrong_for_sure(
    gate: str, said: str, command: str, tmp_path: Path
) -> None:
    code, message = tried(command, gate, tmp_path)
    assert (code, message.count("\n")) == (2, 1) and said in message, message


@pytest.mark.parametrize("gate", ["noisy", "in_place"])
def test_what_is_random_or_kept_as_it_should_is_valid(gate: str, tmp_path: Path) -> None:
    assert tried("validate", gate, tmp_path)[0] == 0


def tried(command: str, gate: str, folder: Path) -> tuple[int, str]:
    (folder / "mine.py").write_text(MODULE)
    (folder / "c.yaml").write_text(SPEC.replace("GATE", gate))
    with modules_of(folder):
        result = CliRunner().invoke(main, [command, "c.yaml"])
    return result.exit_code, result.stderr
