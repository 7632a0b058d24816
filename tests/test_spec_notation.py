"""What a spec's text may be: YAML 1.2 within bounds, and what each fault of it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatelab.sweeps.spec.notation import read_notation, write_notation
from gatelab.sweeps.spec.reading import load_spec, parse_spec
from gatelab.sweeps.spec.spec import SpecError

GOOD: dict[str, Any] = {"name": "a", "task": "digits_pairs", "gates": ["softmax"]}
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


def lines(**changes: Any) -> list[str]:
    """Return the lines that a good spec with some changes is refused with."""
    with pytest.raises(SpecError) as refused:
        parse_spec({**GOOD, **changes}, "x.yaml")
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", "010"),
        ("190:20:30", "190:20:30"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("2026-02-30", "2026-02-30"),
        ("2026-11-26", "2026-11-26"),
        ("yes", "yes"),
        ("off", "off"),
        ("=", "="),
        ("<<", "<<"),
        ("1e3", 1000.0),
        ("1e-3", 0.001),
        ("-.5", -0.5),
        ("-7", -7),
        ("true", True),
        ("null", None),
    ],
)
def test_plain_words(text: str, value: Any) -> None:
    found = read_notation(f"key: {text}\n")["key"]
    assert (found, type(found)) == (value, type(value))
    assert (
        read_notation(write_notation({"key": value}))
        == yaml.safe_load(write_notation({"key": value}))
        == {"key": value}
    )


def test_merge_keys() -> None:
    text = "x-base: &b {k: 1, j: 2}\na: &a {<<: *b, k: 3}\nc: {<<: [*a, {l: 4}], j: 5}\n"
    found = read_notation(text)
    assert (found["a"], found["c"]) == ({"k": 3, "j": 2}, {"k": 3, "l": 4, "j": 5})


def test_a_spec_with_merge_keys(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "x-short: &short {trials: 2, seed: 4}\nname: a\ntask: digits_pairs\n"
        "gates:\n  one: &one {gate: top_k, k: 2}\n  two: {<<: *one, k: 3}\n"
        "search: {<<: *short, trials: 3}\n"
    )
    spec = load_spec(tmp_path / "a.yaml")
    assert (spec.search.trials, spec.search.seed) == (3, 4)
    assert (spec.gates["two"].gate, spec.gates["two"].hyperparameters) == ("top_k", {"k": 3})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB, "at most 20000 values"),
        ("{a: " * 3000, "inside each other"),
        ("a: &a [*a]", "must not hold itself"),
        ("a: &a {<<: *a}", "must not hold itself"),
        ("a: !!int abc", "tags are not taken"),
        ("a: !!binary abc", "tags are not taken"),
        (f"a: {'9' * 400}", "below 2\\*\\*63"),
        ("a: 9223372036854775808", "below 2\\*\\*63"),
        ("a: 1\nb: 2\na: 3", "'a' is there twice"),
        ("a: {<<: {b: 1}, c: 1, c: 2}", "'c' is there twice"),
        ("? [a]\n: 1", "one word"),
        ("<<: 3", "expected a mapping"),
        ("a:\n\tb: 1", "a tab stands here, where only spaces may"),
        ("a: b\t", "a tab stands here"),
        ('{\n\t"a": 1\n}', "a tab stands here"),
        (r'a: "\UFFFFFFFF"', "that of no sign"),
        (r'a: "\U00110000"', "that of no sign"),
    ],
)
def test_what_no_spec_needs(text: str, problem: str) -> None:
    with pytest.raises(yaml.YAMLError, match=problem) as refused:
        read_notation(text)
    assert len(str(refused.value)) < 500


def test_what_is_no_file_with_a_spec(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("nowhere")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(100 * 2**20)
    (tmp_path / "zeros").write_bytes(b"name: \0")
    cases = {
        tmp_path / "fifo": "a device or a pipe",
        "/dev/zero": "a device or a pipe",
        tmp_path / "link": "leads to 'nowhere', which is not there",
        tmp_path / "large": "has 100 MiB",
        tmp_path / "zeros": "broken YAML",
        tmp_path / "a\nb": "no such file",
        "p" * 300: "cannot be read: File name too long",
        "a\0b": "no such file",
    }
    for path, said in cases.items():
        with pytest.raises(SpecError) as refused:
            load_spec(path)
        assert said in str(refused.value), path
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("section", "value", "said"),
    [
        ("name", 2026, "must be a text, but got 2026: write it in quotes."),
        ("experiment", 1.5, "must be a text, but got 1.5: write it in quotes."),
        ("name", "n" * 252, "must have 128 characters at most, but has 252: 'nnn"),
        ("name", None, "must be a text, but got null: write one."),
        ("search", None, "is empty: write its keys below it, or leave it out."),
        ("search", {"early_stopping": None}, "must be false, which prunes no trial, or a mapping"),
        ("search", {"early_stopping": True}, "must be false, which prunes no trial, or a mapping"),
        ("search", {"trials": "010"}, "must be an integer, but got '010'."),
        ("search", {"trials": "20"}, "must be an integer, but got '20': write it without quotes."),
        ("search", {"trials": True}, "must be an integer, but got true."),
        ("task", {"name": "synthetic_groups", "train_rows": 1e3}, "but got 1000.0: write 1000."),
        ("task", {"name": "synthetic_groups", "train_rows": "50"}, "write it without quotes."),
        ("task", {"name": "synthetic_groups", "train_rows": None}, "an integer, but got null"),
        ("gates", {"dselect_k": {"gamma": float("inf")}}, "must be finite, but got inf."),
        ("gates", {"dselect_k": {"gamma": [1.0, float("nan")]}}, "must be finite, but got nan."),
        ("gates", {"dselect_k": {"gamma": {"low": 1, "high": float("inf")}}}, "`high` must be a"),
        ("gates", {"dselect_k": {"gamma": {"low": "1", "high": 2}}}, "`low` must be a number"),
        ("gates", {"dselect_k": {"gamma": {"low": 0, "high": 1, "step": 0.3}}}, "`step` must div"),
        ("gates", {"dselect_k": {"gamma": {"low": 1, "high": 2, "log": "yes"}}}, "`log` must be"),
        (
            "gates",
            {"dselect_k": {"gamma": {"low": 0, "high": 1, "step": 1e-30}}},
            "1,000,000,000 s",
        ),
        ("gates", {"dselect_k": {"gamma": [1, 1.0]}}, "choices must differ, but got [1, 1.0]."),
        ("gates", "softmax", "must name at least one gate, but got 'softmax': write [softmax]."),
        ("metrics", "rmse", "must be a list, but got 'rmse': write [rmse]."),
        ("experiment", "a\0b", "must be signs that can be printed, but got 'a\\x00b'."),
        ("experiment", "\ud800", "must be signs that can be printed, but got '\\ud800'."),
        ("experiment", "a\nb", "must be signs that can be printed, but got 'a\\nb'."),
        ("experiment", " ", "must be signs that can be printed, but got ' '."),
        ("experiment", ["a"], "must be a text, but got ['a']."),
        ("task", {"name": "synthetic_groups", 3: 4}, ".3: must be a text, but got 3: write it in"),
        ("gates", {"dselect_k": {"static": "yes"}}, "must be true or false, but got 'yes'."),
        ("model", {"num_experts": 10**9}, "`1 <= num_experts <= 10000` must hold"),
        ("resources", {"cpus": float("inf")}, "must be a finite number, but got inf."),
        ("resources", {"cpus": "2"}, "must be a number, but got '2': write it without quotes."),
        ("gates", {"softmax": [["x" * 100] * 9] * 9}, "must be a mapping of hyperparameters"),
    ],
)
def test_a_fault_says_what_to_write(section: str, value: Any, said: str) -> None:
    (line,) = lines(**{section: value})
    assert line.startswith(f"x.yaml: {section}")
    assert said in line
    assert len(line) < 400


def test_every_fault_of_a_spec_is_said() -> None:
    """Those of its form and those of what it names, at once."""
    found = lines(
        name=3,
        trainning={},
        gates={"sotfmax": None, "top_k": {"k": 99}, "softmax": {"x": 1, "y": 2}},
        metrics=["acuracy", "rmse"],
        search={"trials": 0, "sed": 1},
    )
    assert [line.removeprefix("x.yaml: ").partition(" ")[0] for line in found] == [
        "name:",
        "search.trials:",
        "search:",
        "unknown",
        "metrics:",
        "metrics:",
        "gates.sotfmax.gate:",
        "gates.top_k.k:",
        "gates.softmax:",
        "gates.softmax:",
    ]


def test_values_are_looked_at_whatever_else_is_wrong() -> None:
    found = lines(
        optimizer={"learning_rate": -1, "weight_decay": -1},
        gates={"dselect_k": {"gamma": -1}, "top_k": {"k": 0}},
        training={"max_epochs": 2},
        search={"early_stopping": {"grace_epochs": 5}},
    )
    assert [line.split(": ")[1] for line in found] == [
        "search.early_stopping.grace_epochs",
        "optimizer.learning_rate",
        "optimizer.weight_decay",
        "gates.dselect_k.gamma",
        "gates.top_k.k",
    ]


def test_what_depends_on_a_section_that_is_wrong_is_not_looked_at() -> None:
    gates = {"top_k": {"k": 12}}
    (line,) = lines(model={"num_experts": 16, 3: 1}, gates=gates)
    assert line.startswith("x.yaml: model.3: ")
