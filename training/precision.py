"""The precision of a training's products: float32, or the shorter numbers of tensor cores.

Weights, gradients, losses and the optimiser's state are float32 throughout, and so is every score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.hooks import RemovableHandle

from gatelab.gates.sequence_draws import within
from gatelab.tasks.dot_products import dot_products
from gatelab.tasks.products import matrix_product

Precision = Literal["float32", "tf32", "bf16"]
PRODUCTS = frozenset(
    (
        *(functional.linear, functional.scaled_dot_product_attention, functional.bilinear),
        *(functional.conv1d, functional.conv2d, functional.conv3d),
        *(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d),
        *(torch.matmul, torch.mm, torch.bmm, torch.mv, torch.einsum),
        *(torch.addmm, torch.baddbmm, torch.addbmm, torch.addmv),
        *(Tensor.matmul, Tensor.mm, Tensor.bmm, Tensor.mv),
        *(Tensor.__matmul__, Tensor.__rmatmul__),
        *(matrix_product, dot_products),
    )
)
"""What is computed in bf16: products of matrices, and convolutions."""
NO_TF32 = "precision tf32 is of CUDA alone: on the CPU it is float32"


class ShortProducts(TorchFunctionMode):
    """Rounds what products are of to bf16, and gives what comes of them as float32.

    ``torch.autocast`` does nothing inside of ``torch.vmap``, where members and experts run; this
    mode sees calls before they get there. Gates stay in float32, as small differences of logits
    change what is selected (Fedus et al., Switch Transformers, JMLR 2022, section 2.4).
    """

    def __init__(self, model: nn.Module, exact: nn.Module) -> None:
        """Take a model, outside of whose forward nothing is rounded, and a part left alone."""
        super().__init__()
        self.model, self.exact, self.rounds = model, exact, False
        self.hooks: list[RemovableHandle] = []

    def __enter__(self) -> ShortProducts:
        """Begin."""
        for module, inside in ((self.model, True), (self.exact, False)):
            begin, end = partial(self._set, inside), partial(self._set, not inside)
            self.hooks.append(module.register_forward_pre_hook(begin))
            self.hooks.append(module.register_forward_hook(end, always_call=True))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        """End."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        while self.hooks:
            self.hooks.pop().remove()

    def _set(self, rounds: bool, *_: Any) -> None:
        self.rounds = rounds

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch."""
        given = (args, dict(kwargs or {}))
        if self.rounds and function is functional.multi_head_attention_forward:
            return within(function)(self, *given[0], **given[1])
        if not self.rounds or function not in PRODUCTS or not _all_float32(given):
            return function(*given[0], **given[1])
        short, more = tree_map(_to_bf16, given)
        return function(*short, **more).float()


def _all_float32(values: Any) -> bool:
    """Return whether all real numbers among values are float32."""
    tensors = [value for value in tree_leaves(values) if isinstance(value, Tensor)]
    return all(t.dtype == torch.float32 for t in tensors if t.is_floating_point())


def _to_bf16(value: Any) -> Any:
    real = isinstance(value, Tensor) and value.is_floating_point()
    return value.to(torch.bfloat16) if real else value


@contextmanager
def precise(
    precision: Precision, device: torch.device, model: nn.Module, exact: nn.Module
) -> Iterator[None]:
    """Compute in a precision meanwhile.

    Args:
        precision: ``float32`` leaves everything on a CPU as it is. On a GPU torch's own default is
            shorter numbers in convolutions and recurrent layers.
        device: Where is computed.
        model: Whose products are meant; those of losses are float32.
        exact: The part of it that ``bf16`` leaves alone.
    """
    with ExitStack() as modes:
        if device.type == "cuda":
            modes.enter_context(tensor_cores(precision == "tf32"))
        if precision == "bf16":
            modes.enter_context(ShortProducts(model, exact))
        yield


@contextmanager
def tensor_cores(allowed: bool) -> Iterator[None]:
    """Let a GPU compute products of float32 with its tensor cores' shorter numbers, or not."""
    backends: Any = torch.backends
    cuda, cudnn = backends.cuda, backends.cudnn
    parts = (cuda.matmul, cudnn.conv, cudnn.rnn)
    before = [(part, part.fp32_precision) for part in parts]
    older = [*_older_switches()]
    cuda.matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    for part in parts:
        if (part.fp32_precision == "tf32") is not allowed:  # by one of torch's newer switches
            part.fp32_precision = "tf32" if allowed else "ieee"
    try:
        yield
    finally:
        for switch, was in older:
            switch.allow_tf32 = was
        for part, precision in before:
            if part.fp32_precision != precision:
                part.fp32_precision = precision


def _older_switches() -> Iterator[tuple[Any, bool]]:
    """Yield those as they are that can tell: none where somebody has set a newer one."""
    for switch in (torch.backends.cuda.matmul, torch.backends.cudnn):
        with suppress(RuntimeError):
            yield switch, switch.allow_tf32
