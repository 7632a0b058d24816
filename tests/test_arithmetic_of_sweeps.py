"""What a sweep makes of numbers, by hand: spaces, importance, seeds, exported outputs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from torch import Tensor

from gatelab.gates import LapSumGate, SampledKGate, SingleGate, gates
from gatelab.results.comparison import compare_runs
from gatelab.sweeps.driver.record.summaries import over_evaluations
from gatelab.sweeps.export.export import save_tried
from gatelab.sweeps.export.selected import Selected
from gatelab.sweeps.search.importance import importance
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec
from gatelab.training.model import Model
from tests.recorded_scores import Score, recorded
from tests.scaled import Scaled


@pytest.mark.parametrize(
    ("num_experts", "most"),
    [(1, 1), (3, 3), (4, 4), (8, 4), ({"low": 3, "high": 9}, 3), ([8, 2, 4], 2)],
)
def test_a_gate_searches_no_more_experts_than_there_are(
    num_experts: Any, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate's own space may have k; where the number of experts is searched the lowest counts."""
    alpha = FloatDistribution(0.01, 10.0, log=True)
    own: Any = {LapSumGate: {"k": IntDistribution(1, 4), "alpha": alpha}}
    own[SampledKGate] = {"k": IntDistribution(2, 4)}
    for cls, searched in own.items():
        monkeypatch.setattr(cls, "search_space", searched)
    plain = {"name": "s", "task": "synthetic_groups", "gates": ["lapsum", "sampled_k"]}
    spec = Spec.model_validate({**plain, "model": {"num_experts": num_experts}})
    found = space(spec, "lapsum", Scaled()).distributions
    assert found["gate.k"] == IntDistribution(1, most)
    assert found["gate.alpha"] == alpha
    at_least_two = space(spec, "sampled_k", Scaled()).distributions["gate.k"]
    assert at_least_two == IntDistribution(2, max(2, most)), "which is then refused if too many"


@pytest.mark.parametrize("name", gates.names())
def test_no_gate_of_ours_searches_its_number_of_experts(name: str) -> None:
    assert "k" not in gates.get(name).search_space


def halved(number: int) -> FrozenTrial:
    """Make one of 16 trials: 8 pruned after 2 epochs, 4 after 4 and 4 after 8, where they end.

    After 2 epochs the loss is gamma, 0 or 1 in turn; after 4 and 8 it is the rate, which is 0 or 1
    in turn in pairs.
    """
    gamma, rate = number % 2, number // 2 % 2
    last = 2 if number < 8 else 4 if number < 12 else 8
    trial = create_trial(
        params={"gate.gamma": gamma, "optimizer.learning_rate": rate},
        distributions=dict.fromkeys(
            ("gate.gamma", "optimizer.learning_rate"), FloatDistribution(0, 1)
        ),
        value=rate if last == 8 else None,
        state=TrialState.COMPLETE if last == 8 else TrialState.PRUNED,
        intermediate_values={
            epoch: gamma if epoch == 2 else rate for epoch in (2, 4, 8) if epoch <= last
        },
    )
    trial.number = number
    return trial


def test_importance_is_of_the_first_rung_that_pruned() -> None:
    """There all trials have a loss; it is gamma's alone, so gamma has all of the importance."""
    found = importance([halved(number) for number in range(16)])
    assert found == pytest.approx({"gate.gamma": 1, "optimizer.learning_rate": 0}, abs=1e-9)


ONE_CELL = ("0", "0")


def test_means_and_deviations_over_seeds() -> None:
    """Of 1, 2 and 6: mean 3, squares 4 + 1 + 9 over two degrees of freedom."""
    seeds = [{"test/loss": loss, "gate/entropy": loss / 2} for loss in (1.0, 2.0, 6.0)]
    seeds[0]["gate/settled_epoch"] = 5.0  # which the others have not reached
    assert over_evaluations({ONE_CELL: seeds}) == pytest.approx(
        {"test/loss": 3, "gate/entropy": 1.5, "std/test/loss": 7**0.5}
    )
    assert over_evaluations({ONE_CELL: seeds[:1]}) == seeds[0], "one seed has no deviation"


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        ({(0, 0): (1.0, 3.0), (0, 1): (8.0,)}, 5.0),  # 4 of all seeds alike
        ({(0, 0): (1.0, 3.0), (1, 0): (8.0,)}, 5.0),
        ({(0, 0): (1.0, 3.0), (0, 1): (4.0,), (1, 0): (9.0,)}, 6.0),  # 5 of all cells alike
    ],
)
def test_a_seed_or_split_that_failed_makes_no_other_weigh_more(
    cells: dict[tuple[int, int], tuple[float, ...]], wanted: float
) -> None:
    """A gate's run says of a search and its splits what the comparison says."""
    by_cell = {(str(r), str(s)): [{"test/loss": x} for x in xs] for (r, s), xs in cells.items()}
    assert over_evaluations(by_cell)["test/loss"] == pytest.approx(wanted)
    scores: list[Score] = [
        ("one", repeat, split, 10 * repeat + seed, {"test/loss": value})
        for (repeat, split), values in cells.items()
        for seed, value in enumerate(values)
    ]
    (score,) = compare_runs(recorded(scores)).scores
    assert score.mean == pytest.approx(wanted)


def test_of_how_many_targets_a_mean_is_where_one_evaluation_alone_says_it() -> None:
    few = {"test/mean/auroc": 0.5, "defined/test/auroc": 1.0, "targets/test/auroc": 2.0}
    found = over_evaluations({("0", "0"): [{"test/mean/auroc": 0.9}], ("0", "1"): [few]})
    assert (found["defined/test/auroc"], found["targets/test/auroc"]) == (1.5, 2.0)
    assert "defined/test/auroc" not in over_evaluations({ONE_CELL: [{"test/mean/auroc": 0.9}]})


@pytest.mark.parametrize(
    ("row", "apart", "refused"),
    [(0, 4.5e-4, False), (0, 5.5e-4, True), (2, 1.2e-3, False), (2, -1.4e-3, True)],
)
def test_exported_outputs_may_differ_by_a_ten_thousandth(
    row: int, apart: float, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1 and of the output itself, which is 4 in the first row and 12 in the third."""

    def exported(rows: Tensor) -> Tensor:
        outputs = 4 * rows.expand(-1, 2).clone()
        outputs[row:, 1] += apart
        return outputs

    served = SimpleNamespace(save_model=lambda *_: None, load_model=lambda _: exported)
    monkeypatch.setattr("gatelab.sweeps.export.forms.mlflow_model", served)
    model = Model(Scaled(), SingleGate, {}, {"num_experts": 1})
    selected = Selected("single", "run", Scaled(), [model], 0, 1.0)
    if not refused:
        save_tried(selected, False, tmp_path, {})
        return
    told = f"on 3 rows of the val split they are up to {abs(apart):.2g} apart"
    with pytest.raises(ValueError, match=told):
        save_tried(selected, False, tmp_path, {})
