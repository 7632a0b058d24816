"""Gates whose state, draws, gradients or stacking are each wrong in one way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatelab.gates.gate import Routing
from tests.broken_gates import Sound


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


class Branching(Sound):
    """Goes by the value of a tensor."""

    def forward(self, x: Tensor) -> Routing:
        logits = self.logits(x)
        if logits.sum() > 1e9:
            logits = logits + 1
        weights = logits.softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Doubling(Sound):
    """Goes on in another type than its kernel has."""

    def logits(self, x: Tensor) -> Tensor:
        return self.scale * (x.double() @ self.kernel)


class Writing(Sound):
    """Puts its weights into a tensor that it has made for them."""

    def forward(self, x: Tensor) -> Routing:
        weights = x.new_zeros(len(x), self.num_experts)
        weights[:, :] = self.logits(x).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Dropping(Sound):
    """Has a chance that a layer keeps."""

    def __init__(
        self, in_features: int, num_experts: int, *, scale: float = 1.0, chance: float = 0.25
    ) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.dropout = nn.Dropout(chance)

    def logits(self, x: Tensor) -> Tensor:
        return super().logits(self.dropout(x))


class Sampling(Sound):
    """Draws for its loss alone, and in training alone: nothing is wrong with it."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        drawn = torch.rand_like(weights) if self.training else 0.5
        return Routing(weights, (weights.square() * drawn).sum(-1).mean())


class Shuffling(Sound):
    """Draws for its loss in evaluation too."""

    def forward(self, x: Tensor) -> Routing:
        weights = self.logits(x).softmax(-1)
        return Routing(weights, (weights.square() * torch.rand_like(weights)).sum(-1).mean())
