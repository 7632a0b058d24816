"""Overrides of a spec on the command line: any key, by the rules of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.sweeps.spec.overrides import overridden
from gatelab.sweeps.spec.reading import load_spec
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tracking.schema import FOLDER
from tests.in_process import gatelab

TEXT = """\
name: base
task: {name: synthetic_groups, num_targets: 4, num_groups: 2, train_rows: 60}
gates: [softmax, top_k]
baselines: false
training: {max_epochs: 2, batch_size: 32}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 2}
"""


@pytest.mark.parametrize(
    ("mapping", "text", "expected"),
    [
        ({}, "search.trials=50", {"search": {"trials": 50}}),
        ({"search": None}, "search.trials=50", {"search": {"trials": 50}}),
        ({"search": {"seed": 1}}, "search.trials=5", {"search": {"seed": 1, "trials": 5}}),
        ({"task": "a"}, "task.rows=3", {"task": {"name": "a", "rows": 3}}),
        ({"task": "a"}, "task=b", {"task": "b"}),
        (
            {"optimizer": "sgd"},
            "optimizer.momentum=0.9",
            {"optimizer": {"name": "sgd", "momentum": 0.9}},
        ),
        (
            {"gates": ["softmax", "my.gates:top_k"]},
            "gates.top_k.k=[1, 2]",
            {
                "gates": {
                    "softmax": {"gate": "softmax"},
                    "top_k": {"gate": "my.gates:top_k", "k": [1, 2]},
                }
            },
        ),
        (
            {"gates": ["my.gates:a.b"]},
            "gates.a.b.k=2",
            {"gates": {"a.b": {"gate": "my.gates:a.b", "k": 2}}},
        ),
        ({"gates": {"top_k": None}}, "gates.top_k.k=2", {"gates": {"top_k": {"k": 2}}}),
        ({"gates": {"a.b": {"k": 1}}}, "gates.a.b.k=2", {"gates": {"a.b": {"k": 2}}}),
        ({"name": "x"}, "name=010", {"name": "010"}),
        ({"name": "x"}, "name=a=b", {"name": "a=b"}),
        ({"kinds": {"a=b": "number"}}, "kinds.a=b=binary", {"kinds": {"a=b": "binary"}}),
        ({"kinds": {"a": 1, "a=b": 2}}, "kinds.a=b=3", {"kinds": {"a": 1, "a=b": 3}}),
        ({"kinds": {"a": 1}}, "kinds.a=b=3", {"kinds": {"a": "b=3"}}),
        ({"a=b": {"c.d=e": 1}}, "a=b.c.d=e=f=g", {"a=b": {"c.d=e": "f=g"}}),
        (
            {"task": {"targets": {"a=b": "binary"}}},
            "task.targets.a=b.weight=2",
            {"task": {"targets": {"a=b": {"kind": "binary", "weight": 2}}}},
        ),
        ({"training": {"patience": 5}}, "training.patience=null", {"training": {"patience": None}}),
        (
            {"search": {"early_stopping": False}},
            "search.early_stopping.grace_epochs=2",
            {"search": {"early_stopping": {"grace_epochs": 2}}},
        ),
        (
            {"optimizer": {"learning_rate": {"low": 1e-4, "high": 1}}},
            "optimizer.learning_rate.low=1e-3",
            {"optimizer": {"learning_rate": {"low": 1e-3, "high": 1}}},
        ),
        (
            {"task": {"name": "table", "targets": {"y.z": "binary"}}},
            "task.targets.y.z.class_weight=balanced",
            {
                "task": {
                    "name": "table",
                    "targets": {"y.z": {"kind": "binary", "class_weight": "balanced"}},
                }
            },
        ),
        ({}, "a=b=c", {"a": "b=c"}),
        *(({}, f"r.delimiter={it}", {"r": {"delimiter": it}}) for it in ",:|-;"),
    ],
)
def test_what_an_override_makes(mapping: dict[str, Any], text: str, expected: object) -> None:
    before = repr(mapping)
    assert overridden(mapping, [text]) == expected
    assert repr(mapping) == before


def test_keys_that_begin_alike_are_others() -> None:
    texts = ["task.targets.a=number", "task.targets.a.b=binary", "task.seed=1", "task.seeds=2"]
    found = overridden({"task": {"targets": {"a": 0, "a.b": 0}}}, texts)
    assert found == {"task": {"targets": {"a": "number", "a.b": "binary"}, "seed": 1, "seeds": 2}}


@pytest.mark.parametrize(
    ("overrides", "got"),
    [
        ("search.trials=4", "'search.trials=4': write ['search.trials=4']."),
        (["search.trials=4", 3], "['search.trials=4', 3]."),
        (3, "3."),
        ({"search.trials": 4}, "{'search.trials': 4}."),
    ],
)
def test_overrides_are_a_list_of_texts(
    overrides: Any, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(TEXT)
    with pytest.raises(SpecError) as raised:
        load_spec("a.yaml", overrides=overrides)
    assert str(raised.value) == f"a.yaml: overrides must be a list of texts, but got {got}"


def test_sections_that_share_an_anchor_do_not_change_together(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: a\ntask: digits_pairs\ngates: {one: &g {gate: top_k, k: 2}, two: *g}\n")
    gates = load_spec(path, overrides=["gates.one.k=3"]).gates
    assert [gates[name].hyperparameters["k"] for name in ("one", "two")] == [3, 2]


@pytest.mark.parametrize("command", ["validate", "launch"])
@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["="], "an override must be like search.trials=50, but got '='."),
        (["a="], "an override must be like search.trials=50, but got 'a='."),
        (["a"], "an override must be like search.trials=50, but got 'a'."),
        (["=3"], "an override must be like search.trials=50, but got '=3'."),
        (["search..trials=3"], "an override must be like"),
        (["search.trials=#3"], "search.trials: has no value"),
        (["search.trials=[3"], "search.trials: broken YAML: "),
        (["search.trials=!!int 3"], "search.trials: broken YAML: tags are not taken"),
        (["search.trials=3", "search.trials=4"], "search.trials: is overridden twice"),
        (["search.trials=3", "search={seed: 4}"], "search.trials: is overridden twice"),
        (["search={seed: 4}", "search.trials=3"], "search.trials: is overridden twice"),
        (["search=null", "search.trials=3"], "search.trials: is overridden twice"),
        (
            ["gates.top_k={k: 2}", "gates.top_k.k=1"],
            "gates.top_k.k: is overridden twice, the second time by 'gates.top_k.k=1'.",
        ),
        (["gates.top_k.k=1", "gates=[softmax]"], "gates.top_k.k: is overridden twice"),
        (["name.x=3"], "name: is 'base', which has no keys to override."),
        (["serach.trials=3"], "unknown key 'serach'; did you mean 'search'?"),
        (["search.trails=3"], "search: unknown key 'trails'; did you mean 'trials'?"),
        (["search.trials=0"], "search.trials: `trials >= 1` must hold, but got (trials=0)."),
        (["gates.top_k.kk=3"], "gates.top_k: unknown key 'kk'; "),
        (["gates.topk.k=3"], "gates.topk.gate: unknown gate 'topk'; did you mean 'top_k'"),
    ],
)
def test_bad_overrides(
    command: str, texts: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(TEXT)
    result = CliRunner().invoke(main, [command, "a.yaml", *texts])
    assert result.exit_code == 2, result.output
    assert result.output.startswith("gatelab: a.yaml: "), result.output
    assert said in result.output
    assert result.output.count("\n") == 1, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_a_file_that_holds_no_mapping_is_refused_as_ever(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("3")
    with pytest.raises(SpecError, match="must be a mapping of keys to values, but holds 3"):
        load_spec(tmp_path / "a.yaml", overrides=["search.trials=3"])


@pytest.mark.slow
def test_what_is_recorded_holds_the_result(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    Path("a.yaml").write_text(TEXT)
    gatelab(place, "launch", "a.yaml", "name=other", "search.trials=2", "gates.top_k.k=1")
    recorded = yaml.safe_load((place / FOLDER / "sweeps" / "other" / "spec.yaml").read_text())
    assert (recorded["search"]["trials"], recorded["gates"]["top_k"]["k"]) == (2, 1)
    assert recorded["experiment"] == "other"
    assert recorded["gates"]["softmax"] == {"gate": "softmax"}
