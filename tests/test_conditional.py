"""Conditional hyperparameters: searched only where others have certain values, blank elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from gatelab.results.figures.slices import slices
from gatelab.results.review import read_review
from gatelab.sweeps.search.draws import Draws
from gatelab.sweeps.search.importance import importance
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import load_spec, parse_spec
from gatelab.sweeps.spec.searches import mixed
from gatelab.sweeps.spec.space import SearchSpace, configuration, space
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tracking.sqlite import default_uri
from tests.in_process import gatelab
from tests.launched import read, studies

SMALL = {"name": "synthetic_groups", "num_targets": 2, "train_rows": 64, "val_rows": 32}
WARMUP = {"low": 0.1, "high": 0.5, "when": {"noise": 0.3}}
RATE = {"low": 1e-4, "high": 1e-2, "log": True}


def content(gate: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "conditional",
        "task": {**SMALL, "test_rows": 32},
        "model": {"num_experts": 4},
        "gates": {"dselect_k": gate, "softmax": None},
        "baselines": False,
        "optimizer": {"learning_rate": RATE},
        "training": {"max_epochs": 2, "batch_size": 32},
        **more,
    }


def space_of(gate: Any, label: str = "dselect_k", **more: Any) -> SearchSpace:
    spec = parse_spec(content(gate, **more))
    return space(spec, label, make_task(spec))


@pytest.mark.parametrize(
    ("gate", "more", "said"),
    [
        (
            {"noise": [0, 0.3], "entropy_warmup": WARMUP | {"when": {"noize": 0.3}}},
            {},
            "gates.dselect_k.entropy_warmup.when: 'noize' is not searched; did you mean 'noise'?",
        ),
        (
            {"noise": 0.3, "entropy_warmup": WARMUP},
            {},
            "entropy_warmup.when: 'noise' is fixed to 0.3: nothing can hang on it.",
        ),
        (
            {"noise": {"low": 0, "high": 1}, "entropy_warmup": WARMUP},
            {},
            "entropy_warmup.when: 'noise' must be a list of choices, but is a range.",
        ),
        (
            {"noise": [0, 0.4], "entropy_warmup": WARMUP},
            {},
            "entropy_warmup.when: 'noise' is never 0.3, but one of [0.0, 0.4].",
        ),
        (
            {
                "noise": {"choices": [0, 0.3], "when": {"snap": 0.7}},
                "snap": {"choices": [0.7, 1], "when": {"noise": 0.3}},
            },
            {},
            "gates.dselect_k.noise.when: gate.noise hangs on gate.snap hangs on gate.noise: a ",
        ),
        (
            {"noise": {"choices": [0, 0.3], "when": {"noise": 0.3}}},
            {},
            "gate.noise hangs on gate.noise: a circle, in which nothing is drawn first.",
        ),
        (
            {"noise": [0, 0.3], "k": {"choices": [1, 2], "when": {"noise": 0.3}}},
            {},
            "gates.dselect_k.k: must have a value in every trial: it can have no `when`.",
        ),
        (
            {"noise": [0, 0.3]},
            {"optimizer": {"weight_decay": {"low": 0, "high": 1, "when": {"gate.noise": 0.3}}}},
            "optimizer.weight_decay.when: 'gate.noise' is one gate's, but what hangs on it is ",
        ),
        (
            {"noise": [0, 0.3], "snap": {"choices": [0.7], "when": {}}},
            {},
            "gates.dselect_k.snap: `when` must be a mapping of other hyperparameters to values",
        ),
        (
            {"noise": [0, 0.3], "snap": {"choices": [0.7], "when": {"noise": {"low": 0}}}},
            {},
            "gates.dselect_k.snap: `when` must say a value or a list of 'noise', but got {'low'",
        ),
        (
            {"noise": [0, 0.3], "snap": {"choices": 0.7, "when": {"noise": 0.3}}},
            {},
            "gates.dselect_k.snap: `choices` must be a list, but got 0.7.",
        ),
        (
            {"noise": [0, 0.3], "snap": {"choise": [0.7], "when": {"noise": 0.3}}},
            {},
            "gates.dselect_k.snap: unknown key 'choise'; did you mean 'choices'?",
        ),
        (
            {"noise": [0, 0.3], "entropy_warmup": WARMUP},
            {"search": {"first": {"dselect_k": [{"gate.entropy_warmup": 0.2}]}}},
            "is searched only where gate.noise is one of [0.3]: give that too.",
        ),
    ],
)
def test_what_cannot_be_a_condition_is_one_line(gate: Any, more: Any, said: str) -> None:
    gates = {"dselect_k": gate}
    with pytest.raises(SpecError) as caught:
        parse_spec(content(gate, **more) | {"gates": gates})
    assert said in str(caught.value) and len(caught.value.faults) == 1


def test_an_extreme_that_is_met_only_under_a_condition_is_checked() -> None:
    """Of so many hyperparameters not every combination is tried, but every end."""
    many = {name: [0.0, 0.1] for name in ("balance_weight", "z_weight", "entropy_weight")}
    more = {"schedule": ["constant", "cosine"], "warmup": [0.0, 0.1], "gradient_clip": [1, 2]}
    gate = {**many, "noise": [0, 0.3], "snap": {"low": 0.0, "high": 1.0, "when": {"noise": 0.3}}}
    with pytest.raises(SpecError, match="snap: `0 <= entropy_warmup < snap <= 1` must hold"):
        parse_spec(content(gate, training=more))


def test_where_it_is_not_searched_it_is_the_gates_default() -> None:
    """Not that of the first trial, where the search of dselect_k begins with a warm-up of 0.3."""
    found = space_of({"noise": [0, 0.3], "entropy_warmup": WARMUP})
    assert configuration(found, {"gate.noise": 0.0}).gate["entropy_warmup"] == 0.0
    drawn = configuration(found, {"gate.noise": 0.3, "gate.entropy_warmup": 0.2})
    assert drawn.gate["entropy_warmup"] == 0.2
    assert drawn.structure() == configuration(found, {"gate.noise": 0.0}).structure()


def test_the_spec_loads_again_as_it_is_written(tmp_path: Path) -> None:
    gate = {"noise": [0, 0.3, 0.5], "snap": {"choices": [0.7, 1], "when": {"noise": [0.3, 0.5]}}}
    more: dict[str, Any] = {
        "training": {
            "schedule": ["cosine", "constant"],
            "warmup": {"low": 0, "high": 0.1, "when": {"schedule": "cosine"}},
        },
        "optimizer": {"weight_decay": {**RATE, "when": {"training.schedule": "cosine"}}},
    }
    spec = parse_spec(content({**gate, "entropy_warmup": WARMUP}, **more))
    (tmp_path / "again.yaml").write_text(spec.to_yaml())
    assert load_spec(tmp_path / "again.yaml") == spec
    found = space(spec, "softmax", make_task(spec))
    assert found.parents == {
        "training.warmup": {"training.schedule": ("cosine",)},
        "optimizer.weight_decay": {"training.schedule": ("cosine",)},
    }


SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(0, 1),
    "kind": CategoricalDistribution(["a", "b"]),
    "child": FloatDistribution(0, 1),
    "grandchild": CategoricalDistribution([1, 2]),
    "other": FloatDistribution(0, 1),
}
PARENTS = {"child": {"kind": ("b",)}}
DEFAULTS = {"rate": 0.5, "kind": "a", "child": 0.5, "grandchild": 1, "other": 0.5}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_other_draws_are_as_without_conditions(sampler: str) -> None:
    """So gates that share hyperparameters share their values, whichever are conditional."""
    plain = Draws(SPACE, DEFAULTS, sampler, 3).draw(0, 16, [])
    found = Draws(SPACE, DEFAULTS, sampler, 3, parents=PARENTS).draw(0, 16, [])
    for values, drawn in zip(plain, found, strict=True):
        child = {"child"} if drawn["kind"] == "a" else set()
        assert drawn == {name: v for name, v in values.items() if name not in child}
    assert {"a", "b"} == {drawn["kind"] for drawn in found}


def test_a_chain_of_conditions_ends_where_the_first_is_not_met() -> None:
    chain: dict[str, BaseDistribution] = {
        "first": CategoricalDistribution(["on", "off"]),
        "second": CategoricalDistribution(["on", "off"]),
        "third": FloatDistribution(0, 1),
    }
    parents = {"second": {"first": ("on",)}, "third": {"second": ("on",)}}
    defaults = {"first": "off", "second": "on", "third": 0.5}
    found = Draws(chain, defaults, "tpe", 3, parents=parents).draw(0, 32, [])
    assert found[0] == {"first": "off"}
    expected = {"off": {"first"}, "on/off": {"first", "second"}, "on/on": set(chain)}
    seen = {"/".join(v for v in values.values() if isinstance(v, str)): values for values in found}
    assert {key: set(values) for key, values in seen.items()} == expected


def test_tpe_draws_what_optuna_draws_of_a_space_that_is_defined_on_the_way() -> None:
    draws = Draws(SPACE, DEFAULTS, "tpe", 3, parents=PARENTS)
    past = draws.draw(0, 8, [])
    theirs = optuna.create_study()
    for place, values in enumerate(past):
        own = {name: SPACE[name] for name in values}
        theirs.add_trial(create_trial(params=values, distributions=own, value=place))
    expected = []
    for number in range(8, 20):
        theirs.sampler = TPESampler(n_startup_trials=1, constant_liar=True, seed=mixed(3, number))
        trial = theirs.ask()
        trial.suggest_float("rate", 0, 1)
        if trial.suggest_categorical("kind", ["a", "b"]) == "b":
            trial.suggest_float("child", 0, 1)
        trial.suggest_categorical("grandchild", [1, 2])
        trial.suggest_float("other", 0, 1)
        expected.append(trial.params)
    assert draws.draw(8, 12, past) == expected
    assert {"a", "b"} == {values["kind"] for values in expected}


def test_a_parent_that_stands_below_is_drawn_first() -> None:
    found = space_of({"entropy_warmup": WARMUP, "noise": [0, 0.3]})
    assert list(found.distributions) == [
        "optimizer.learning_rate",
        "gate.noise",
        "gate.entropy_warmup",
    ]


def test_importance_is_of_what_every_trial_has() -> None:
    rng = np.random.default_rng(0)
    trials = []
    for number in range(40):
        values: dict[str, Any] = {"rate": rng.random(), "kind": "ab"[number % 2]}
        values |= {"child": rng.random()} if values["kind"] == "b" else {}
        trial = create_trial(
            params=values,
            distributions={name: SPACE[name] for name in values},
            value=values["rate"] + 5 * (values["kind"] == "b"),
            state=TrialState.COMPLETE,
        )
        trial.number = number
        trials.append(trial)
    found = importance(trials)
    assert found.keys() == {"rate", "kind"} and sum(found.values()) == pytest.approx(1)
    assert found["kind"] > 0.9


SWEEP = """
name: whole
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates:
  dselect_k: {noise: [0, 0.3], entropy_warmup: {low: 0.1, high: 0.5, when: {noise: 0.3}}}
  softmax:
baselines: false
optimizer: {learning_rate: {low: 1e-4, high: 1e-2, log: true}}
training: {max_epochs: 2, batch_size: 32}
search: {trials: 12, rounds: 3, early_stopping: false}
evaluation: {seeds: 1}
"""
WARMED = "gate.entropy_warmup"


@pytest.mark.slow
def test_a_sweep_leaves_blank_what_was_not_searched_and_goes_on_the_same(place: Path) -> None:
    for name in ("whole", "halves"):
        (place / f"{name}.yaml").write_text(SWEEP.replace("whole", name))
    gatelab(place, "launch", "whole.yaml")
    gatelab(place, "launch", "halves.yaml", code=130, most=9)
    gatelab(place, "resume", "halves")
    drawn = {
        sweep: [(t.number, t.params, t.value) for t in studies(place, sweep)["dselect_k"].trials]
        for sweep in ("whole", "halves")
    }
    assert drawn["whole"] == drawn["halves"] and len(drawn["whole"]) == 12
    record = read(place, "whole")
    for run in record.of("search", "dselect_k"):
        assert (WARMED in run.params) == (run.params["gate.noise"] == "0.3")
    noises = {run.params["gate.noise"] for run in record.of("search", "dselect_k")}
    assert noises == {"0.0", "0.3"}, "or nothing was tried above"
    rates = [
        {t.number: t.params["optimizer.learning_rate"] for t in study.trials[:4]}
        for study in studies(place, "whole").values()
    ]
    assert len(rates) == 2 and rates[0] == rates[1], "the first round's draws are shared"
    (gate,) = record.of("gate", "dselect_k")
    assert "importance/gate.noise" in gate.metrics
    assert not any(key.endswith(WARMED) for key in gate.metrics)
    _has_slices_of_the_trials_that_had_it(place)


def _has_slices_of_the_trials_that_had_it(place: Path) -> None:
    trials = read_review(default_uri(place / "gatelab_runs"), "whole").trials
    had = trials[trials["gate"] == "dselect_k"][WARMED].notna().sum()
    (figure,) = slices(trials, ["dselect_k"], most={"dselect_k": [WARMED]})
    points = sum(len(line.get_xdata()) for line in figure.axes[0].lines)
    assert points == had and 0 < had < 12


ONE_OF_TWO = """
name: two
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates:
  noisy: {gate: dselect_k, noise: [0, 0.3], z_weight: {choices: [0], when: {noise: 0.3}}}
  quiet: {gate: dselect_k, noise: [0, 0.3], z_weight: {choices: [0], when: {noise: 0}}}
baselines: false
training: {max_epochs: 1, batch_size: 32}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 1}
"""


@pytest.mark.slow
def test_what_is_selected_is_blank_too_where_it_was_not_searched(place: Path) -> None:
    """The two gates train the same, and select the same; of one it is said that it has a weight."""
    (place / "two.yaml").write_text(ONE_OF_TWO)
    gatelab(place, "launch", "two.yaml")
    record = read(place, "two")
    for stage in ("gate", "evaluate"):
        (noisy,), (quiet,) = record.of(stage, "noisy"), record.of(stage, "quiet")
        assert noisy.params["gate.noise"] == quiet.params["gate.noise"]
        assert ("gate.z_weight" in noisy.params) != ("gate.z_weight" in quiet.params)
