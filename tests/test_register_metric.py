"""A metric of one's own: refused where it cannot be recorded, and best where it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from gatelab import Metric, compare, register_metric
from gatelab.sweeps.cli import main
from gatelab.tasks import Target
from gatelab.tasks.metric import metrics, metrics_of
from tests.in_process import gatelab, modules_of

MODULE = '''
from gatelab import Metric, register_metric


@register_metric("own_brier")
class Brier(Metric):
    """Mean squared error of the chance of class 1."""

    kinds = ("binary",)
    higher_is_better = False

    def compute(self, outputs, target):
        return (outputs[:, 0].sigmoid() - target).square().mean()


@register_metric("own_hits")
class Hits(Metric):
    """Share of rows whose class is right."""

    kinds = ("multiclass",)
    higher_is_better = True

    def compute(self, outputs, target):
        return (outputs.argmax(1) == target).double().mean()


@register_metric("own_misses")
class Misses(Metric):
    """Share of rows whose class is wrong."""

    kinds = ("multiclass",)
    higher_is_better = False

    def compute(self, outputs, target):
        return (outputs.argmax(1) != target).double().mean()


@register_metric("own_raiser")
class Raiser(Metric):
    """Looks where nothing is."""

    kinds = ("multiclass",)
    higher_is_better = True

    def compute(self, outputs, target):
        return outputs[:, 99]
'''
SPEC = """
name: own
task: {name: digits_pairs, train_rows: 64, val_rows: 32, test_rows: 64}
metrics: METRICS
model: {num_experts: 2, expert_width: 4}
gates: [softmax, single, noisy_top_k]
baselines: false
training: {max_epochs: 8, batch_size: 32}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 2}
"""


def written(folder: Path, metrics: str) -> None:
    (folder / "mine.py").write_text(MODULE)
    (folder / "own.yaml").write_text(SPEC.replace("METRICS", metrics))


@pytest.mark.slow
def test_the_gate_of_less_wins_where_less_is_better(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it comes from the record: the module is gone when it is compared."""
    written(place, '["mine:own_misses", "mine:own_hits", accuracy]')
    gatelab(place, "launch", "own.yaml")
    (place / "mine.py").unlink()
    monkeypatch.chdir(place)
    found = compare("own")
    for name, least in (("own_misses", True), ("own_hits", False)):
        metric = f"test/mean/{name}"
        means = {gate: found.score(gate, metric).mean for gate in found.gates}  # type: ignore[union-attr]
        assert len({*means.values()}) > 1
        assert means[found.leader(metric) or ""] == (min if least else max)(means.values())
    for gate in found.gates:
        hits, misses = (found.score(gate, f"test/mean/own_{n}") for n in ("hits", "misses"))
        assert hits and misses and hits.mean == pytest.approx(1 - misses.mean)
    page = next(place.rglob("report.html")).read_text()
    for name, meaning in (
        ("own_misses", "Share of rows whose class is wrong"),
        ("accuracy", "Share of rows whose most likely class is theirs"),
        ("noisy_load_cv2", "load_cv2 of the loads that its noise would give"),
    ):
        assert f"<dt>{name}</dt><dd>{meaning}" in page


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ('["mine:own_bier"]', "unknown metric 'mine:own_bier'; did you mean 'mine:own_brier'"),
        ('["mine:own_brier"]', "'mine:own_brier' fits no target of task 'digits_pairs'; those th"),
        ('["nowhere:brier"]', "metric 'nowhere:brier': cannot import 'nowhere'"),
        ('["mine:own_hits", own_hits]', "'own_hits' are recorded under one name, 'own_hits'."),
        ("[accuracy, accuracy]", "'accuracy' and 'accuracy' are recorded under one name"),
        ('["mine:own_raiser"]', "'own_raiser' raises IndexError: "),
    ],
)
def test_what_cannot_be_chosen(chosen: str, said: str, tmp_path: Path) -> None:
    written(tmp_path, chosen)
    with modules_of(tmp_path):
        result = CliRunner().invoke(main, ["validate", "own.yaml"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert result.stderr.startswith("gatelab: own.yaml: metrics: "), result.stderr
    assert said in result.stderr
    assert "raiser" not in chosen or f"{tmp_path / 'mine.py'}, line " in result.stderr


def test_one_that_takes_no_weights_is_refused_of_weighted_rows(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n % 3 + 0.5},{n % 2}\n" for n in range(60))
    (tmp_path / "table.csv").write_text(f"x,w,y\n{rows}")
    written(tmp_path, '["mine:own_brier"]')
    text = (tmp_path / "own.yaml").read_text().splitlines()
    text[2] = "task: {name: table, path: table.csv, weights: w, targets: {y: binary}}"
    (tmp_path / "own.yaml").write_text("\n".join(text))
    with modules_of(tmp_path):
        result = CliRunner().invoke(main, ["validate", "own.yaml"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert (
        "metrics: 'own_brier' is of rows that count alike, but those of 'table' " in result.stderr
    )


def test_it_is_listed_and_shown() -> None:
    listed = CliRunner().invoke(main, ["list", "metrics"]).stdout
    assert "rmse" in listed and "Root of the mean squared error" in listed
    shown = CliRunner().invoke(main, ["show", "metric", "rmse"]).stdout
    assert "Of regression targets; less is better." in shown
    assert CliRunner().invoke(main, ["show", "metric", "rsme"]).exit_code == 2


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("loss", {}, "no metric is called 'loss'"),
        ("a/b", {}, "the name of a metric must be"),
        ("x" * 101, {}, "the name of a metric must be"),
        ("rmse", {}, "metric 'rmse' is registered twice"),
        ("new", {"higher_is_better": "no"}, "`higher_is_better` must be True or False"),
        ("new", {"higher_is_better": None}, "`higher_is_better` must be True or False"),
        ("new", {"kinds": ()}, "`kinds` must be some of"),
        ("new", {"kinds": "binary"}, "`kinds` must be some of .* but got 'binary'"),
        ("new", {"kinds": ("binari",)}, "`kinds` must be some of"),
        ("new", {"__doc__": None}, "must say in its docstring what it is"),
    ],
)
def test_what_cannot_be_registered(name: str, changes: dict[str, Any], said: str) -> None:
    body = {"__doc__": "Is new.", "kinds": ("binary",), "higher_is_better": True, **changes}
    with pytest.raises(ValueError, match=said):
        register_metric(name)(type("New", (Metric,), body))
    assert name == "rmse" or name not in metrics.names()


def test_a_score_is_a_number() -> None:
    class Pair(Metric):
        """Gives two."""

        kinds = ("binary",)
        higher_is_better = True

        def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
            return outputs[:2, 0]

    with pytest.raises((RuntimeError, ValueError)):
        Pair().score(torch.zeros(3, 1), torch.zeros(3))
    assert set(metrics_of(Target("a", "binary"), None)) == {"accuracy", "auroc"}
