"""`search.first`: what may stand there, and that it is what the search tries first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import load_spec, parse_spec
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import SpecError
from tests.in_process import gatelab
from tests.launched import read

SMALL = {"name": "synthetic_groups", "num_targets": 2, "train_rows": 64, "val_rows": 32}


def content(first: Any, trials: int = 3) -> dict[str, Any]:
    return {
        "name": "known",
        "task": {**SMALL, "test_rows": 32},
        "model": {"num_experts": 4},
        "gates": {"top_k": {"k": [1, 2, 4]}, "softmax": None},
        "baselines": False,
        "optimizer": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
        "training": {"max_epochs": 2, "batch_size": 32},
        "search": {"trials": trials, "first": first},
        "evaluation": {"seeds": 2},
    }


def test_what_is_fixed_may_be_said_again_and_integers_are_numbers() -> None:
    first = {"top_k": [{"gate.k": 4, "optimizer.learning_rate": 0.01, "optimizer.name": "adam"}]}
    spec = parse_spec(content(first))
    assert space(spec, "top_k", make_task(spec)).known == (
        {"gate.k": 4, "optimizer.learning_rate": 0.01},
    )
    assert space(spec, "softmax", make_task(spec)).known == ()


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"topk": [{}]}, "search.first.topk: is no gate of the spec; did you mean 'top_k'?"),
        ({"top_k": [{"gate.kk": 2}]}, "search.first.top_k.0.gate.kk: is not searched; did you"),
        ({"top_k": [{"gate.k": 3}]}, "gate.k: must be one of those that are searched, Categorical"),
        ({"top_k": [{}, {"optimizer.learning_rate": 1}]}, "top_k.1.optimizer.learning_rate: must"),
        ({"top_k": [{"optimizer.name": "sgd"}]}, "is fixed to 'adam', but got 'sgd'."),
        (
            {"top_k": [{}, {}, {}]},
            "at most 2 fit into the first round beside the default, but got 3",
        ),
        ({"top_k": {"gate.k": 2}}, "search.first.top_k"),
    ],
)
def test_what_cannot_be_tried_is_one_line(first: Any, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(content(first))
    assert said in str(caught.value) and len(caught.value.faults) == 1


def test_the_spec_loads_again_as_it_is_written(tmp_path: Path) -> None:
    spec = parse_spec(content({"top_k": [{"gate.k": 1}]}))
    (tmp_path / "again.yaml").write_text(spec.to_yaml())
    assert load_spec(tmp_path / "again.yaml") == spec


def test_a_sweep_tries_them_first(place: Path) -> None:
    known = {"gate.k": 4, "optimizer.learning_rate": 0.005}
    spec = parse_spec(content({"top_k": [known]}))
    (place / "known.yaml").write_text(spec.to_yaml())
    said = gatelab(place, "launch", "known.yaml")
    assert "top_k: trial 1 " in said
    (tried,) = [r for r in read(place, "known").of("search", "top_k") if r.tags["trial"] == "1"]
    assert {name: tried.params[name] for name in known} == {n: str(v) for n, v in known.items()}
