"""The gate of customized gate control: experts of a target's own beside shared ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatelab.gates.gate import Gate, Routing, register_gate
from gatelab.gates.logits import Logits, for_each_row
from gatelab.nn.short_rows import softmax


@register_gate("cgc")
class CGCGate(Gate):
    """Weighs a target's own experts and the shared ones by one softmax of linear logits.

    Source: Tang et al., Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL)
    Model for Personalized Recommendations, RecSys 2020, section 4.1: g_t(x) = w_t(x) S_t(x),
    w_t(x) = softmax(W_t x), where S_t stacks the outputs of target t's own experts and of the
    shared ones. Of p private experts a target, target t has those from t p to t p + p - 1; what
    no target has is shared. The other targets' have weight 0.
    """

    diagnostics = {
        "shared_weight": "weight of the shared experts together: 0 where targets use their own",
    }
    reads: Tensor

    def __init__(
        self, in_features: int, num_experts: int, *, private: int = 1, static: bool = False
    ) -> None:
        """Make the gate, which reads all experts until it is placed.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts, those of all targets and the shared ones together.
            private: Number of experts that each target has for itself; with 0 all are shared,
                which is the softmax gate.
            static: Weigh every example alike.

        Raises:
            ValueError: If ``private`` is no whole number, or negative.
        """
        super().__init__(in_features, num_experts)
        if not isinstance(private, int) or private < 0:
            raise ValueError(f"`private >= 0` must hold, a whole number, but got ({private=}).")
        self.private = private
        self.logits = Logits(in_features, num_experts, static=static, bias=False)
        self.register_buffer("reads", torch.arange(num_experts))

    def place(self, target: int, num_targets: int) -> None:
        """Take the experts of the target's own and those that no target has, with their logits.

        Raises:
            ValueError: If the targets' own experts are more than there are.
        """
        private, num_experts, taken = self.private, self.num_experts, self.private * num_targets
        if taken > num_experts:
            raise ValueError(
                "`num_targets * private <= num_experts` must hold, but got "
                f"({num_targets=}, {private=}, {num_experts=}): `model.num_experts` has to be "
                f"{taken} or more, or `private` less."
            )
        own = torch.arange(private) + target * private
        self.reads = torch.cat([own, torch.arange(taken, num_experts)])
        self.k = len(self.reads)
        for name, drawn in list(self.logits.named_parameters()):
            setattr(self.logits, name, nn.Parameter(drawn.detach()[..., self.reads]))

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = self.logits(x)
        read = softmax(logits)
        nothing = logits.new_zeros(logits.shape[0], self.num_experts)
        weights = nothing.scatter(-1, self.reads.expand(logits.shape[0], -1), read)
        diagnostics = {} if self.training else self._diagnose(read)
        return Routing(for_each_row(weights, x), weights.new_zeros(()), diagnostics, (logits,))

    def _diagnose(self, read: Tensor) -> dict[str, Tensor]:
        """Return the weight of the shared experts, which are read after the target's own."""
        return {"shared_weight": read[:, self.private :].sum(-1).mean()}
