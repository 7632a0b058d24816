"""Training in numbers worked out by hand, in float64: losses, steps, epochs, parts of a split.

Both targets are the expert's only weight times the input, so that one number is learned; of two
targets one counts a tenth, the other nine; and some rows know only one of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gatelab.gates import DSelectKGate, Routing, SingleGate
from gatelab.tasks import Network
from gatelab.training.evaluation import ROWS_AT_ONCE
from gatelab.training.member import Recipe
from gatelab.training.train import Training
from tests.orders import row_order
from tests.scaled import BATCH, START, TRAIN, UNKNOWN, VAL, Row, Scaled, member, one_weight

pytestmark = pytest.mark.usefixtures("float64")


def test_losses_of_two_targets() -> None:
    """Estimates are 4, 8 and 12. Light errs by 3 and 7 in the rows known, heavy by 2, 3 and 7."""
    training = Training(Scaled(), SingleGate, [member()], Recipe(BATCH, 1))
    evaluation = training.run_epoch()[0][1]
    assert evaluation.losses.tolist() == pytest.approx([(9 + 49) / 2, (4 + 9 + 49) / 3])
    assert evaluation.loss == pytest.approx(21.5), "0.1 x 29 + 0.9 x 62 / 3"
    assert [out.flatten().tolist() for out in evaluation.outputs] == [[4, 8, 12], [4, 8, 12]]


def test_a_target_that_no_row_knows_has_no_loss() -> None:
    rows = [(x, UNKNOWN, heavy) for x, _, heavy in VAL]
    training = Training(Scaled(rows), SingleGate, [member()], Recipe(BATCH, 1))
    evaluation = training.run_epoch()[0][1]
    assert evaluation.losses.tolist() == pytest.approx([0, 62 / 3])
    assert evaluation.loss == pytest.approx(18.6)


def by_target(rows: Sequence[Row]) -> Iterator[tuple[float, list[tuple[float, float]]]]:
    """Yield each target's weight, and input and value of the rows that know it."""
    for weight, column in ((0.1, 1), (0.9, 2)):
        yield weight, [(row[0], row[column]) for row in rows if not math.isnan(row[column])]


def loss(w: float, rows: Sequence[Row]) -> float:
    return sum(
        share * sum((w * x - y) ** 2 for x, y in known) / max(1, len(known))
        for share, known in by_target(rows)
    )


def slope(w: float, rows: Sequence[Row]) -> float:
    """Return the derivative of the loss: that of (w x - y)^2 is 2 x (w x - y)."""
    return sum(
        share * sum(2 * x * (w * x - y) for x, y in known) / max(1, len(known))
        for share, known in by_target(rows)
    )


def course(seed: int, rate: float, decay: float, name: str) -> Iterator[tuple[float, float]]:
    """Yield training and validation loss by epoch: Kingma and Ba's algorithm 1 on one number."""
    w, m, v, step = START, 0.0, 0.0, 0
    for epoch in range(100):
        order, total = row_order(seed, epoch, len(TRAIN)).tolist(), 0.0
        for start in (0, 4, 8):
            rows = [TRAIN[row] for row in order[start : start + BATCH]]
            total += len(rows) * loss(w, rows)  # the last batch is smaller, and counts less
            gradient = slope(w, rows) + (decay * w if name == "adam" else 0)
            w *= 1 - rate * decay if name == "adamw" else 1
            step += 1
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            w -= rate * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.999**step)) + 1e-8)
        yield total / 11, loss(w, VAL)


def test_the_formulas_say_what_was_worked_out_by_hand() -> None:
    """2 x input x error: light's slopes are 6 and 28, heavy's 4, 12 and 42."""
    assert loss(START, VAL) == pytest.approx(21.5)
    assert slope(START, VAL) == pytest.approx(0.1 * (6 + 28) / 2 + 0.9 * (4 + 12 + 42) / 3)
    orders = {tuple(row_order(seed, epoch, 11).tolist()) for seed in (1, 2) for epoch in (0, 1)}
    assert len(orders) == 4 and {tuple(sorted(order)) for order in orders} == {tuple(range(11))}


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_two_members_of_which_one_leaves(name: str) -> None:
    """Each with its own seed, rate and decay, before and after the first has run away and left."""
    settings = [(1, 2.5, 0.0, name), (2, 0.05, 0.7, name)]
    recipe = Recipe(BATCH, 7, patience=2)
    training = Training(Scaled(), SingleGate, [member(*chosen) for chosen in settings], recipe)
    found: list[list[tuple[float, float]]] = [[], []]
    while not training.done:
        for index, (train_loss, evaluation) in training.run_epoch().items():
            found[index].append((train_loss, evaluation.loss))
    assert len(found[0]) < len(found[1]) == 7
    for losses, chosen, ended in zip(found, settings, training.courses, strict=True):
        expected = [epoch for epoch, _ in zip(course(*chosen), losses, strict=False)]
        for epoch, by_hand in zip(losses, expected, strict=True):
            assert epoch == pytest.approx(by_hand, rel=1e-12)
        val = [val_loss for _, val_loss in expected]
        best = val.index(min(val)) + 1
        assert (ended.best_epoch, ended.epochs) == (best, min(best + 2, 7))
        assert ended.best_cost == pytest.approx(min(val), rel=1e-12)


def test_a_level_loss_is_no_lower_one() -> None:
    """Without a rate nothing changes: the first epoch stays the best, and patience runs out."""
    recipe = Recipe(BATCH, 9, patience=3)
    training = Training(Scaled(), SingleGate, [member()], recipe)
    while not training.done:
        training.run_epoch()
    (ended,) = training.courses
    assert (ended.best_epoch, ended.epochs, ended.best_cost) == (1, 4, pytest.approx(21.5))


class Diagnosed(SingleGate):
    """Says the mean of its input, which is its own loss too."""

    def forward(self, x: Tensor) -> Routing:
        diagnostics = {} if self.training else {"mean": x.mean()}
        return super().forward(x)._replace(aux_loss=x.mean(), diagnostics=diagnostics)


def test_parts_of_a_split_count_by_their_rows() -> None:
    """Of 8,193 rows of 0 and 2,048 of 1, whose parts have 5,121 and 5,120.

    The mean is 2048 / 10241; that of the two parts' means would be 0.2. Light, 0 everywhere, errs
    by 4 where a row is 1; heavy, 9, by 9 and 5. Neither loss has the gates' own in it. Two members
    are computed at once, so that a part is half of what is.
    """
    rows: list[Row] = [(0, 0, 9)] * 8193 + [(1, 0, 9)] * 2048
    ones = 2048 / 10241
    light, heavy = 16 * ones, 81 - 56 * ones
    assert ROWS_AT_ONCE == 2 * 8192
    training = Training(Scaled(rows), Diagnosed, [member(), member()], Recipe(BATCH, 1))
    for train_loss, evaluation in training.run_epoch().values():
        assert evaluation.diagnostics["mean"].tolist() == pytest.approx([ones, ones])
        assert evaluation.losses.tolist() == pytest.approx([light, heavy])
        assert evaluation.loss == pytest.approx(0.1 * light + 0.9 * heavy)
        assert train_loss == pytest.approx(next(course(0, 0.0, 0.0, "adam"))[0])
        outputs = torch.tensor([0.0] * 8193 + [4.0] * 2048)
        assert all(torch.equal(out.flatten(), outputs) for out in evaluation.outputs)
        assert evaluation.weights.shape == (2, 10241, 1)


@pytest.mark.parametrize(("light", "step"), [(4.0, -0.01), (UNKNOWN, 0.01)])
def test_gates_own_losses_are_added_up_over_targets(light: float, step: float) -> None:
    """One step of the bottom's factor b of a row 1, of which heavy is 4 + 5/24 and light is met.

    The task's slope is 0.9 x 2 x 4 x (4 - 4 - 5/24) = -3/2, and each target's gate adds 1, which is
    uphill for two, and downhill where light is not known: then its gate has no loss.
    """

    class Scaling(Scaled):
        def network(self) -> Network:
            return replace(super().network(), bottom=lambda: one_weight(1.0))

    task = Scaling(train=[(1, light, 4 + 5 / 24)])
    training = Training(task, Diagnosed, [member(rate=0.01)], Recipe(BATCH, 1))
    ((train_loss, evaluation),) = training.run_epoch().values()
    assert training.members.state(0)["bottom.weight"].item() == pytest.approx(1 + step)
    assert train_loss == pytest.approx(0.9 * (5 / 24) ** 2)


@pytest.mark.parametrize("num_experts", [3, 4])
def test_dselect_k_adds_up_its_selectors_and_averages_over_rows(num_experts: int) -> None:
    """Two selectors of two bits. Of the smooth step, S(1/4) = 27/32, S(0) = 1/2, S(1/2) = 1.

    The rows are 1/4 and 0 and reach every bit as they are but the second selector's first, which
    is 1/2 for both by its bias. The codes are 00, 01, 10 and 11; of three experts 11 names none.
    """
    gate = DSelectKGate(1, num_experts, k=2, entropy_weight=0.5, penalty_weight=0.25)
    gate.requires_grad_(False)
    gate.logits.kernel.copy_(torch.tensor([[1.0, 1, 0, 1, 0, 0]]))
    gate.logits.bias.copy_(torch.tensor([0, 0, 0.5, 0, 0, math.log(3)]))
    routing = gate.eval()(torch.tensor([[0.25], [0.0]]))
    by_row, expected, regularisers = [27 / 32, 1 / 2], [], []
    for p in by_row:
        selectors = [[(1 - p) ** 2, (1 - p) * p, p * (1 - p), p * p], [0, 0, 1 - p, p]]
        picks = [codes[:num_experts] for codes in selectors]
        expected.append([a / 4 + 3 * b / 4 for a, b in zip(*picks, strict=True)])
        entropy = -sum(q * math.log(q + 1e-6) for codes in picks for q in codes)
        penalty = sum(1 / sum(codes) for codes in picks)
        regularisers.append(0.5 * entropy + (0.25 * penalty if num_experts == 3 else 0))
    torch.testing.assert_close(routing.weights, torch.tensor(expected))
    assert float(routing.aux_loss) == pytest.approx(sum(regularisers) / 2, abs=1e-5)
    assert float(routing.diagnostics["saturated_bits"]) == 2 / 8
    if num_experts == 4:  # at 1/4 both pick 11 most of all, at 0 the first of four alike and 10
        assert float(routing.diagnostics["selector_duplication"]) == 2 / 4
