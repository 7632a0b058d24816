"""Gates that are each wrong in one way, for the checks that must find it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
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


class Greedy(Sound):
    """Changes its input."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x.mul_(1.5)).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Counting(Sound):
    """Counts its passes in a buffer."""

    count: Tensor

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Routing:
        self.count += 1
        return super().forward(x)


class Taker(Sound):
    """Empties the list that it is given."""

    def __init__(
        self, in_features: int, num_experts: int, *, scale: float = 1.0, sizes: Any = (1,)
    ) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.first = sizes.pop() if isinstance(sizes, list) else sizes[0]


class OwnTrainer(Sound):
    """Takes the gradient of its loss by itself, which is thereby lost."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        loss = weights.square().sum(-1).mean()
        if loss.requires_grad:
            loss.backward(retain_graph=True)
        return Routing(weights, loss.detach())


class Seeder(Sound):
    """Sets torch's seed in training."""

    def forward(self, x: Tensor) -> Routing:
        torch.manual_seed(0)
        return super().forward(x)


class WrongBuffer(Sound):
    """Updates what it does not have."""

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        return {"sclae": self.scale * progress}


class Returnless(Sound):
    """Sets the buffer itself, and returns nothing."""

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        self.scale = self.scale * progress
        return None  # type: ignore[return-value]


class WrongShape(Sound):
    """Updates a buffer by another shape than it has."""

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        return {"scale": routing.weights.detach().mean(0) + progress}


class Cooling(Sound):
    """Follows a schedule over the whole training, and does not say so."""

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        return {"scale": 1 + 0.1 ** progress.to(self.scale)}


class Early(Cooling):
    """Says that its schedule ends before it does."""

    @classmethod
    def schedule_end(cls, hyperparameters: Mapping[str, Any]) -> float:
        return 0.5


class Epochs(Cooling):
    """Says by epochs when its schedule ends."""

    @classmethod
    def schedule_end(cls, hyperparameters: Mapping[str, Any]) -> float:
        return 20


class SinglePrecision(Sound):
    """Makes a float32 tensor whatever it is given."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1).float()
        return Routing(weights, weights.square().sum(-1).mean())


class HiddenState(Sound):
    """Keeps a tensor where no state looks for it."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.register_buffer("order", torch.randperm(num_experts), persistent=False)

    order: Tensor

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)[:, self.order]
        return Routing(weights, weights.square().sum(-1).mean())


class Forgetful(Sound):
    """Leaves its kernel behind when it is pickled."""

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        zeros = nn.Parameter(torch.zeros_like(self.kernel))
        return {**state, "_parameters": {"kernel": zeros}}


class Homebody(Sound):
    """Keeps a tensor on the CPU."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.shift = torch.linspace(0, 1, num_experts)

    def forward(self, x: Tensor) -> Routing:
        weights = (self.logits(x) + self.shift.to(x.dtype)).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Detached(Sound):
    """Has a bias that no gradient reaches."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.bias = nn.Parameter(torch.zeros(num_experts))

    def forward(self, x: Tensor) -> Routing:
        weights = (self.logits(x) + self.bias.detach()).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Contrary(Sound):
    """Turns every gradient round."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        return Routing(2 * weights.detach() - weights, weights.square().sum(-1).mean() * 0)


class Unseeded(Sound):
    """Starts from numbers that no seed gives."""

    started = 0

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        Unseeded.started += 1
        with torch.no_grad():
            self.kernel *= 1 + 1e-3 * Unseeded.started


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


class Placed(Sound):
    """Keeps its target where no stack finds it, and prefers the expert of that number."""

    target = 0

    def place(self, target: int, num_targets: int) -> None:
        self.target = target

    def logits(self, x: Tensor) -> Tensor:
        preferred = torch.arange(self.num_experts, device=x.device) == self.target
        return super().logits(x) + 5.0 * preferred


class Hooked(Sound):
    """Halves the gradient of its logits by a hook, where they say that they have one."""

    def logits(self, x: Tensor) -> Tensor:
        logits = super().logits(x)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: gradient / 2)
        return logits


class PythonNumber(Sound):
    """Keeps a real number that differs between gates as a Python number."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.factor = float(self.kernel[0, 0].detach() > 0) + 1.0
        self.register_buffer("kept", torch.tensor(self.factor))

    def forward(self, x: Tensor) -> Routing:
        factor = self.factor if self.kernel.dim() == 2 else 1.0
        weights = (factor * self.logits(x)).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Shortcut(Sound):
    """Brings a faster way for stacked gates, which forgets the scale."""

    def forward_stacked(self, x: Tensor) -> Routing:
        weights = (x @ self.kernel).square().softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean(-1))


class Foreign(Sound):
    """Draws its noise from numpy: from no seed of torch's, and once for all that is stacked."""

    def forward(self, x: Tensor) -> Routing:
        logits = self.logits(x)
        if self.training:
            noise = np.random.default_rng().standard_normal(x.shape[:1] + (self.num_experts,))
            logits = logits + torch.from_numpy(noise).to(logits)
        weights = logits.softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Waiting(Sound):
    """Brings numbers from the host in each step."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        numbers = x.new_tensor([0.1, 0.2])
        return routing._replace(aux_loss=routing.aux_loss * (1 + 0 * numbers.sum()))


class Poisson(Sound):
    """Draws by a function that knows no keys."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        if self.training:
            noisy = weights * torch.poisson(torch.ones_like(weights))
            weights = (noisy + 1e-3) / (noisy + 1e-3).sum(-1, keepdim=True)
        return Routing(weights, weights.square().sum(-1).mean())


class Asking(Sound):
    """Reads a number of its weights in each step."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(aux_loss=routing.aux_loss * (1 + 0 * routing.weights.sum().item()))


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


class Branching(Sound):
    """Goes by the value of a tensor."""

    def forward(self, x: Tensor) -> Routing:
        logits = self.logits(x)
        if logits.sum() > 1e9:
            logits = logits + 1
        weights = logits.softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


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


class Doubling(Sound):
    """Goes on in another type than its kernel has."""

    def logits(self, x: Tensor) -> Tensor:
        return self.scale * (x.double() @ self.kernel)
