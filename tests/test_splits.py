"""Splits: forms of data that are taken, and labels that are none are refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from gatelab.tasks import Split, SplitName, SyntheticGroups, Target
from gatelab.tasks.check.data import check_data
from gatelab.tasks.metric import metrics_of
from gatelab.tasks.tensors import as_tensors

INPUTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([[0.0], [1], [0], [1], [1], [0]])
ONE = (Target("a", "binary"),)
READ_ONLY = INPUTS.numpy().copy()
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    "inputs",
    [
        *(INPUTS.double(), INPUTS.numpy(), INPUTS.double().numpy(), READ_ONLY),
        *(INPUTS.numpy().astype(">f4"), INPUTS.numpy().astype(np.longdouble)),
        *(INPUTS.clone().requires_grad_(), np.asfortranarray(INPUTS.numpy())),
    ],
)
def test_real_inputs_become_float32(inputs: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, _, mask, _ = as_tensors("train", Split(inputs, LABELS), ONE)
    assert (found.dtype, mask, found.requires_grad) == (torch.float32, None, False)
    torch.testing.assert_close(found, INPUTS)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_])
def test_bytes_and_indices_stay_what_they_are(dtype: Any) -> None:
    found, *_ = as_tensors("train", (np.ones((6, 3), dtype), LABELS), ONE)
    assert found.numpy().dtype == dtype


def test_wide_unsigned_numbers_become_int64() -> None:
    found, *_ = as_tensors("train", (np.full((6, 3), 40000, np.uint16), LABELS), ONE)
    assert found.dtype == torch.int64 and (found == 40000).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.bool])
def test_a_mask_may_hold_0_and_1(dtype: torch.dtype) -> None:
    _, _, mask, _ = as_tensors("val", (INPUTS, LABELS, LABELS.to(dtype)), ONE)
    assert mask is not None and torch.equal(mask, LABELS == 1)


def masked(values: Any, *hidden: tuple[int, int]) -> Any:
    made = np.ma.masked_array(np.asarray(values, np.float64), mask=False)
    for place in hidden:
        made[place] = np.ma.masked
    return made


def test_what_a_masked_array_of_targets_masks_is_not_known() -> None:
    """A target of two columns is known where both are, and a mask beside it holds too."""
    targets = (Target("a", "regression"), Target("v", "regression", width=2))
    values = masked(np.full((6, 3), 7.0), (0, 0), (1, 2), (2, 1), (2, 2))
    own = torch.ones(6, 2)
    own[5, 1] = 0
    _, found, mask, _ = as_tensors("train", (INPUTS, values, own), targets)
    assert mask is not None and mask.int().tolist() == [
        *([0, 1], [1, 0], [1, 0]),
        *([1, 1], [1, 1], [1, 0]),
    ]
    assert found[0].tolist() == [0, 7, 7], "nothing is left of what was masked"
    assert as_tensors("train", (INPUTS, masked(LABELS)), ONE)[2] is None


@pytest.mark.parametrize(
    ("what", "place"), [("inputs", 0), ("mask", 2), ("weights", 3)], ids=lambda it: str(it)
)
def test_nothing_else_may_be_masked(what: str, place: int) -> None:
    made = [INPUTS, LABELS, torch.ones(6, 1), torch.ones(6)]
    made[place] = masked(np.ones(made[place].shape))
    as_tensors("val", tuple(made), ONE)
    made[place][1] = np.ma.masked
    with pytest.raises(ValueError, match=f"val {what} must be numbers throughout, but . of "):
        as_tensors("val", tuple(made), ONE)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "train must be a Split, but is a NoneType."),
        ((INPUTS,), "train must be a Split, but is a tuple."),
        ({"inputs": INPUTS}, "train must be a Split, but is a dict."),
        (Split({"x": INPUTS}, LABELS), "train inputs must be one dense tensor .* is a dict."),  # type: ignore[arg-type]
        (Split([[1.0]], LABELS), "train inputs must be .* is a list."),  # type: ignore[arg-type]
        (Split(INPUTS, np.array([["a"]])), "train targets must be .* ndarray of <U1."),  # type: ignore[arg-type]
        (Split(INPUTS, np.array([[None]])), "train targets must be .* ndarray of object."),  # type: ignore[arg-type]
        (Split(INPUTS.to_sparse(), LABELS), "train inputs must be one dense tensor"),
        (Split(INPUTS + 1j, LABELS), "train inputs must be .* of torch.complex64."),
        (Split(INPUTS, LABELS, LABELS * 2), "mask must hold true and false, .* but holds 2."),
        (Split(INPUTS, LABELS, LABELS * torch.nan), "but holds nan."),
    ],
)
def test_what_is_no_split(made: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        as_tensors("train", made, ONE)


class Labelled(SyntheticGroups):
    """A task whose second target has the labels that it is told."""

    def __init__(self, target: Target, labels: torch.Tensor, mask: torch.Tensor | None) -> None:
        super().__init__(num_targets=2, train_rows=20, val_rows=20, test_rows=20)
        self.targets = (Target("a", "regression"), target)
        self.labels, self.mask = labels, mask

    def split(self, name: SplitName) -> Split:
        inputs, targets, *_ = super().split(name)
        column = self.labels.repeat(20)[:20]
        mask = None
        if self.mask is not None:
            mask = torch.stack([torch.ones(20), self.mask.repeat(20)[:20]], 1)
        return Split(inputs, torch.stack([targets[:, 0].to(column.dtype), column], 1), mask)


BINARY, THREE = Target("b", "binary"), Target("b", "multiclass", 3)
NAN = torch.nan


@pytest.mark.parametrize(
    ("target", "labels", "said"),
    [
        (BINARY, [0.9, 0.1], "0.9, not one of the 2 classes 0 to 1; likely cause: soft labels"),
        (BINARY, [0, 1.5], "holds 1.5, not one"),
        (BINARY, [1, 2], "holds 2, not one of the 2 classes 0 to 1; likely cause: classes counted"),
        (BINARY, [-1, 1], "holds -1, not one"),
        (BINARY, [0, 1 + 1e-6], "holds 1, not one .* soft labels"),
        (THREE, [1.5, 1.7], "holds 1.5, not one of the 3 classes 0 to 2"),
        (THREE, [0, 1, 2, 3], "holds 3, not one"),
        (THREE, [0, 1, -1], "holds -1, not one"),
        (THREE, [0, 1, 1e30], r"holds 1e\+30, not one"),
        (BINARY, [0, 1, NAN], "hold NaN or inf"),
        (THREE, [0, 1, torch.inf], "hold NaN or inf"),
    ],
)
def test_labels_that_are_no_classes(target: Target, labels: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_data(Labelled(target, torch.tensor(labels), None))
    known = torch.tensor([label == labels[0] for label in labels])
    if labels[0] in (0, 1):  # the others are marked as unknown
        check_data(Labelled(target, torch.tensor(labels), known))


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        (BINARY, torch.tensor([True, False])),
        (BINARY, torch.tensor([1, 0], dtype=torch.uint8)),
        (BINARY, torch.tensor([1.0, 0.0], dtype=torch.float64)),
        (THREE, torch.tensor([2, 0, 1], dtype=torch.int8)),
        (THREE, torch.tensor([2.0, 0.0, 1.0])),
        (THREE, torch.tensor([True, False])),
        (Target("b", "regression"), torch.tensor([True, False])),
        (Target("b", "regression"), torch.tensor([7, 3], dtype=torch.uint8)),
    ],
)
def test_labels_of_any_type_score_alike(target: Target, labels: torch.Tensor) -> None:
    check_data(Labelled(target, labels, None))
    values = labels.double()
    outputs = values.unsqueeze(1) - 0.5
    if target.kind == "multiclass":
        outputs = torch.nn.functional.one_hot(labels.long(), 3).double()
    for metric in metrics_of(target, None).values():
        assert metric.score(outputs, labels) == metric.score(outputs, values)
