"""The generated recommender: what is planted is there, and rows follow from options and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from gatelab.tasks import Recommender8
from gatelab.tasks.check import run_checks
from gatelab.tasks.recommender_world import GROUPS, RATES, SLOPE, _bias, drawn_often, planted_world

SMALL = {"train_rows": 70_000, "val_rows": 500, "test_rows": 500, "users": 400, "items": 150}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def made(**options: Any) -> Recommender8:
    return Recommender8(**{**SMALL, **options})


def test_it_passes_the_checks_of_tasks() -> None:
    few = {"train_rows": 600, "users": 40, "items": 30}
    assert [it for it in run_checks(Recommender8, **{**SMALL, **few}) if not it.ok] == []


def test_its_shape_is_that_of_a_recommender() -> None:
    task = made()
    kinds = [target.kind for target in task.targets]
    assert len(kinds) == 8 and kinds.count("binary") == 5 and kinds.count("regression") == 3
    assert task.truth.groups == GROUPS == (0, 0, 0, 0, 1, 1, 1, 1)
    train = task.split("train")
    assert train.inputs.shape == (70_000, 2) and train.inputs.dtype == torch.int32
    assert train.inputs.amin(0).tolist() == [0, 0] and train.inputs.amax(0).tolist() == [399, 149]
    assert train.mask is not None and train.mask[:, :4].all()
    assert (train.mask[:, 4:] == train.mask[:, 4:5]).all(), "who is asked is asked for all of it"
    assert train.mask[:, 4].float().mean().item() == pytest.approx(0.3, abs=0.006)
    assert made(asked=1.0).split("val").mask.all()  # type: ignore[union-attr]


def test_rates_and_deviations_are_those_that_are_planted() -> None:
    """To four standard errors of 70,000 rows, and what 65,536 reference pairs leave."""
    targets = made(noise=0.5).split("train").targets.double()
    for place, rate in enumerate(RATES):
        mean, deviation = targets[:, place].mean().item(), targets[:, place].std().item()
        if rate is None:
            assert mean == pytest.approx(0, abs=0.035) and deviation == pytest.approx(
                1.25**0.5, abs=0.03
            )
        else:
            assert mean == pytest.approx(rate, abs=0.012), place


def test_targets_of_a_group_are_related_as_planted() -> None:
    """In expectation forms correlate by 0.8 within a group, and by 0 between two."""
    found = []
    for seed in range(12):
        pairs = np.random.default_rng(seed).integers((400, 150), size=(4000, 2))
        found.append(np.corrcoef(made(seed=seed).world.signals(pairs).T))
    mean = np.mean(found, 0)
    same = np.equal.outer(GROUPS, GROUPS)
    within, between = mean[same & ~np.eye(8, dtype=bool)].mean(), mean[~same].mean()
    assert within == pytest.approx(0.8, abs=0.06) and between == pytest.approx(0, abs=0.15)
    alike = made(correlation=1.0).world.signals(pairs)
    np.testing.assert_allclose(alike[:, 0], alike[:, 3])


def test_clusters_make_the_signals() -> None:
    """Without spread all users of a cluster are one; with spread 1 they share nothing."""
    for spread, expected in ((0.0, 0.0), (1.0, 1.0), (0.3, 0.3)):
        world = planted_world(0, 5000, 4000, 8, 6, spread, 0.8)
        assert {*world.user_clusters} == {*range(8)} and {*world.item_clusters} == {*range(6)}
        within = [world.users[world.user_clusters == it].var(0).mean() for it in range(8)]
        assert np.mean(within) == pytest.approx(expected, abs=0.02)
        many = planted_world(0, 5000, 4000, 2500, 2000, spread, 0.8)
        assert many.users.var() == pytest.approx(1, abs=0.05), "a user's numbers are standard"


def test_outcomes_follow_from_the_signals() -> None:
    task = made()
    train = task.split("train")
    world, pairs = task.world, train.inputs.numpy()
    signals = world.signals(pairs)
    for place, rate in enumerate(RATES):
        values = train.targets[:, place].numpy()
        if rate is None:
            assert (values - signals[:, place]).std() == pytest.approx(0.5, abs=0.01)
        else:
            assert roc_auc_score(values, signals[:, place]) > 0.8
            chances = world.chances(signals)[:, place]
            likely = chances > np.median(chances)
            assert values[likely].mean() == pytest.approx(chances[likely].mean(), abs=0.01)


def test_the_constant_in_the_log_odds_is_found() -> None:
    """Of signals that are all 0 it is the log-odds of the rate."""
    assert _bias(np.zeros(5), 0.2) == pytest.approx(np.log(0.2 / 0.8))
    assert _bias(np.full(5, 1.5), 0.5) == pytest.approx(-SLOPE * 1.5)


def test_users_have_a_long_tail() -> None:
    drawn = drawn_often(np.random.default_rng(0), 200_000, 50)
    counts = np.bincount(drawn, minlength=50)
    expected = np.arange(1, 51) ** -0.7
    np.testing.assert_allclose(counts / 200_000, expected / expected.sum(), atol=0.003)
    assert (drawn_often(np.random.default_rng(0), 10, 1) == 0).all()


def test_rows_are_made_once_a_machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made().split("val")
    folder = cache / "gatelab" / "made" / "Recommender8"
    assert len([*folder.iterdir()]) == 1
    monkeypatch.setattr(Recommender8, "_piece", None)
    again = made().split("val")
    assert all(torch.equal(a, b) for a, b in zip(first[:3], again[:3], strict=True))


@pytest.mark.parametrize(
    "options",
    [{"seed": 1}, {"split_seed": 1}, {"users": 401}, {"spread": 0.4}, {"correlation": 0.7}]
    + [{"noise": 0.4}, {"asked": 0.4}, {"user_clusters": 7}, {"item_clusters": 7}, {"items": 151}],
    ids=str,
)
def test_each_option_matters(options: dict[str, Any]) -> None:
    one, other = made().split("val"), made(**options).split("val")
    assert any(not torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
    if "split_seed" in options:
        assert made(**options).world is made().world


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"users": 0}, "users=0"),
        ({"items": 7}, "`item_clusters <= items` must hold, but got (user_clusters=8, users=400"),
        ({"spread": 1.1}, "`0 <= spread <= 1` must hold, but got (spread=1.1)."),
        ({"correlation": -0.1}, "`0 <= correlation <= 1` must hold, but got (correlation=-0.1)."),
        ({"noise": float("inf")}, "`0 <= noise < inf` must hold, but got (noise=inf)."),
        ({"noise": float("nan")}, "`0 <= noise < inf` must hold, but got (noise=nan)."),
        ({"asked": 0}, "`0 < asked <= 1` must hold, but got (asked=0)."),
        ({"train_rows": 0}, "train_rows=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_options_out_of_their_range(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError) as caught:
        made(**options)
    assert line in str(caught.value)
