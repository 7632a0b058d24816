"""``gatelab new sweep``: from a table to a spec that runs as it is, or one line that asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.sweeps.spec.notation import read_notation
from gatelab.sweeps.spec.reading import load_spec
from gatelab.sweeps.spec.table_spec import sizes, sweep_name
from gatelab.tasks import Table
from tests import in_process
from tests.new_sweeps import new, targets, task_of
from tests.test_table_task import people
from tests.written_tables import TABLES


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATELAB_DATA", raising=False)


def test_a_spec_says_all_that_was_found() -> None:
    people(400).to_csv("people.csv", index=False)
    done = new("people.csv", *targets("income", "weeks", "region"))
    assert task_of("people.yaml") == {
        "path": "people.csv",
        "targets": {"income": "binary", "weeks": "regression", "region": "multiclass"},
        "kinds": {"age": "number", "height": "number", "job": "category"},
        "split": {"shares": [0.7, 0.15, 0.15], "stratify": True},
        "duplicates": "keep",
        "min_frequency": 5,
        "split_seed": 0,
    }
    assert "`region` is proposed as multiclass: 3 whole numbers, 2 to 10; regr" in done.stdout
    assert "gatelab launch people.yaml" in done.stdout.splitlines()[-1]
    assert "region: multiclass # proposed: 3 whole numbers" in Path("people.yaml").read_text()
    checked = CliRunner().invoke(main, ["validate", "people.yaml"])
    assert checked.exit_code == 0 and "people.yaml: valid." in checked.stdout


def test_a_kind_that_is_given_is_no_proposal() -> None:
    people(400).to_csv("people.csv", index=False)
    done = new("people.csv", *targets("region=regression"), "--output", "other.yaml")
    assert task_of("other.yaml")["targets"] == {"region": "regression"}
    assert load_spec(Path("other.yaml")).name == "other", "or two of one table would collide"
    assert "proposed" not in done.stdout


def test_a_spec_of_weighted_rows_that_a_column_divides() -> None:
    """All columns are counted, and no comment offers what such a split refuses."""
    frame = people(400).assign(w=np.arange(400) % 3, part=np.repeat(["a", "b", "c", "a"], 100))
    frame.to_csv("people.csv", index=False)
    split = ("--option", "weights=w", "--option", "split={column: part, val: b, test: c}")
    done = new("people.csv", *targets("income"), *split)
    assert f"people.csv: 400 rows, {frame.shape[1]} columns." in done.stdout
    text = Path("people.yaml").read_text()
    assert "  weights: w # the column of what a row weighs, which is no feature\n" in text
    assert "  split_seed: 0 # 0 alone: " in text and "  splits: 1 # no more: " in text
    refused = CliRunner().invoke(main, ["validate", "people.yaml", "task.split_seed=1"])
    assert refused.exit_code == 2 and "`split_seed` must be 0" in refused.stderr


@pytest.mark.slow
def test_what_is_written_runs(place: Path) -> None:
    people(60).to_csv(place / "people.csv", index=False)
    with in_process.modules_of(place):
        new("people.csv", *targets("income", "weeks"))
    text = (place / "people.yaml").read_text()
    assert "max_epochs: 60" in text and "trials: 8" in text
    (place / "people.yaml").write_text(
        text.replace("max_epochs: 60", "max_epochs: 3").replace("trials: 8", "trials: 2")
    )
    said = in_process.gatelab(place, "launch", "people.yaml")
    assert "dselect_k" in said and "gatelab ui people" in said


NAMES = (
    *("two words", "a,b", 'a "quoted" one', "it's", "key: value", "# none", "- dash", "[x]", "{y}"),
    *("yes", "No", "null", "~", "true", "2024", "1e5", "2024-01-01", "-1", ".5", "010", "=", "<<"),
    *("größe", "身長", "😀", "tab\tbed", "a=b", "%", "@at", "`tick`", "!bang", "&ref", "x" * 300),
    *("\x85next", "\u2028line", "\x07bell", "back\\slash", "trailing:", "y", "inf", "0x10"),
)


def test_any_name_reads_back_the_same() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.normal(size=60) for name in NAMES})
    frame["constant: #1"], frame["words"] = "\x07 a # b\u2028c", random.choice(["a", "b: c"], 60)
    frame[list(NAMES[::9])] = random.integers(0, 2, (60, len(NAMES[::9])))
    frame.to_csv("odd.csv", index=False)
    new("odd.csv", *targets(*NAMES[::9]), "--option", "reading={header: true}")
    written = task_of("odd.yaml")
    stripped = [name.strip() for name in NAMES]
    assert [*written["targets"]] == stripped[::9]
    assert {*written["kinds"]} == {*stripped, "words"} - {*stripped[::9]}
    assert written["drop"] == ["constant: #1"]
    labels = [it.name for it in Table(**written).targets]
    assert len({it.casefold() for it in labels}) == len(labels)
    plain = yaml.safe_load(Path("odd.yaml").read_text())  # by readers of YAML 1.1, too
    assert plain["task"]["kinds"] == written["kinds"]


def test_a_name_that_begins_with_a_dash_is_no_option_of_what_comes_next() -> None:
    people(100).to_csv("-t.csv", index=False)
    said = new("--target", "income", "--", "-t.csv").stdout
    command = next(line.split("#")[0] for line in said.splitlines() if "gatelab validate" in line)
    done = CliRunner().invoke(main, command.split()[1:])
    assert (command.split()[-1], done.exit_code) == ("./-t.yaml", 0), done.output


def test_questions_of_a_form_are_names() -> None:
    """YAML takes no long key in a block as it is written by itself."""
    question = "How satisfied are you with what you were given to eat, all in all? " * 3
    names = {"Why\n(in a word)": question.strip(), "\u00fcber: #1\r\n [%] ": question + "why: #?"}
    frame = people(60).rename(columns={"income": [*names][0], "age": [*names][1]})
    first, second = "Why (in a word)", "über: #1 [%]"
    for written in ({}, dict(zip(names, names.values(), strict=True))):
        frame.rename(columns=written).to_csv("form.csv", index=False)
        Path("form.yaml").unlink(missing_ok=True)
        asked, other = [*written.values()] or (first, second)
        new("form.csv", *targets(asked), "--option", f"missing={{{other!r}: [20]}}")
        task = task_of("form.yaml")
        assert [*task["targets"]] == [asked] and task["kinds"][other] == "number"
        assert task["missing"] == {other: [20]}
        assert [it.name for it in Table(**task).target_columns] == [asked]


def test_a_star_is_every_column_that_is_not_named() -> None:
    frame = pd.DataFrame({"bit": [0, 1] * 20, "other": [1, 0] * 20, "y": range(40)})
    kinds = {"*": "number", "other": "category"}
    found = Table(frame, targets={"y": "regression"}, kinds=kinds).features
    assert {name: it.kind for name, it in found.items()} == {"bit": "number", "other": "category"}
    called_so = frame.rename(columns={"bit": "*"})
    found = Table(called_so, targets={"y": "regression"}, kinds=kinds).features
    assert {name: it.kind for name, it in found.items()} == {"*": "number", "other": "category"}


def test_how_a_file_is_written_stands_in_the_spec() -> None:
    rows = [f"{at};{at},5;{at % 2}" for at in range(40)]
    Path("t.csv").write_text("\n".join(["a;b;y", *rows]), encoding="utf-16")
    new("t.csv", *targets("y"))
    assert task_of("t.yaml")["reading"] == {
        "delimiter": ";",
        "decimal": ",",
        "encoding": "utf-16",
    }
    Path("cp.csv").write_text("\n".join(["ä;b;y", *rows]), encoding="cp1252")
    assert "reading={encoding: cp1252}" in new("cp.csv", *targets("y"), code=2).stderr
    new("cp.csv", *targets("y"), "--option", "reading={encoding: cp1252}")
    assert task_of("cp.yaml")["reading"] == {
        "delimiter": ";",
        "decimal": ",",
        "encoding": "cp1252",
    }


def test_columns_that_ask_are_named_at_once_and_answers_are_joined() -> None:
    days = pd.date_range("2026-01-01", periods=40).astype(str)
    frame = pd.DataFrame({"begin": days, "end": days, "x": np.arange(40.0) ** 2, "y": [0, 1] * 20})
    frame.to_csv("t.csv", index=False)
    refused = new("t.csv", *targets("y"), code=2).stderr
    assert "`--option 'drop=[begin]'`" in refused and "Other columns ask too: `end`." in refused
    new("t.csv", *targets("y"), "--option", "split={time: begin}", "--option", "drop=[end]")
    written = task_of("t.yaml")
    assert written["split"] == {"time": "begin", "format": "iso", "shares": [0.7, 0.15, 0.15]}
    assert (written["drop"], written["kinds"]) == (["end"], {"x": "number"})
    both = ("--option", "drop=[begin]", "--option", "drop=[end]", "--output", "both.yaml")
    new("t.csv", *targets("y"), *both)
    assert task_of("both.yaml")["drop"] == ["begin", "end"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_written_spec_reads_what_was_found(form: str) -> None:
    """The same features and targets, row by row, whether kinds are found or said."""
    random, rows = np.random.default_rng(0), 80
    frame = pd.DataFrame(
        {
            "flag": random.choice([True, False], rows),
            "word": random.choice(["Yes", "no"], rows),
            "zone": random.choice(["007", "7", "11"], rows),
            "count": random.integers(0, 5, rows),
            "gaps": np.where(random.random(rows) < 0.2, np.nan, random.integers(0, 90, rows)),
            "bit": random.choice([0.0, 1.0, np.nan], rows),
            "job": random.choice(["a", "b", None], rows),
            "same": "x",
            "y": random.normal(size=rows),
        }
    )
    getattr(frame, f"to_{form}")(f"t.{form}", index=False)
    new(f"t.{form}", *targets("y"))
    written = task_of("t.yaml")
    assert written["kinds"] == {
        **{"flag": "binary", "word": "binary", "zone": "category", "count": "number"},
        **{"gaps": "number", "bit": "binary", "job": "category"},
    }
    said, found = (
        Table(**options)
        for options in (written, {"path": f"t.{form}", "targets": {"y": "regression"}})
    )
    for name in ("train", "val", "test"):
        assert torch.equal(said.split(name).targets, found.split(name).targets)
    one, other = said.fitted, found.fitted
    assert (one.numbers, one.categories) == (other.numbers, other.categories)


def test_many_numbers_are_one_word() -> None:
    """41 numbers are said of `*`, which reads the same columns as if each was named."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(60, 41)), columns=[f"c{at}" for at in range(41)])
    frame["word"], frame["id"] = random.choice(["a", "b", "c"], 60), [f"u{at}" for at in range(60)]
    frame["y"] = random.integers(0, 2, 60)
    frame.to_csv("wide.csv", index=False)
    new("wide.csv", *targets("y"))
    written = task_of("wide.yaml")
    assert written["kinds"] == {"word": "category", "*": "number"} and written["drop"] == ["id"]
    assert "# 41 numbers" in Path("wide.yaml").read_text()
    assert {*Table(**written).features} == {*frame.columns} - {"id", "y"}
    new("wide.csv", *targets("y", "c0"), "--output", "fewer.yaml")
    assert len(task_of("fewer.yaml")["kinds"]) == 41


def test_a_header_longer_than_the_start_of_a_file() -> None:
    names = [f"{at:040d}x" for at in range(3000)]
    rows = [",".join(str((at * row) % 7 + 0.5) for at in range(3000)) for row in range(12)]
    Path("long.csv").write_text("\n".join([",".join(names), *rows]))
    assert "which columns" in new("long.csv", code=2).stderr


REFUSALS = [
    (["people.csv", "--target", "incom"], "no column `incom` to learn; did you mean 'income'?"),
    (["people.csv", "--target", "incom=binary"], "did you mean 'income'?"),
    (["people.csv", "--target", "income=binry"], "unknown kind 'binry'; did you mean 'binary'?"),
    (["people.csv", "--target", "income", "--target", "income=binary"], "is given twice"),
    (["people.csv", "--target", "income", "--option", "kind={}"], "did you mean 'kinds'?"),
    (["people.csv", "--target", "income", "--option", "path=x"], "the argument TABLE says it"),
    (["people.csv", "--target", "income", "--option", "drop=[agee]"], "did you mean 'age'?"),
    (["people.csv", "--target", "income", "--option", "drop=age"], "`drop` must be a list of col"),
    (["people.csv", "--target", "income", "--option", "kinds="], "`kinds` must be kinds by column"),
    (["people.csv", "--target", "income", "--option", "kinds={age: 3}"], "`kinds` must be kinds"),
    (
        ["people.csv", "--target", "income", "--option", "missing=unknown"],
        "`missing` must be a list",
    ),
    (["people.csv", "--target", "income", "--option", "missing={age: 9}"], "as {age: [-999]}, but"),
    (["people.csv", "--target", "income", "--option", "reading=;"], "`reading` must be a mapping"),
    (["people.csv", "--target", "income", "--option", "split=time"], "`split` must be random, or"),
    (["people.csv", "--target", "income", "--option", "drop=[age"], "'[age' is broken YAML"),
    (["people.csv", "--target", "income", "--output", "no/where.yaml"], "there is no folder no"),
    (["people.csv", "--target", "income", "--output", "there.yaml"], "there.yaml is there already"),
    (["peopl.csv", "--target", "y"], "there is no file peopl.csv; did you mean 'people.csv'"),
    (["folder", "--target", "y"], "folder is a folder, not a file"),
    (["empty.csv", "--target", "y"], "empty.csv is empty"),
    (["picture.csv", "--target", "y"], "picture.csv is a picture: it holds no table"),
    (["words.txt", "--target", "y"], "words.txt has one column"),
    (["few.csv", "--target", "y"], "4 rows are too few"),
]


@pytest.mark.parametrize(("words", "said"), REFUSALS)
def test_what_is_refused(words: list[str], said: str) -> None:
    people(60).to_csv("people.csv", index=False)
    Path("folder").mkdir()
    Path("there.yaml").write_text("mine")
    Path("empty.csv").touch()
    Path("picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    Path("words.txt").write_text("one\ntwo\nthree\n")
    Path("few.csv").write_text("x,y\n1.5,0\n2.5,1\n3.5,0\n4.5,1\n")
    assert said in new(*words, code=2).stderr
    assert Path("there.yaml").read_text() == "mine"


def test_a_table_is_found_from_here_and_below_the_folder_of_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("GATELAB_DATA", str(data))
    people(60).to_csv(data / "people.csv", index=False)
    new("people.csv", *targets("income"))
    assert task_of("people.yaml")["path"] == "people.csv"
    people(61).to_csv("people.csv", index=False)  # another one of this name, from here
    done = new("people.csv", *targets("income"), "--output", "here.yaml")
    assert "61 rows" in done.stdout
    assert task_of("here.yaml")["path"] == str(tmp_path / "people.csv")


TARGETS = {
    "bool_words.csv": "yn",
    "class_order.csv": "grade",
    "delim_semicolon_decimal_comma.csv": "weeks",
    "leak_other_target.csv": "over50",
    "leak_sum.csv": "count",
    "parquet_int64_null_uint64.parquet": "n",
    "rare_class.csv": "region",
    "sentinels.csv": "income",
    "target_bool_forms.csv": "tpm",
    "target_missing.csv": "b",
    "target_scale.csv": "price",
    "target_typo.csv": "Income",
}
"""Of cases whose target is not `y`."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in TABLES.iterdir()))
def test_every_case_gives_a_spec_or_a_line(name: str) -> None:
    """What is written is valid."""
    target = TARGETS.get(name, "y")
    done = CliRunner().invoke(main, ["new", "sweep", str(TABLES / name), "--target", target])
    spec = Path(f"{Path(name).stem}.yaml")
    if done.exit_code:
        assert (done.exit_code, done.output.count("\n"), spec.exists()) == (2, 1, False), (
            done.output
        )
    else:
        assert CliRunner().invoke(main, ["validate", str(spec)]).exit_code == 0


@pytest.mark.parametrize(
    ("rows", "batch", "epochs"),
    [(7, 32, 60), (240, 32, 60), (1000, 32, 18), (7000, 256, 20), (14134, 512, 20)],
)
def test_sizes_by_hand(rows: int, batch: int, epochs: int) -> None:
    """560 steps: 7,000 rows are 28 batches of 256, so 20 epochs; 240 are 8 of 32, at most 60."""
    assert sizes(rows) == (batch, epochs)


def test_a_million_rows_are_seen_ten_times() -> None:
    assert sizes(700_000) == (1024, 10)


@pytest.mark.parametrize(
    ("stem", "name"),
    [("people", "people"), ("München 2024", "Munchen-2024"), ("身長", "table"), ("2024", "2024")],
)
def test_names_of_sweeps(stem: str, name: str) -> None:
    assert sweep_name(stem) == name
    people(60).to_csv(f"{stem}.csv", index=False)
    new(f"{stem}.csv", *targets("income"))
    assert load_spec(f"{stem}.yaml").name == name
    assert read_notation(Path(f"{stem}.yaml").read_text())["name"] == name


@pytest.mark.parametrize("target", ["y", "y=regression", "a=b=regression"])
def test_a_column_outside_of_only_may_have_decimal_points(target: str) -> None:
    """Beside decimal commas that the user says; targets outside of it are read by them."""
    name = target.removesuffix("=regression")
    rows = [f"{at},5;{at}.25;{at % 13},{at}" for at in range(40)]
    Path("t.csv").write_text("\n".join([f"x;version;{name}", *rows]))
    said = ("--option", 'reading={decimal: ",", delimiter: ";"}')
    assert "`version` has `0.25`" in new("t.csv", *said, "--target", target, code=2).output
    unnamed = new("t.csv", *said, "--option", "only=[x]", code=2).output
    assert "say by `--target`" in unnamed
    new("t.csv", *said, "--option", "only=[x]", "--target", target)
    made = Table(**task_of("t.yaml"))
    assert [(it.name, it.kind) for it in made.target_columns] == [(name, "regression")]
    assert made.features.keys() == {"x"}
