"""EM of linear experts and of faces: one expert is a regression, and the likelihood never falls."""

from __future__ import annotations

import math
from statistics import median

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from gatelab.tasks import BrainEncoding, Polyhedral
from gatelab.tasks.encoding import region_recovery, spatial_accuracy
from gatelab.tasks.polyhedral import normal_cosines
from gatelab.training.em import (
    Climb,
    cooling,
    likeliest,
    log_likelihood,
    maximise,
    newton,
    responsibilities,
)
from gatelab.training.em_experts import LinearExperts, ridge_maps, with_one
from gatelab.training.em_faces import Faces


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


X, Y = draw(40, 6, seed=1), draw(40, 3, seed=2)


@pytest.mark.parametrize("ridge", [1e-6, 0.1, 10])
def test_one_linear_expert_is_ridge_regression(ridge: float) -> None:
    mixture, _ = maximise(LinearExperts.start(X, Y, torch.ones(40, 1).double(), ridge=ridge), 3)
    other = Ridge(alpha=ridge, fit_intercept=False).fit(X.numpy(), Y.numpy())
    np.testing.assert_allclose(mixture.maps[0].T, other.coef_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(mixture.predict(X), other.predict(X.numpy()), rtol=0, atol=1e-10)


@pytest.mark.parametrize("ridge", [0.01, 1])
def test_one_face_is_logistic_regression(ridge: float) -> None:
    inside = (X[:, 0] + Y[:, 0] > 0.5).double()
    start = Faces.start(X, inside, torch.zeros(7, 1).double(), ridge=ridge)
    face, _ = maximise(start, 30)
    other = LogisticRegression(C=1 / ridge, tol=1e-13, solver="newton-cholesky")
    other.fit(X.numpy(), inside.numpy())
    expected = [*other.coef_[0], *other.intercept_]
    np.testing.assert_allclose(face.weights[:, 0], expected, rtol=0, atol=1e-10)
    chances = other.predict_proba(X.numpy())[:, 1]
    np.testing.assert_allclose(face.chance(X), chances, rtol=0, atol=1e-10)


def test_rows_of_weight_0_are_as_if_they_were_not() -> None:
    weights = torch.cat([torch.ones(25), torch.zeros(15)]).double()
    torch.testing.assert_close(
        ridge_maps(X, Y, weights, 0.5), ridge_maps(X[:25], Y[:25], weights[:25], 0.5)
    )
    twice = ridge_maps(X, Y, 1 + weights, 0.5)
    rows = torch.cat([X, X[:25]]), torch.cat([Y, Y[:25]])
    torch.testing.assert_close(twice, ridge_maps(*rows, torch.ones(65).double(), 0.5))


def test_a_ridge_that_rounding_swallows_solves_nothing() -> None:
    """Of three equal rows the second feature is twice the first, and 1e-300 beside them is 0."""
    rows, weights = torch.tensor([[1.0, 2.0]]).double().expand(3, 2), torch.ones(3).double()
    assert ridge_maps(rows, rows, weights, 1e-300).isnan().all()
    assert ridge_maps(rows, rows, weights, 1e-6).isfinite().all()


def test_the_likelihood_of_linear_experts_by_hand() -> None:
    """Two experts that answer alike for one row of 1 and 3: ridge 1 gives 1 * 3 / 2 * 1 / (1/2+1).

    So the map is 1, its square 1, and the variance (2 * 2 / 2 + 1) / (1 / 2) = 6.
    """
    one, three = torch.ones(1, 1).double(), torch.full((1, 1), 3.0).double()
    even = torch.full((1, 2), 0.5).double()
    mixture = LinearExperts.start(one, three, even, ridge=1, gate_ridge=1)
    assert mixture.maps.flatten().tolist() == pytest.approx([1, 1])
    assert mixture.variances.tolist() == pytest.approx([6, 6])
    assert mixture.gate.abs().max() == 0
    density = -0.5 * (4 / 6 + math.log(2 * math.pi * 6))
    assert mixture.joint().tolist() == [pytest.approx([density - math.log(2)] * 2)]
    assert log_likelihood(mixture) == pytest.approx(density - (1 / 6 + 1 / 6) / 2)
    assert mixture.predict(one).item() == pytest.approx(1)


def test_the_likelihood_of_faces_by_hand() -> None:
    """At 1 the faces x and 2 x say 1 and 2, and the gate prefers the first, e^-1 to e^-2."""
    weights = torch.tensor([[1.0, 2], [0, 0]]).double()
    points = torch.ones(1, 1).double()
    first = 1 / (1 + math.exp(-1))
    chances = [1 / (1 + math.exp(-score)) for score in (1, 2)]
    expected = first * chances[0] + (1 - first) * chances[1]
    for inside, chance in ((1.0, expected), (0.0, 1 - expected)):
        faces = Faces.start(points, torch.tensor([inside]).double(), weights, ridge=0.5)
        assert faces.chance(points).item() == pytest.approx(expected)
        penalty = 0.5 * (1 + 4) / 2
        assert log_likelihood(faces) == pytest.approx(math.log(chance) - penalty)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("experts", [2, 4, 9])
def test_the_likelihood_of_linear_experts_never_falls(experts: int, seed: int) -> None:
    start = draw(40, experts, seed=seed).mul(3).softmax(1)
    told = maximise(LinearExperts.start(X, Y, start, ridge=0.1, gate_ridge=0.1), 60)[1]
    assert len(told) > 1 and told[-1] > told[0]
    assert min(np.diff(told)) >= -1e-9 * abs(told[-1])


@pytest.mark.parametrize("sharpness", [0, 1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_the_likelihood_of_faces_never_falls(sharpness: float, seed: int) -> None:
    points, inside = Polyhedral(train_rows=300).split("train")[:2]
    weights = draw(3, 5, seed=seed)
    faces = Faces.start(
        points.double(), inside[:, 0].double(), weights, sharpness=sharpness, ridge=0.1
    )
    told = maximise(faces, 40)[1]
    assert told[-1] > told[0] and min(np.diff(told)) >= -1e-9 * abs(told[-1])


def test_newton_finds_the_top() -> None:
    """Of a logistic regression: there the slope is the ridge's."""
    wanted = draw(40, 3).softmax(1)

    def climb(scores: Tensor) -> Climb:
        logs = scores.log_softmax(1)
        p = logs.exp()
        return Climb((wanted * logs).sum(), wanted - p, p.diag_embed() - p[:, :, None] * p[:, None])

    ridges = torch.full((6, 1), 0.3, dtype=torch.float64)
    top = newton(X, torch.zeros(6, 3).double(), ridges, climb, 50)
    slope = X.mT @ (wanted - (X @ top).softmax(1))
    torch.testing.assert_close(slope, 0.3 * top, rtol=0, atol=1e-9)


def test_a_step_of_newtons_that_falls_is_halved() -> None:
    """log sigmoid(w) + log sigmoid(-w), from 4: the step of -27.3 is too long twice over.

    Its slope is -tanh(w / 2), its second derivative -2 sigmoid(w) sigmoid(-w), its top 0.
    """
    signs = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)

    def climb(scores: Tensor) -> Climb:
        chance = (signs * scores).sigmoid()
        bend = (chance * (1 - chance))[:, :, None]
        return Climb(chance.log().sum(), signs * (1 - chance), bend)

    ones, start = torch.ones(2, 1).double(), torch.full((1, 1), 4.0).double()
    once = float(newton(ones, start, torch.zeros(1, 1).double(), climb, 1))
    sigmoid = 1 / (1 + math.exp(-4))
    step = math.tanh(2) / (2 * sigmoid * (1 - sigmoid))
    assert step == pytest.approx(27.29, abs=0.01)
    assert once == pytest.approx(4 - step / 4, abs=1e-6)
    assert abs(4 - step / 2) > 4 > abs(once), "half of it would still be lower than the start"
    assert float(newton(ones, start, torch.zeros(1, 1).double(), climb, 20)) == pytest.approx(0)


def test_temperatures_fall_to_1_and_soften() -> None:
    assert cooling(16, 4) == pytest.approx([16, 8, 4, 2])
    joint = torch.tensor([[0.0, 4.0]])
    hot, cold = responsibilities(joint, 100), responsibilities(joint)
    assert 0.5 < float(hot[0, 1]) < 0.52 and float(cold[0, 1]) > 0.98


def test_of_several_starts_the_likeliest_is_taken() -> None:
    starts = [draw(40, 3, seed=seed).softmax(1) for seed in range(4)]
    mixtures = [maximise(LinearExperts.start(X, Y, start), 10)[0] for start in starts]
    best = likeliest(mixtures)
    assert log_likelihood(best) == max(map(log_likelihood, mixtures))


def test_what_cannot_be_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"`ridge > 0` and `gate_ridge > 0` must hold.*ridge=0"):
        LinearExperts.start(X, Y, torch.ones(40, 1), ridge=0)
    with pytest.raises(ValueError, match=r"but got \(40, 40, 39\)"):
        LinearExperts.start(X, Y, torch.ones(39, 1))
    with pytest.raises(ValueError, match=r"`sharpness >= 0` and `ridge >= 0` must hold"):
        Faces.start(X, Y[:, 0], torch.zeros(7, 2), sharpness=-1)


def test_an_expert_without_rows_harms_nobody() -> None:
    start = torch.zeros(40, 2).double()
    start[:, 0] = 1
    mixture, told = maximise(LinearExperts.start(X, Y, start), 20)
    assert all(map(math.isfinite, told)) and mixture.predict(X).isfinite().all()
    assert with_one(X)[:, -1].tolist() == [1] * 40


def polygons(sharpness: float, in_features: int, faces: int, rows: int) -> tuple[list[float], ...]:
    """Return accuracies of five starts, and the likeliest one's with its cosines, over worlds."""
    medians, likely, cosines = [], [], []
    for seed in range(3):
        task = Polyhedral(
            faces=faces, in_features=in_features, train_rows=rows, test_rows=20_000, seed=seed
        )
        (x, y), (points, inside) = (task.split(it)[:2] for it in ("train", "test"))
        starts = [
            Faces.start(
                x.double(),
                y[:, 0].double(),
                draw(in_features + 1, faces, seed=10 * seed + place),
                sharpness=sharpness,
                ridge=0.01,
            )
            for place in range(5)
        ]
        found = [maximise(start, 40)[0] for start in starts]
        scores = [
            float(((it.chance(points.double()) > 0.5) == (inside[:, 0] > 0)).double().mean())
            for it in found
        ]
        best = likeliest(found)
        medians.append(median(scores))
        likely.append(next(s for s, it in zip(scores, found, strict=True) if it is best))
        cosines.append(normal_cosines(best.weights[:-1].mT.numpy(), task.polyhedron.normals).min())
    return medians, likely, cosines


@pytest.mark.slow
def test_a_pentagon_is_found() -> None:
    medians, likely, cosines = polygons(1, 2, 5, 800)
    assert 0.90 <= median(medians) <= 0.98 and 0.93 <= median(likely) <= 0.99
    assert median(cosines) > 0.93


@pytest.mark.slow
def test_three_faces_are_found_in_ten_dimensions() -> None:
    medians, likely, cosines = polygons(1, 10, 3, 800)
    assert 0.95 <= median(medians) <= 0.98 and min(likely) > 0.95
    assert min(cosines) > 0.98


@pytest.mark.slow
def test_a_sharp_gate_sticks_where_it_starts() -> None:
    soft, sharp = (polygons(sharpness, 2, 3, 2000)[0] for sharpness in (1, 4))
    assert median(soft) > 0.98 and median(sharp) < 0.9


@pytest.mark.slow
def test_regions_are_found_by_tempering_and_not_from_random_starts() -> None:
    """600 words: from random starts experts answer for voxels as by chance; cooled, for theirs."""
    brain = BrainEncoding(words=600).brain
    words, values = torch.from_numpy(brain.words), torch.from_numpy(brain.responses)
    found = {}
    for name, tempering in {"random": [], "cooled": cooling(300, 8)}.items():
        starts = [draw(600, 4, seed=seed).mul(3).softmax(1) for seed in range(4)]
        made = [LinearExperts.start(words, values, start, gate_ridge=0.1) for start in starts]
        best = likeliest(maximise(it, 25, tempering, 1e-6)[0] for it in made)
        answers = responsibilities(best.joint()).numpy()
        found[name] = (
            spatial_accuracy(best.maps.numpy(), brain.regions_of_voxels),
            region_recovery(answers, brain.regions_of_words),
        )
    (voxels, chance), (of_words, chance_of_words) = found["random"]
    assert voxels < chance + 0.2 and of_words < chance_of_words + 0.15
    (voxels, _), (of_words, _) = found["cooled"]
    assert voxels > chance + 0.35 and of_words > chance_of_words + 0.3
