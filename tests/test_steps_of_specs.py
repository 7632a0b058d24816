"""What a spec says of steps: optimiser, schedule, clipping; searched, recorded, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from gatelab.results.report.search_grids import selected_configurations
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import load_spec, parse_spec
from gatelab.sweeps.spec.space import SearchSpace, space
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tracking.schema import FOLDER
from tests.in_process import gatelab
from tests.launched import read

GOOD: dict[str, Any] = {
    "name": "steps",
    "task": {"name": "synthetic_groups", "num_targets": 4, "num_groups": 2, "train_rows": 60},
    "gates": ["softmax"],
}


def searched(**changes: Any) -> SearchSpace:
    spec = parse_spec({**GOOD, **changes})
    return space(spec, "softmax", make_task(spec))


def test_what_is_as_ever_is_no_part_of_a_configuration() -> None:
    names = {"optimizer.name", "optimizer.learning_rate", "optimizer.weight_decay"}
    plain = searched()
    assert {n for n in plain.fixed if n.startswith(("optimizer", "training"))} == names
    said = {"schedule": "constant", "warmup": 0, "gradient_clip": None, "precision": "bf16"}
    assert searched(training=said).fixed == plain.fixed


@pytest.mark.parametrize(
    ("section", "name", "value", "distribution", "first"),
    [
        ("optimizer", "momentum", {"low": 0, "high": 0.9}, FloatDistribution(0, 0.9), 0.0),
        ("optimizer", "nesterov", [False, True], CategoricalDistribution([False, True]), False),
        ("training", "warmup", {"low": 0.1, "high": 0.5}, FloatDistribution(0.1, 0.5), 0.1),
        (
            "training",
            "schedule",
            ["cosine", "constant"],
            CategoricalDistribution(["cosine", "constant"]),
            "constant",
        ),
        (
            "training",
            "gradient_clip",
            {"low": 1, "high": 100, "log": True},
            FloatDistribution(1, 100, log=True),
            10.0,
        ),
    ],
)
def test_what_is_searched(
    section: str, name: str, value: Any, distribution: BaseDistribution, first: Any
) -> None:
    own = {"name": "sgd", "momentum": 0.5} if section == "optimizer" else {}
    found = searched(**{section: {**own, name: value}})
    assert found.distributions[f"{section}.{name}"] == distribution
    assert found.defaults[f"{section}.{name}"] == pytest.approx(first)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer": {"momentum": 0.9}}, "optimizer: unknown key 'momentum' of adam; valid: lea"),
        ({"optimizer": {"name": "sgd", "momentun": 0.9}}, "of sgd; did you mean 'momentum'?"),
        ({"optimizer": {"name": "sdg"}}, "optimizer.name: unknown optimizer 'sdg'; did you mean"),
        ({"optimizer": "SGD"}, "optimizer.name: unknown optimizer 'SGD'; did you mean 'sgd'?"),
        ({"optimizer": {"name": 3}}, "optimizer.name: must be a text, but got 3"),
        ({"optimizer": None}, "optimizer: is empty"),
        ({"optimizer": {"name": "sgd", "momentum": 1}}, "optimizer.momentum: `0 <= momentum < 1`"),
        ({"optimizer": {"name": "sgd", "nesterov": True}}, "`momentum > 0` must hold with `nes"),
        ({"optimizer": {"name": "sgd", "nesterov": 1}}, "optimizer.nesterov: must be true or fal"),
        ({"training": {"schedule": "cosin"}}, "training.schedule: unknown schedule 'cosin'; did"),
        ({"training": {"schedule": ["step", "x"]}}, "training.schedule: unknown schedule 'x'; va"),
        ({"training": {"schedule": 3}}, "training.schedule: must be a text, but got 3"),
        ({"training": {"warmup": 1}}, "training.warmup: `0 <= warmup < 1` must hold, but got"),
        ({"training": {"warmup": {"low": -1, "high": 0.5}}}, "training.warmup: `0 <= warmup < 1`"),
        ({"training": {"gradient_clip": 0}}, "`0 < gradient_clip < inf` must hold, but got"),
        ({"training": {"gradient_clip": [1, -1]}}, "(gradient_clip=-1.0); null clips nothing."),
        ({"training": {"precision": "bf61"}}, "training.precision: must be one of 'float32', 'tf"),
        ({"training": {"warm_up": 0.1}}, "training: unknown key 'warm_up'; did you mean 'warmup'"),
    ],
)
def test_bad_steps(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_spec({**GOOD, **changes}, "x.yaml")
    (line,) = str(refused.value).splitlines()
    assert line.startswith("x.yaml: ")
    assert said in line


def test_an_optimizers_name_alone_is_it_with_its_defaults() -> None:
    short, long = (parse_spec({**GOOD, "optimizer": it}) for it in ("sgd", {"name": "sgd"}))
    assert short == long and short.optimizer.name == "sgd"


@pytest.mark.slow
def test_a_sweep_searches_and_records_them(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    Path("a.yaml").write_text(
        "name: a\ntask: {name: synthetic_groups, num_targets: 4, num_groups: 2, train_rows: 60}\n"
        "gates: [softmax]\nbaselines: false\n"
        "optimizer: {name: sgd, learning_rate: 0.01, momentum: {low: 0.1, high: 0.9}}\n"
        "training: {max_epochs: 4, batch_size: 32, schedule: cosine, warmup: {low: 0.1, high: 0.4},"
        " gradient_clip: {low: 0.1, high: 10, log: true}, precision: bf16}\n"
        "search: {trials: 4, rounds: 2, early_stopping: {grace_epochs: 1}}\n"
        "evaluation: {seeds: 2}\n"
    )
    gatelab(place, "launch", "a.yaml")
    recorded = load_spec(place / FOLDER / "sweeps" / "a" / "spec.yaml")
    assert recorded == load_spec("a.yaml")
    record = read(place, "a")
    assert record.run is not None
    assert record.run.params["training.schedule"] == "cosine"
    assert record.run.params["training.precision"] == "bf16"
    drawn = ("optimizer.momentum", "training.warmup", "training.gradient_clip")
    trials = [run.params for run in record.of("search")]
    assert all(len({params[name] for params in trials}) == 4 for name in drawn)
    (selected,) = selected_configurations(record, "softmax").values()
    assert {*drawn, "training.schedule"} <= selected.keys()
