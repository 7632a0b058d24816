"""What trains, if one model after another, passes the checks of a task; what does not is said."""

from __future__ import annotations

from collections.abc import Callable

import broken_tasks as broken
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, rnn

from gatelab.tasks.check import run_checks
from gatelab.tasks.check.raised import cause_of
from tests import odd_layers

SIZE = broken.FEATURES


class Squashed(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight.tanh()


def squashed() -> nn.Module:
    layer = nn.Linear(SIZE, SIZE)
    parametrize.register_parametrization(layer, "weight", Squashed())
    return layer


class Packed(nn.Module):
    """Reads as many numbers of a row as are above 0, at least one."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.GRU(1, SIZE, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x > 0).sum(1).clamp_min(1).cpu()
        packed = rnn.pack_padded_sequence(x[..., None], lengths, True, enforce_sorted=False)
        return self.cells(packed)[1][-1]  # type: ignore[no-any-return]


def within(layer: type[nn.Module]) -> Callable[[], nn.Module]:
    wide, narrow = (SIZE, odd_layers.WIDTH), (odd_layers.WIDTH, SIZE)
    return lambda: nn.Sequential(nn.Linear(*wide), layer(), nn.Linear(*narrow))


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "weight_norm": lambda: parametrizations.weight_norm(nn.Linear(SIZE, SIZE)),
    "spectral_norm": lambda: parametrizations.spectral_norm(nn.Linear(SIZE, SIZE)),
    "older spectral_norm": lambda: torch.nn.utils.spectral_norm(nn.Linear(SIZE, SIZE)),
    "parametrized": squashed,
    "packed": Packed,
    "GRU": within(odd_layers.Recurrent),
    "LSTM": within(odd_layers.Memory),
    "masked": within(odd_layers.Masked),
    "a function of one's own": within(odd_layers.Own),
    "a checkpoint without parameters": within(odd_layers.Checkpointed),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("part", ["bottom", "expert"])
def test_what_trains_passes_every_check(part: str, layer: str) -> None:
    class Own(broken.Sound):
        """Has an odd network."""

        def bottom(self) -> nn.Module:
            return LAYERS[layer]() if part == "bottom" else super().bottom()

        def expert(self, width: int) -> nn.Module:
            more = [LAYERS[layer]()] if part == "expert" else []
            return nn.Sequential(*more, super().expert(width))

        def tower(self, width: int, target: broken.Target) -> nn.Module:
            if part != "expert":
                return super().tower(width, target)
            return parametrizations.weight_norm(nn.Linear(width, target.out_features))

    found = {outcome.check: outcome.reason for outcome in run_checks(Own) if not outcome.ok}
    assert found.keys() == {"pickles"}, found  # which is for it being a local class


class Bytes(broken.Sound):
    """Has bytes as inputs, which no layer scales."""

    def made(self, name: broken.SplitName, generator: torch.Generator) -> broken.Split:
        split = super().made(name, generator)
        return split._replace(inputs=(split.inputs * 9).abs().to(torch.uint8))

    def bottom(self) -> nn.Module:
        return nn.Linear(SIZE, SIZE)


class Halved(broken.Sound):
    """Learns in half precision."""

    def bottom(self) -> nn.Module:
        return nn.Linear(SIZE, SIZE).half()


class Lazy(broken.Sound):
    """Leaves a size to torch."""

    def bottom(self) -> nn.Module:
        return nn.LazyLinear(SIZE)


class Inferred(broken.Sound):
    """Computes its features as if nothing was ever learnt."""

    def bottom(self) -> nn.Module:
        return Inference()


class Inference(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            return x * 2


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Bytes, "Byte and Float for 1 rows; likely cause: two types of numbers"),
        (Halved, "all that a model learns is torch.float32, but 'weight' of the bottom is torch.f"),
        (Lazy, "the bottom has a lazy layer, whose size nobody knows before a pass; likely cause"),
        (Inferred, "likely cause: torch.inference_mode() in forward: torch.no_grad() computes the"),
    ],
)
def test_the_cause_that_is_told_is_the_true_one(cls: type[broken.Sound], said: str) -> None:
    found = {outcome.check: outcome.reason for outcome in run_checks(cls) if not outcome.ok}
    assert said in found["network_fits"]
    if cls in (Halved, Lazy):
        assert {*found.values()} == {found["network_fits"]}, "one fault, said alike by every check"


def raised_by(layer: nn.Module, x: Tensor) -> str:
    try:
        layer(x)
    except Exception as error:
        return cause_of(error).partition(":")[0]
    raise AssertionError("it works")


class Fourth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, 0]


@pytest.mark.parametrize(
    ("layer", "x", "cause"),
    [
        (nn.Conv1d(1, 1, 1), torch.zeros(2, 1, 3, dtype=torch.uint8), "two types of numbers"),
        (nn.Linear(3, 3), torch.zeros(2, 3, dtype=torch.int64), "two types of numbers"),
        (nn.LayerNorm(3), torch.zeros(2, 3, dtype=torch.int32), "two types of numbers"),
        (nn.Linear(3, 3), torch.zeros(2, 3).half(), "two types of numbers"),
        (nn.Conv1d(1, 1, 1).double(), torch.zeros(2, 1, 3), "two types of numbers"),
        (nn.Embedding(3, 3), torch.zeros(2, 3), "floats where ids are due"),
        (nn.Embedding(3, 3), torch.full((2,), 3), "an id that is not below the size"),
        (nn.Flatten(2), torch.zeros(2, 4), "a dimension that its input lacks"),
        (Fourth(), torch.zeros(2, 4), "a dimension that its input lacks"),
        (nn.Linear(3, 3), torch.zeros(2, 4), "sizes that do not fit"),
        (nn.BatchNorm1d(3), torch.zeros(1, 3), "sizes that do not fit those before it, or a stat"),
        (nn.ModuleDict(), torch.zeros(1, 3), "a mistake in its own code"),
    ],
    ids=str,
)
def test_causes_of_what_torch_says(layer: nn.Module, x: Tensor, cause: str) -> None:
    assert raised_by(layer, x).startswith(cause)
