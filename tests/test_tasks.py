"""The bundled tasks: the same data anywhere, no image in two splits, a truth that holds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatelab.tasks import DigitsPairs, SplitName, SyntheticGroups, Task, split_seeds
from gatelab.tasks.digits_pairs import overlay
from gatelab.tasks.layers import Dropout
from tests.scaled import Scaled

ROOT = Path(__file__).parent.parent
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
SMALL: dict[str, Any] = {"train_rows": 50, "val_rows": 20, "test_rows": 20}
DIGITS = "eec42ec93977adb9387f7e8f8b396a03440b7fa020d628e8cfbf089d629c6ef6"
"""The digest of ``digits_pairs`` with these rows and seed 3."""


def digest(task: Task) -> str:
    state = hashlib.sha256()
    for name in SPLITS:
        inputs, targets, *_ = task.split(name)
        state.update(inputs.numpy().tobytes())
        state.update(targets.numpy().tobytes())
    return state.hexdigest()


def digests(seed: int) -> list[str]:
    return [digest(task(**SMALL, seed=seed)) for task in (DigitsPairs, SyntheticGroups)]


def test_same_options_and_seed_give_the_same_data_in_any_process() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); from test_tasks import digests;"
        "print(*digests(seed=3))"
    )
    ours = digests(seed=3)
    for hash_seed in ("0", "77"):
        other = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert other.stdout.split() == ours
    assert not {*digests(seed=4)} & {*ours}


def test_no_digit_is_in_two_splits_and_none_is_left_out() -> None:
    task = DigitsPairs(**SMALL)
    sources = [set(task.sources(name).tolist()) for name in SPLITS]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 1797
    assert len(sources[0]) > 3 * len(sources[1])


def test_another_split_seed_divides_the_same_images_anew() -> None:
    task, anew = DigitsPairs(**SMALL), DigitsPairs(**SMALL, split_seed=1)
    for name in SPLITS:
        before, after = (set(it.sources(name).tolist()) for it in (task, anew))
        assert len(before) == len(after)
        assert len(before & after) < 0.8 * len(before)
    assert set.union(*(set(anew.sources(n).tolist()) for n in SPLITS)) == set(range(1797))


def test_another_split_seed_draws_new_rows_of_the_same_teachers() -> None:
    x = np.random.default_rng(0).normal(size=(20, 16))
    signals = SyntheticGroups(regimes=2).signals(x)
    assert np.array_equal(SyntheticGroups(regimes=2, split_seed=1).signals(x), signals)
    assert not np.allclose(SyntheticGroups(regimes=2, seed=1).signals(x), signals)
    rows = [SyntheticGroups(**SMALL, split_seed=s).split("test").inputs for s in (0, 1)]
    assert not set(rows[0].flatten().tolist()) & set(rows[1].flatten().tolist())


def test_the_first_split_seed_gives_the_data_of_before_there_were_any() -> None:
    """Computed before; of the teachers, which BLAS has a part in, within rounding."""
    digits = DigitsPairs(**SMALL, seed=3, split_seed=0)
    assert digest(digits) == DIGITS
    inputs, targets, *_ = SyntheticGroups(**SMALL, seed=3, split_seed=0).split("test")
    assert inputs[0, :3].tolist() == [-1.7215889692306519, 0.5336101055145264, -0.9121463298797607]
    assert targets[0, :3].tolist() == pytest.approx([1.6930449, 0.8441567, 1.7016599], abs=1e-5)


def test_what_of_the_data_is_divided_tells_how_alike_divisions_are() -> None:
    """Of 1797 images 4/6 and 1/6 of each class; of rows where a task says nothing else."""
    ratio = DigitsPairs(test_rows=9000).test_to_train()
    assert ratio == pytest.approx(1 / 4, abs=0.01), "however many pairs are drawn"
    assert SyntheticGroups(**SMALL).test_to_train() == 0, "new rows each time"

    class Table(SyntheticGroups):
        draws_anew = False

    assert Table(**SMALL).test_to_train() == 20 / 50


def test_which_tasks_can_be_divided_anew() -> None:
    assert split_seeds(DigitsPairs(**SMALL)) and split_seeds(SyntheticGroups(**SMALL))
    assert not split_seeds(Scaled())
    fixed = DigitsPairs(**SMALL)
    fixed.fixed_split = True
    assert not split_seeds(fixed)
    assert (DigitsPairs.draws_anew, SyntheticGroups.draws_anew) == (False, True)


def test_pairs_are_made_from_their_splits_own_sources() -> None:
    """The top left corner shows the left digit alone, so its source can be found again."""
    from sklearn.datasets import load_digits

    images = torch.from_numpy(load_digits().images.astype(np.uint8))
    labels = torch.from_numpy(load_digits().target)
    task = DigitsPairs(**SMALL)
    for name in SPLITS:
        corners = images[task.sources(name)][:, :2].flatten(1)
        inputs, targets, *_ = task.split(name)
        for picture, target in zip(inputs, targets, strict=True):
            same = (corners == picture[:2, :8].flatten()).all(1)
            assert same.any()
            assert target[0] in labels[task.sources(name)][same]


def test_overlay_by_hand() -> None:
    left, right = torch.zeros(1, 8, 8, dtype=torch.uint8), torch.zeros(1, 8, 8, dtype=torch.uint8)
    left[0, 0, 0], left[0, 7, 7], right[0, 0, 0], right[0, 5, 5] = 1, 2, 4, 8
    pair = overlay(left, right)[0]
    assert pair.shape == (10, 10)
    assert pair.nonzero().tolist() == [[0, 0], [2, 2], [7, 7]]
    assert (pair[0, 0], pair[2, 2], pair[7, 7]) == (1, 4, 2 + 8)


def test_splits_are_made_when_asked_for() -> None:
    for task in (DigitsPairs(**SMALL), SyntheticGroups(**SMALL)):
        assert task.data("train") is task.data("train")
        assert list(vars(task)["_made"]) == ["train"]


def test_planted_correlations() -> None:
    task = SyntheticGroups(
        num_targets=6, num_groups=2, noise=0.5, correlation=0.8, train_rows=20000
    )
    found = np.corrcoef(task.split("train").targets.numpy().T)
    groups = np.array(task.truth.groups)
    inside = groups[:, None] == groups[None]
    off = ~np.eye(6, dtype=bool)
    assert found[inside & off] == pytest.approx(0.8 / 1.25, abs=0.03)
    assert found[~inside] == pytest.approx(0, abs=0.04)
    assert task.split("train").targets.var(0).numpy() == pytest.approx(1.25, abs=0.08)


def test_truth() -> None:
    truth = SyntheticGroups(num_targets=5, num_groups=2, experts_per_group=3).truth
    assert truth.groups == (0, 0, 0, 1, 1)
    assert truth.experts[0] == {0, 1, 2}
    assert truth.experts[4] == {3, 4, 5}


def test_most_targets() -> None:
    task = SyntheticGroups(num_targets=128, num_groups=8, in_features=32, **SMALL)
    targets = task.split("train").targets
    assert targets.shape == (50, 128)
    assert torch.isfinite(targets).all()


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (DigitsPairs, {"train_rows": 0}),
        (DigitsPairs, {"seed": -1}),
        (DigitsPairs, {"split_seed": -1}),
        (SyntheticGroups, {"split_seed": -1}),
        (SyntheticGroups, {"num_targets": 1}),
        (SyntheticGroups, {"num_targets": 129}),
        (SyntheticGroups, {"num_groups": 9}),
        (SyntheticGroups, {"correlation": 1.5}),
        (SyntheticGroups, {"noise": -0.1}),
        (SyntheticGroups, {"experts_per_group": 0}),
    ],
)
def test_options_out_of_range(task: type[Task], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"\b{next(iter(options))}"):
        task(**options)


@pytest.mark.parametrize("task", [DigitsPairs(**SMALL), SyntheticGroups(**SMALL)])
def test_network_shapes(task: Task) -> None:
    network = task.network()
    features = network.bottom()(task.split("train").inputs)
    assert network.gate_input()(features).shape == (50, network.gate_features)
    hidden = network.expert()(features)
    for target in task.targets:
        assert network.tower(target)(hidden).shape == (50, target.out_features)


def test_dropout_keeps_its_share_and_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(400, 500)
    dropped = Dropout(0.3)(x)
    assert (dropped > 0).float().mean().item() == pytest.approx(0.7, abs=0.005)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7], rel=1e-4)
    assert torch.equal(Dropout(0.3).eval()(x), x)


def test_dropout_under_vmap_draws_for_each() -> None:
    masks = torch.vmap(Dropout(0.5), randomness="different")(torch.ones(3, 1000))
    assert not torch.equal(masks[0], masks[1])
    assert (masks > 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_dropout_range(p: float) -> None:
    with pytest.raises(ValueError, match="0 <= p < 1"):
        Dropout(p)
