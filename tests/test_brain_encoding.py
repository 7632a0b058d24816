"""The brain with planted regions: what is in the data, its score, and who finds the regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from gatelab.gates import OracleGate
from gatelab.tasks import BrainEncoding, TwoAgainstTwo
from gatelab.tasks.check import run_checks
from gatelab.tasks.encoding import (
    chance_of,
    matched_share,
    region_recovery,
    spatial_accuracy,
)
from gatelab.training.model import Model
from tests.commands import ROOT
from tests.in_process import gatelab
from tests.launched import read

SMALL: dict[str, Any] = {"words": 24, "voxels": 10, "regions": 4}


def test_the_task_passes_its_checks() -> None:
    assert [it for it in run_checks(BrainEncoding) if not it.ok] == []


def test_each_word_is_answered_by_its_region_alone() -> None:
    task = BrainEncoding(**SMALL, noise=0)
    brain = task.brain
    assert brain.regions_of_voxels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    np.testing.assert_allclose(np.linalg.norm(brain.words, axis=1), 1)
    answers = brain.regions_of_words[:, None] == brain.regions_of_voxels
    assert ((brain.responses != 0) == answers).all()
    word, region = brain.words[5], brain.regions_of_words[5]
    np.testing.assert_allclose(brain.responses[5], word @ brain.maps[region], atol=1e-12)
    assert spatial_accuracy(brain.maps, brain.regions_of_voxels)[0] == 1


def test_noise_is_added_to_all_voxels_and_moves_nothing_else() -> None:
    quiet, loud = (BrainEncoding(words=240, noise=noise).brain for noise in (0, 3))
    np.testing.assert_array_equal(quiet.maps, loud.maps)
    added = loud.responses - quiet.responses
    assert added.std() == pytest.approx(3, rel=0.01)
    active = quiet.regions_of_words[:, None] == quiet.regions_of_voxels
    assert quiet.responses[active].std() == pytest.approx(3.5, rel=0.03)


def test_a_split_seed_divides_the_same_words() -> None:
    for seed in (0, 1):
        task = BrainEncoding(**SMALL, split_seed=seed)
        rows = torch.cat([task.split(name).targets for name in ("train", "val", "test")])
        expected = torch.from_numpy(task.brain.responses.astype(np.float32))
        assert torch.equal(rows[rows[:, 0].argsort()], expected[expected[:, 0].argsort()])
    assert [len(task.split(name).inputs) for name in ("train", "val", "test")] == [16, 4, 4]


def test_the_oracle_with_the_planted_maps_is_the_brain() -> None:
    task = BrainEncoding(**SMALL, noise=0)
    model = Model(task, OracleGate, {}, {"num_experts": 4})
    maps = torch.from_numpy(task.brain.maps).mT.float()
    model.mixture.experts.tensors()["weight"].data.copy_(maps)
    part = task.split("test")
    (found,) = model(part.inputs).groups[0]
    torch.testing.assert_close(found, part.targets, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"words": 11}, "`words >= 12` must hold, but got (words=11)."),
        ({"regions": 3}, "be a power of two, but got (regions=3)."),
        ({"regions": 0}, "be a power of two, but got (regions=0)."),
        ({"voxels": 3}, "`voxels >= regions` must hold, but got (voxels=3, regions=4)."),
        ({"noise": -1}, "`0 <= noise < inf` must hold, but got (noise=-1)."),
        ({"split_seed": -1}, "`split_seed >= 0` must hold"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        BrainEncoding(**options)
    assert said in str(error.value) and "\n" not in str(error.value)


WANTED = torch.tensor([[1.0, 0], [0, 1], [1, 1]])


def test_two_against_two_by_hand() -> None:
    """Rows 0 and 1 are exchanged: of their pair it is wrong, of both others half."""
    metric = TwoAgainstTwo()
    assert metric.score(WANTED * 5, WANTED) == 1  # lengths do not count
    assert metric.score(-WANTED, WANTED) == 0
    assert metric.score(torch.ones(3, 2), WANTED) == 0.5
    exchanged = WANTED[[1, 0, 2]]  # own cosines 0, 0, 1; 0 with 2: 1 against 2 * sqrt(1/2)
    assert metric.score(exchanged, WANTED) == 0
    near = torch.tensor([[1.0, 0], [1, 0.5], [0, 1]])  # right, wrong, and right
    own = [1, 0.5 / 1.25**0.5, 0.5**0.5]
    assert own[0] + own[1] > 1 / 1.25**0.5 + 0
    assert own[0] + own[2] > 0 + 0.5**0.5
    assert own[1] + own[2] < 1 + 1.5 / 2.5**0.5
    assert metric.score(near, WANTED) == pytest.approx(2 / 3, abs=1e-12)
    weights = torch.tensor([1.0, 2, 3])  # pairs weigh 2, 3 and 6
    assert metric.score(near, WANTED, weights) == pytest.approx(5 / 11, abs=1e-12)


def test_two_against_two_of_many_rows_is_that_of_each_pair() -> None:
    draw = torch.Generator().manual_seed(0)
    wanted, noise = torch.randn(2, 1100, 4, generator=draw, dtype=torch.float64)
    found = wanted + 2 * noise
    cosines = torch.nn.functional.cosine_similarity(wanted[:, None], found[None], dim=2)
    own = cosines.diagonal()
    right = own[:, None] + own > cosines + cosines.mT
    expected = int(right.triu(1).sum()) / (1100 * 1099 / 2)
    assert TwoAgainstTwo().score(found, wanted) == pytest.approx(expected, abs=1e-12)


def test_a_constant_prediction_is_as_good_as_chance() -> None:
    """Also where rounding says otherwise."""
    draw = torch.Generator().manual_seed(0)
    wanted = torch.randn(40, 300, generator=draw)
    same = torch.randn(1, 300, generator=draw).expand(40, -1)
    assert TwoAgainstTwo().score(same, wanted) == 0.5


def test_two_against_two_is_not_defined_of_a_row_or_a_column() -> None:
    assert np.isnan(TwoAgainstTwo().score(torch.ones(1, 2), torch.ones(1, 2)))
    assert np.isnan(TwoAgainstTwo().score(torch.ones(3, 1), torch.ones(3)))


def test_labels_are_matched_before_they_are_counted() -> None:
    """Of 1, 1, 0, 2, 2 and 0, 0, 1, 0, 2: 1 is 0, 0 is 1, 2 is 2, and four agree."""
    found, planted = np.array([1, 1, 0, 2, 2]), np.array([0, 0, 1, 0, 2])
    assert matched_share(found, planted) == 0.8
    assert matched_share(np.zeros(5, int), planted) == 0.6  # one expert for all
    assert region_recovery(np.eye(3)[found], planted)[0] == 0.8


def test_chance_is_above_one_in_so_many() -> None:
    """Of two things with two labels a matching always finds both, or both exchanged."""
    assert chance_of(np.array([0, 1]), np.array([0, 1])) == 1
    many = np.arange(4000) % 4
    assert 0.25 < chance_of(many, many) < 0.28
    few = np.arange(60) % 4
    assert 0.3 < chance_of(few, few) < 0.4


@pytest.mark.slow
def test_the_preset_runs(place: Path) -> None:
    """With fewer epochs and trials."""
    content = yaml.safe_load((ROOT / "examples" / "brain_encoding.yaml").read_text())
    content["training"] |= {"max_epochs": 2, "patience": 1}
    content |= {"search": {"trials": 1}, "evaluation": {"seeds": 2}}
    (place / "brain.yaml").write_text(yaml.safe_dump(content))
    said = gatelab(place, "launch", "brain.yaml")
    assert " failed: " not in said
    scored = read(place, "brain-encoding").of("evaluate")
    assert {"softmax", "em", "oracle"} <= {run.gate for run in scored}
    assert all("test/mean/two_against_two" in run.metrics for run in scored)
