"""Bad specs: one line that says what, where and the value; exit code 2; nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from optuna.distributions import CategoricalDistribution

from gatelab.gates import SoftmaxGate, register_gate
from tests.bad_specs import run, spec

HALVING = "{trials: 2, early_stopping: {grace_epochs: 9, reduction_factor: 2}}"


CASES: list[tuple[str, str, tuple[str, ...]]] = [
    ("unknown gate", spec(gates="[sotfmax]"), ("gates.sotfmax", "'sotfmax'", "'softmax'")),
    (
        "the key of a class as a label",
        spec(gates="{'mine:own': {}}"),
        ("gates.mine:own", "a class has a label, own: {gate: 'mine:own'}"),
    ),
    ("unknown module", spec(gates="[nowhere.here:softmax]"), ("nowhere.here", "cannot import")),
    ("unknown task", spec(task="digit_pairs"), ("task", "'digit_pairs'", "'digits_pairs'")),
    ("unknown key", spec(trainning="{}"), ("'trainning'", "'training'")),
    ("unknown key inside", spec(training="{max_epoch: 3}"), ("training", "'max_epochs'")),
    ("unknown metric", spec(metrics="[acuracy]"), ("metrics", "'acuracy'", "'accuracy'")),
    ("metric of another kind", spec(metrics="[rmse]"), ("metrics", "'rmse'", "accuracy")),
    ("no metric", spec(metrics="[]"), ("metrics", "at least one")),
    ("metrics no list", spec(metrics="3"), ("metrics", "3")),
    ("k too large", spec(gates="{top_k: {k: 5}}"), ("gates.top_k.k", "k=5", "num_experts=4")),
    ("k in a list", spec(gates="{top_k: {k: [2, 5]}}"), ("gates.top_k.k", "k=5")),
    ("k in a range", spec(gates="{top_k: {k: {low: 1, high: 9}}}"), ("gates.top_k.k", "k=9")),
    (
        "k beside another's end, among many that are searched",
        spec(
            gates="{top_k: {k: [1, 6], noise: [false, true], balance_weight: [0, 0.1]}}",
            model="{num_experts: [4, 8], expert_width: [8, 16, 32, 64]}",
            optimizer="{weight_decay: [0, 0.01]}",
        ),
        ("gates.top_k.k", "k=6", "num_experts=4"),
    ),
    (
        "two values of an optimiser, among many that are searched",
        spec(
            model="{num_experts: [4, 8], expert_width: [8, 16, 32, 64], expert_depth: [1, 2]}",
            optimizer="{name: sgd, momentum: [0.0, 0.9], nesterov: [false, true], "
            "learning_rate: {low: 1e-3, high: 1e-1}}",
        ),
        ("optimizer", "nesterov", "momentum"),
    ),
    ("k zero", spec(gates="{top_k: {k: 0}}"), ("gates.top_k.k", "k=0", "1 <= k")),
    ("k negative", spec(gates="{dselect_k: {k: -1}}"), ("gates.dselect_k.k", "k=-1")),
    (
        "k from zero",
        spec(gates="{dselect_k: {k: {low: 0, high: 2}}}"),
        ("gates.dselect_k.k", "k=0"),
    ),
    ("k no integer", spec(gates="{top_k: {k: 2.5}}"), ("gates.top_k.k", "an integer", "2.5")),
    ("k a text", spec(gates="{top_k: {k: two}}"), ("gates.top_k.k", "an integer", "'two'")),
    ("k true", spec(gates="{top_k: {k: true}}"), ("gates.top_k.k", "an integer", "got true.")),
    ("k null", spec(gates="{top_k: {k: [null]}}"), ("gates.top_k.k", "got null.")),
    (
        "a word of YAML's",
        spec(gates="{true: }"),
        ("line 3", "write 'true' in quotes"),
    ),
    ("gamma zero", spec(gates="{dselect_k: {gamma: 0}}"), ("gates.dselect_k.gamma", "gamma > 0")),
    ("gamma negative", spec(gates="{dselect_k: {gamma: -1}}"), ("gamma", "-1")),
    (
        "gamma from zero",
        spec(gates="{dselect_k: {gamma: {low: 0, high: 1, log: true}}}"),
        ("gates.dselect_k.gamma", "low > 0", "low=0"),
    ),
    (
        "low above high",
        spec(gates="{dselect_k: {gamma: {low: 2, high: 1}}}"),
        ("gates.dselect_k.gamma", "low <= high", "low=2", "high=1"),
    ),
    (
        "range without high",
        spec(optimizer="{learning_rate: {low: 1}}"),
        ("learning_rate", "'high'"),
    ),
    (
        "unknown key of a range",
        spec(optimizer="{learning_rate: {low: 1, hihg: 2}}"),
        ("optimizer.learning_rate", "'hihg'", "'high'"),
    ),
    (
        "step with log",
        spec(model="{num_experts: {low: 2, high: 4, log: true, step: 2}}"),
        ("model.num_experts", "`log` and `step`"),
    ),
    ("empty list", spec(gates="{top_k: {k: []}}"), ("gates.top_k.k", "must not be empty")),
    ("choices twice", spec(gates="{top_k: {k: [2, 2]}}"), ("gates.top_k.k", "must differ")),
    ("unknown reduction", spec(gates="{dselect_k: {reduction: sum}}"), ("reduction", "'sum'")),
    (
        "weight negative",
        spec(gates="{dselect_k: {entropy_weight: -0.1}}"),
        ("entropy_weight", "-0.1"),
    ),
    (
        "unknown hyperparameter",
        spec(gates="{dselect_k: {gama: 1}}"),
        ("gates.dselect_k", "'gama'", "'gamma'"),
    ),
    ("no gates", spec(gates="[]"), ("gates", "at least one")),
    ("gates missing", spec(gates=None), ("gates", "required")),
    ("gate twice", spec(gates="[softmax, softmax]"), ("gates", "'softmax'", "twice")),
    ("gate no mapping", spec(gates="{softmax: 3}"), ("gates", "'softmax'", "3")),
    ("zero trials", spec(search="{trials: 0}"), ("search.trials", "trials >= 1", "trials=0")),
    ("trials no integer", spec(search="{trials: 2.5}"), ("search.trials", "2.5")),
    ("unknown sampler", spec(search="{sampler: tpee}"), ("search.sampler", "'tpee'", "'tpe'")),
    ("negative seed", spec(search="{seed: -1}"), ("search.seed", "seed >= 0", "-1")),
    ("grace too long", spec(search=HALVING), ("search.early_stopping.grace_epochs", "9", "4")),
    (
        "reduction factor one",
        spec(search="{early_stopping: {reduction_factor: 1}}"),
        ("search.early_stopping", "reduction_factor", "1"),
    ),
    (
        "factor above a round's trials",
        spec(search="{trials: 6, rounds: 3, early_stopping: {reduction_factor: 3}}"),
        ("search.early_stopping.reduction_factor", "(reduction_factor=3, trials=6, rounds=3)"),
    ),
    (
        "rounds that do not divide the trials",
        spec(search="{trials: 10, rounds: 3}"),
        ("search.rounds", "must divide", "(rounds=3, trials=10)", "1, 2, 5, 10 do"),
    ),
    ("no repeat", spec(search="{trials: 2, repeats: 0}"), ("search.repeats", "repeats >= 1")),
    ("no split", spec(evaluation="{splits: 0}"), ("evaluation.splits", "splits >= 1")),
    ("baselines as a text", spec(baselines="'no'"), ("baselines", "'no'")),
    ("baselines in a list", spec(baselines="[single]"), ("baselines", "single")),
    (
        "name of a row at one k",
        spec(gates="{top_k: {k: [1, 2]}, top_k.k2: {gate: softmax}}"),
        ("gates.top_k.k2", "row of 'top_k'", "take another"),
    ),
    (
        "objective of no target",
        spec(search="{trials: 2, objective: val/mean/aurock}"),
        ("search.objective", "'val/mean/aurock'", "val/"),
    ),
    (
        "objective of the test split",
        spec(search="{trials: 2, objective: test/loss}"),
        ("search.objective", "'test/loss'", "val/loss"),
    ),
    (
        "share that is none",
        spec(search="{trials: 2, require: {at_most_k: 1.5}}"),
        ("search.require", "at_most_k", "1.5"),
    ),
    (
        "share that is a switch",
        spec(search="{trials: 2, require: {at_most_k: true}}"),
        ("search.require.at_most_k", "must be a number, but got true."),
    ),
    (
        "share in quotes",
        spec(search="{trials: 2, require: {at_most_k: '0.5'}}"),
        ("search.require.at_most_k", "must be a number, but got '0.5': write it without quotes."),
    ),
    ("requirement that is none", spec(search="{trials: 2, require: true}"), ("search.require",)),
    (
        "unknown requirement",
        spec(search="{trials: 2, require: {at_most: 1}}"),
        ("search.require", "'at_most'", "at_most_k"),
    ),
    ("zero epochs", spec(training="{max_epochs: 0}"), ("training.max_epochs", "max_epochs >= 1")),
    ("zero batch", spec(training="{batch_size: 0}"), ("training.batch_size", "batch_size >= 1")),
    ("zero patience", spec(training="{patience: 0}"), ("training.patience", "patience >= 1")),
    ("zero seeds", spec(evaluation="{seeds: 0}"), ("evaluation.seeds", "seeds >= 1", "seeds=0")),
    ("selection", spec(evaluation="{select: worst}"), ("evaluation", "unknown key 'select'")),
    ("unknown optimizer", spec(optimizer="{name: adm}"), ("optimizer.name", "'adm'", "'adam'")),
    ("rate zero", spec(optimizer="{learning_rate: 0}"), ("optimizer.learning_rate", "0.0")),
    ("rate negative", spec(optimizer="{learning_rate: [0.1, -0.1]}"), ("learning_rate", "-0.1")),
    ("rate a text", spec(optimizer="{learning_rate: fast}"), ("optimizer.learning_rate", "'fast'")),
    ("rate infinite", spec(optimizer="{learning_rate: .inf}"), ("optimizer.learning_rate", "inf")),
    ("decay negative", spec(optimizer="{weight_decay: -1}"), ("optimizer.weight_decay", "-1")),
    ("no experts", spec(model="{num_experts: 0}"), ("model.num_experts", "num_experts=0")),
    ("unknown network key", spec(model="{expert_widht: 3}"), ("'expert_widht'", "'expert_width'")),
    ("width zero", spec(model="{expert_width: 0}"), ("model.expert_width", "expert_width=0")),
    ("depth without end", spec(model="{expert_depth: 1000000000}"), ("model", "expert_depth=100")),
    ("dropout one", spec(model="{dropout: 1.0}"), ("model.dropout", "1.0")),
    ("task option", spec(task="{name: digits_pairs, sed: 1}"), ("task", "'sed'", "'seed'")),
    (
        "task value",
        spec(task="{name: synthetic_groups, num_targets: 1}"),
        ("task.num_targets", "num_targets=1"),
    ),
    ("task a list", spec(task="[digits_pairs]"), ("task", "a name")),
    ("task missing", spec(task=None), ("task", "required")),
    ("name missing", spec(name=None), ("name: is required, but missing.\n",)),
    ("name with a slash", spec(name="../x"), ("name", "letters", "'../x'")),
    ("name of dots", spec(name=".."), ("name", "letters", "'..'")),
    ("negative gpus", spec(resources="{gpus: -1}"), ("resources.gpus", "gpus >= 0")),
    ("parts of GPUs", spec(resources="{gpus: 1.5}"), ("resources.gpus", "whole", "gpus=1.5")),
    ("next to nothing", spec(resources="{cpus: 1e-5}"), ("resources.cpus", "cpus >= 0.0001")),
    ("z-loss without logits", spec(gates="{uniform: {z_weight: 0.1}}"), ("z_weight", "logits")),
    (
        "more targets than experts",
        spec(gates="[one_each]", model="{num_experts: 1}"),
        ("gates.one_each", "num_targets <= num_experts", "num_targets=2, num_experts=1"),
    ),
    (
        "an oracle without a truth",
        spec(gates="[oracle]"),
        ("gates.oracle", "`oracle` needs a task that knows its truth, but this one has none."),
    ),
    (
        "a warm-up after the snap",
        spec(gates="{dselect_k: {entropy_warmup: 0.8, snap: 0.7}}"),
        ("gates.dselect_k.entropy_warmup", "entropy_warmup=0.8, snap=0.7"),
    ),
    ("no resources", spec(resources="{cpus: 0}"), ("resources", "cpus + gpus > 0", "cpus=0")),
    ("a list at the top", "- a\n- b\n", ("must be a mapping",)),
    ("a text at the top", "hello\n", ("must be a mapping", "'hello'")),
    ("empty", "", ("must be a mapping", "is empty")),
    ("broken YAML", "name: [a\ntask: b\n", ("line 2", "broken YAML")),
    ("a number as key", spec() + "1.5: 1\n", ("1.5", "a key must be a text", "in quotes")),
    (
        "trials without end",
        spec(search="{trials: 1000000000000}"),
        ("search.trials", "trials <= 1000000"),
    ),
    ("repeats", spec(search="{repeats: 1000000000}"), ("search.repeats", "repeats <= 1000000")),
    ("members", spec(resources="{members: 1000000000}"), ("resources.members", "members <=")),
    (
        "splits without end",
        spec(evaluation="{splits: 1000000000}"),
        ("evaluation.splits", "splits <= 1000000"),
    ),
    ("a key twice", spec() + "name: other\n", ("'name'", "twice", "line 7")),
    ("an object", "name: !!python/object/apply:os.getcwd []\n", ("broken YAML",)),
]


@pytest.mark.parametrize(("name", "text", "fragments"), CASES, ids=[case[0] for case in CASES])
def test_bad_spec(
    name: str,
    text: str,
    fragments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(text)
    code, message = run("launch", "bad.yaml")
    assert code == 2
    assert message.count("\n") == 1, message
    assert message.startswith("gatelab: bad.yaml: "), message
    for fragment in fragments:
        assert fragment in message
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_the_good_spec_is_good(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(spec())
    assert run("validate", str(tmp_path / "good.yaml"))[0] == 0


def test_a_search_space_of_what_a_gate_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @register_gate("misspelt")
    class Misspelt(SoftmaxGate):
        """Searches what it has not."""

        search_space: ClassVar[Any] = {"statci": CategoricalDistribution([False, True])}

    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(spec(gates="[misspelt]"))
    assert run("launch", "bad.yaml") == (
        2,
        "gatelab: bad.yaml: gates.misspelt: Misspelt has 'statci' in its search space, but no such "
        "argument; did you mean 'static'?\n",
    )


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits.yaml").write_text("")
    code, message = run("launch", "digts.yaml")
    assert (code, message) == (
        2,
        "gatelab: digts.yaml: no such file; did you mean 'digits.yaml'?\n",
    )


def test_folder_and_bytes(tmp_path: Path) -> None:
    code, message = run("launch", str(tmp_path))
    assert (code, "is a folder" in message) == (2, True)
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff\xfe")
    code, message = run("launch", str(tmp_path / "bytes.yaml"))
    assert (code, "UTF-8" in message) == (2, True)


@pytest.mark.parametrize(
    ("command", "said"), [("resume", "no sweep 'nothing'"), ("compare", "there is no store")]
)
def test_unknown_sweep(command: str, said: str, tmp_path: Path) -> None:
    code, message = run(command, "nothing", "--folder", str(tmp_path / "none"))
    assert (code, message.count("\n"), said in message) == (2, 1, True)
    assert not (tmp_path / "none").exists()


def test_name_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(spec())
    taken = Path("gatelab_runs/sweeps/bad")
    taken.mkdir(parents=True)
    places = '{"uri": "sqlite:///elsewhere.db", "storage": null, "id": "0f"}'
    (taken / "places.json").write_text(places)
    code, message = run("launch", "bad.yaml")
    assert (code, message.count("\n")) == (2, 1)
    assert message.startswith("gatelab: bad.yaml: name: sweep 'bad' is there already")
    assert [file.name for file in taken.iterdir()] == ["places.json"]
