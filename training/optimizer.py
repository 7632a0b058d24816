"""Adam and AdamW for many members at once, each with its own learning rate and weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from gatelab.training.members import Members

OptimizerName = Literal["adam", "adamw"]


class MemberAdam:
    """One optimiser step for all members' rows.

    The direction that Adam takes does not depend on the parameters, so torch's own fused Adam runs
    at rate 1 on one stand-in that starts each step at zero, and the members' learning rates scale
    what it becomes. Source: Kingma and Ba, Adam, ICLR 2015, algorithm 1; Loshchilov and Hutter,
    Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2.
    """

    def __init__(
        self,
        members: Members,
        *,
        name: OptimizerName,
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
    ) -> None:
        """Make the optimiser.

        Args:
            members: Whose parameters are stepped.
            name: ``adam``, which adds the weight decay to the gradient, or ``adamw``, which
                shrinks the weights.
            learning_rates: One a member, above 0.
            weight_decays: One a member, 0 or more; embedding tables with sparse gradients are
                exempt, since decay would touch every row.
        """
        self.members = members
        self.decoupled = name == "adamw"
        self.learning_rates = _column(learning_rates, members.flat)
        self.weight_decays = _column(weight_decays, members.flat)
        self.decays = any(weight_decays)
        self._start()

    def _start(self) -> None:
        """Make torch's optimisers for the members that there are, without a past."""
        self.stand_in = torch.zeros_like(self.members.flat, requires_grad=True)
        self.dense = torch.optim.Adam([self.stand_in], lr=1.0, fused=True)
        rates = self.learning_rates.flatten().tolist()
        groups = [
            {"params": list(tables.values()), "lr": rate}
            for tables, rate in zip(self.members.tables, rates, strict=True)
            if tables
        ]
        self.sparse = torch.optim.SparseAdam(groups) if groups else None

    @torch.no_grad()
    def step(self) -> None:
        """Move every member along its gradients, and clear them."""
        flat = self.members.flat
        gradient = flat.grad
        assert gradient is not None
        if self.decays:
            self._decay(flat, gradient)
        self.stand_in.grad = gradient
        self.dense.step()
        flat.addcmul_(self.stand_in, self.learning_rates)
        self.stand_in.zero_()
        flat.grad = None
        if self.sparse is not None:
            self.sparse.step()
            self.sparse.zero_grad()

    def _decay(self, flat: Tensor, gradient: Tensor) -> None:
        if self.decoupled:
            flat.mul_(1 - self.learning_rates * self.weight_decays)
        else:
            gradient.addcmul_(flat, self.weight_decays)

    def keep(self, members: Sequence[int]) -> None:
        """Go on with some of the members only, after they have been kept themselves."""
        state = self.state_dict()
        index = torch.tensor(members, device=self.stand_in.device)
        self.learning_rates = self.learning_rates[index]
        self.weight_decays = self.weight_decays[index]
        self._start()
        for entry in state["dense"]["state"].values():
            entry.update({name: entry[name][index] for name in ("exp_avg", "exp_avg_sq")})
        if self.sparse is not None:
            state["sparse"] = _keep_groups(state["sparse"], members)
        self.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """Return the state: tensors and numbers only."""
        sparse = None if self.sparse is None else self.sparse.state_dict()
        return {"dense": self.dense.state_dict(), "sparse": sparse}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.dense.load_state_dict(state["dense"])
        if self.sparse is not None:
            self.sparse.load_state_dict(state["sparse"])


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)


def _keep_groups(state: dict[str, Any], members: Sequence[int]) -> dict[str, Any]:
    """Return a SparseAdam's state for some of its groups, numbered anew."""
    groups = [dict(state["param_groups"][member]) for member in members]
    entries: dict[int, Any] = {}
    for group in groups:
        old = group["params"]
        group["params"] = list(range(len(entries), len(entries) + len(old)))
        entries.update(
            {new: state["state"].get(key) for new, key in zip(group["params"], old, strict=True)}
        )
    kept = {key: entry for key, entry in entries.items() if entry is not None}
    return {"state": kept, "param_groups": groups}
