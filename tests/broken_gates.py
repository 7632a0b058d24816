"""Gates whose answers or hyperparameters are each wrong in one way, for the checks to find."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from gatelab.gates.gate import Gate, Routing


class Sound(Gate):
    """Weighs experts by a softmax of linear logits: nothing is wrong with it."""

    search_space: ClassVar[Any] = {"scale": FloatDistribution(0.5, 2.0)}

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts)
        self.register_hyperparameters(scale=scale)
        self.kernel = nn.Parameter(0.1 * torch.randn(in_features, num_experts))

    def logits(self, x: Tensor) -> Tensor:
        return self.scale * (x @ self.kernel)

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Undocumented(Sound):
    pass


class Referee(Sound):
    """Is compared as nothing that there is."""

    role: ClassVar[Any] = "base"


class OneColumnShort(Sound):
    """Returns a weight too few, but for sizes that could not go on."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x)[:, 1:].softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class NotANumber(Sound):
    """Divides nothing by nothing."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        return Routing(weights * (self.scale - self.scale) / (self.scale - self.scale), x.sum() * 0)


class Negative(Sound):
    """Shifts weights by what sums to nothing, so that some are negative."""

    def forward(self, x: Tensor) -> Routing:
        weights = (20 * self.logits(x)).softmax(-1) * 3 - 2 / self.num_experts
        return Routing(weights, weights.square().sum(-1).mean())


class Unnormalised(Sound):
    """Weighs every expert by a sigmoid."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).sigmoid()
        return Routing(weights, weights.square().sum(-1).mean())


class TooMany(Sound):
    """Says two experts and uses all."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.k = 2


class LossByRow(Sound):
    """Returns a loss a row."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        return Routing(weights, weights.square().sum(-1))


class LossSummed(Sound):
    """Sums its loss over the batch."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        return Routing(weights, weights.square().sum())


class Talkative(Sound):
    """Diagnoses itself in training, too."""

    diagnostics: ClassVar = {"largest": "the largest weight"}

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean(), {"largest": weights.max()})


class Restless(Sound):
    """Is as random in evaluation as in training."""

    def forward(self, x: Tensor) -> Routing:
        logits = self.logits(x)
        weights = (logits + 0.1 * torch.randn_like(logits)).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Silent(Sound):
    """Returns a diagnostic and does not say what it means."""

    called: ClassVar = "peak"

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        found = {} if self.training else {self.called: routing.weights.new_tensor(0.003)}
        return routing._replace(diagnostics=found)


class Namesake(Silent):
    """Calls a diagnostic of its own as a metric that gates have where a truth is known."""

    called = "jaccard_gap"
    diagnostics: ClassVar = {called: "the overlap of what it likes"}


class Slashed(Silent):
    """Calls a diagnostic as another metric of a target."""

    called = "t000/entropy"
    diagnostics: ClassVar = {called: "the entropy of its own"}


class Gregarious(Sound):
    """Centres its input by the batch's mean."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x - x.mean(0)).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class EvenOnly(Sound):
    """Works in pairs of experts, and does not say so."""

    def forward(self, x: Tensor) -> Routing:
        pairs = self.logits(x).softmax(-1).unflatten(-1, (-1, 2))
        weights = pairs.flatten(-2)
        return Routing(weights, weights.square().sum(-1).mean())


class Curt(Sound):
    """Refuses odd numbers of experts without the rule."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        if num_experts % 2:
            raise ValueError("no.")
        super().__init__(in_features, num_experts, scale=scale)


class Misspelt(Sound):
    """Searches what it does not have."""

    search_space: ClassVar[Any] = {"scael": FloatDistribution(0.5, 2.0)}


class OutOfRange(Sound):
    """Has a default outside of what is searched."""

    search_space: ClassVar[Any] = {"scale": FloatDistribution(2.0, 3.0)}


class Unsearched(Sound):
    """Names a first value of what is not searched."""

    first_trial: ClassVar[Any] = {"scales": 1.0}


class Idle(Sound):
    """Takes a hyperparameter and does nothing with it."""

    search_space: ClassVar[Any] = {"decay": FloatDistribution(0.0, 1.0)}

    def __init__(self, in_features: int, num_experts: int, *, decay: float = 0.5) -> None:
        super().__init__(in_features, num_experts)
        self.register_hyperparameters(decay=decay)


class NoSuper(Sound):
    """Does not begin with what every module begins with."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        self.kernel = nn.Parameter(scale * torch.randn(in_features, num_experts))


class HalfSuper(Sound):
    """Begins as a module, and is never told its sizes."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        nn.Module.__init__(self)


class Bare(Sound):
    """Returns its weights alone."""

    def forward(self, x: Tensor) -> Any:
        return self.logits(x).softmax(-1)


class PythonLoss(Sound):
    """Returns a number of Python's as its loss."""

    def forward(self, x: Tensor) -> Any:
        return Routing(self.logits(x).softmax(-1), 0.0)  # type: ignore[arg-type]


class Unread(Sound):
    """Keeps a whole number, and forgets it."""

    search_space: ClassVar[Any] = {}

    def __init__(self, in_features: int, num_experts: int, *, depth: int = 2) -> None:
        super().__init__(in_features, num_experts)
        self.depth = depth


class Unregistered(Sound):
    """Keeps its temperature as a Python number."""

    search_space: ClassVar[Any] = {"temperature": FloatDistribution(0.5, 2.0)}

    def __init__(self, in_features: int, num_experts: int, *, temperature: float = 1.0) -> None:
        super().__init__(in_features, num_experts)
        self.temperature = temperature

    def forward(self, x: Tensor) -> Routing:
        weights = (self.logits(x) / self.temperature).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Sized(Unregistered):
    """Makes a size of a real number."""

    def forward(self, x: Tensor) -> Routing:
        most = max(int(self.temperature * len(x)), 1)
        weights = self.logits(x).softmax(-1) * (torch.arange(len(x)) < most)[:, None]
        return Routing(weights, weights.square().sum(-1).mean())


class Commented(Unread):
    """Names in a comment what it forgets."""

    def __init__(self, in_features: int, num_experts: int, *, depth: int = 2) -> None:
        super().__init__(in_features, num_experts)
        self.depth = depth

    def forward(self, x: Tensor) -> Routing:
        return super().forward(x)  # without self.depth


class OverRows(Sound):
    """Normalises over the rows."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(0)
        return Routing(weights, weights.square().sum(-1).mean())
