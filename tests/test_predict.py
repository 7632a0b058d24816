"""`gatelab predict`: a sweep's selected model on a new file, and the same as its export says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from gatelab.sweeps.cli.commands import Commands
from gatelab.sweeps.export import forms
from gatelab.sweeps.export.export import export
from gatelab.sweeps.export.predict import predict
from gatelab.sweeps.export.raw_graph import RawGraph
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from tests import in_process
from tests.test_table_task import people

pytestmark = [
    pytest.mark.slow,
    # MLflow warns of its own type hints when its pyfunc is first imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]
TASK = "{income: binary, weeks: regression, region: multiclass}"
SPEC = """
name: NAME
task: {TASK}
model: {num_experts: 4, expert_width: 32}
gates: {top_k: , softmax: }
baselines: false
training: {max_epochs: 4, batch_size: 64}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 2}
"""


@pytest.fixture(scope="module")
def finished(put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a sweep of a table was launched, whose file writes decimals with a comma."""
    place = put_store(tmp_path_factory.mktemp("predict") / FOLDER).parent
    people(200).to_csv(place / "people.csv", index=False, sep=";", decimal=",")
    reading = 'reading: {delimiter: ";", decimal: ","}, missing: {job: ["?"]}'
    task = f"name: table, path: people.csv, targets: {TASK}, {reading}"
    (place / "people.yaml").write_text(SPEC.replace("NAME", "people").replace("TASK", task))
    in_process.gatelab(place, "launch", "people.yaml")
    return place


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, from which the sweep's own file is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATELAB_DATA", str(finished))
    return tmp_path


NEW = """\
job;shoe;height;age
cook;1;170,5;30
?;2;180;NA
never seen;3;;40
 nurse ;4;161,0; 50
"""


def run(finished: Path, *arguments: str) -> Any:
    main = Commands(modules={"predict": "gatelab.sweeps.cli.predict"})
    words = ["predict", *arguments, "--folder", str(finished / FOLDER)]
    return CliRunner().invoke(main, words)


def test_the_command_says_the_same_as_the_exported_model(finished: Path, here: Path) -> None:
    (here / "new.csv").write_text(NEW)
    result = run(finished, "people", "new.csv")
    assert result.exit_code == 0, result.output
    record = read_sweep(default_uri(finished / FOLDER), "people")
    losses = {
        gate: np.mean([one.metrics["test/loss"] for one in record.of("evaluate", gate)])
        for gate in ("top_k", "softmax")
    }
    best = min(losses, key=lambda gate: losses[gate])
    first, *lines = result.output.splitlines()
    assert first.startswith(
        f"predictions.csv: 4 rows, by gate {best}, the one with the lowest test/loss (seed "
    )
    assert lines == [
        "`age`: 1 missing.",
        "`height`: 1 missing.",
        "`job`: 1 missing; 1 unknown, of values that are rare in train or not there.",
    ]
    made = pd.read_csv(here / "predictions.csv")
    names = ["income=no", "income=yes", "weeks", "region=2", "region=9", "region=10"]
    assert [*made.columns] == names and len(made) == 4
    assert {it.name for it in here.iterdir()} == {"new.csv", "predictions.csv"}

    exported = export("people", gate=best, folder=finished / FOLDER)
    assert exported.flavour == "pyfunc"
    rows = pd.DataFrame(
        {
            "age": [30, None, 40, 50],
            "height": [170.5, 180, None, 161],
            "job": ["cook", None, "never seen", "nurse"],
        }
    )
    np.testing.assert_allclose(made, served(finished, exported.uri).predict(rows), rtol=1e-5)


WRITTEN_OTHERWISE = """\
job,shoe,height,age
cook,1,170.5,30
été,2,180,NA
"""


def test_a_file_may_be_written_in_another_way_than_the_table(finished: Path, here: Path) -> None:
    (here / "new.csv").write_bytes(WRITTEN_OTHERWISE.encode("latin-1"))
    keys = ["reading.delimiter=,", "reading.decimal=."]
    result = run(finished, "people", "new.csv", *keys)
    assert (result.exit_code, result.output) == (
        2,
        "gatelab: new.csv, line 3: byte 0xe9 is no UTF-8; say which it is, as "
        "`reading.encoding=cp1252`.\n",
    )
    result = run(finished, "people", "new.csv", *keys, "reading.encoding=cp1252")
    assert result.exit_code == 0, result.output
    (here / "same.csv").write_text("job;height;age\ncook;170,5;30\nété;180;NA\n")
    result = run(finished, "people", "same.csv", "--output", "same.parquet")
    assert result.exit_code == 0, result.output
    made = pd.read_csv(here / "predictions.csv")
    pd.testing.assert_frame_equal(made, pd.read_parquet(here / "same.parquet"), rtol=1e-6)


@pytest.mark.parametrize(("sign", "key"), [(",", ","), ("\t", "\\t"), ("|", "|")])
def test_a_file_of_another_delimiter_is_told_its_key(
    finished: Path, here: Path, sign: str, key: str
) -> None:
    text = "job;height;age\ncook;170.5;30\nnurse;180;40\n"
    (here / "new.csv").write_text(text.replace(";", sign))
    result = run(finished, "people", "new.csv")
    override = f'reading.delimiter="{key}"'
    assert (result.exit_code, result.output) == (
        2,
        "gatelab: the file has none of the columns `age`, `height`, `job`, which the model reads; "
        f"it is one column by the table's delimiter: say its own, `'{override}'`.\n",
    )
    result = run(finished, "people", "new.csv", override, "reading.decimal=.")
    assert (result.exit_code, len(pd.read_csv("predictions.csv"))) == (0, 2), result.output


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (
            "encoding=cp1252",
            "of a table predict takes keys of `reading` alone, as reading.encoding=cp1252, but got "
            "'encoding=cp1252'.",
        ),
        ("reading.encodin=a", "`reading` has no key 'encodin'; did you mean 'encoding'?"),
        ("reading.header=1", "`reading.header` must be true or false, but got 1."),
        (
            "reading.decimal",
            "an override must be like search.trials=50, but got 'reading.decimal'.",
        ),
    ],
)
def test_keys_of_reading_that_are_none(finished: Path, here: Path, key: str, said: str) -> None:
    (here / "new.csv").write_text(NEW)
    result = run(finished, "people", "new.csv", key)
    assert (result.exit_code, result.output) == (2, f"gatelab: {said}\n")
    assert [it.name for it in here.iterdir()] == ["new.csv"]


def test_an_output_that_cannot_be_written_is_refused(finished: Path, here: Path) -> None:
    (here / "new.csv").write_text(NEW)
    result = run(finished, "people", "new.csv", "--output", "/proc/said.csv")
    assert result.exit_code == 2
    assert result.output.startswith("gatelab: /proc/said.csv cannot be written: ")
    assert result.output.count("\n") == 1


def served(finished: Path, uri: str) -> Any:
    mlflow.set_tracking_uri(default_uri(finished / FOLDER))
    try:
        return mlflow.pyfunc.load_model(uri)
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # as it was


def test_predictions_are_those_that_were_scored(finished: Path, here: Path) -> None:
    """The error on the rows of val, by hand, is the one that was recorded of the same model."""
    made = predict(
        "people",
        finished / "people.csv",
        gate="softmax",
        output="all.parquet",
        folder=finished / FOLDER,
    )
    assert (made.rows, made.gate) == (200, "softmax")
    values = pd.read_parquet(here / "all.parquet")
    from gatelab.tasks import Table

    options: dict[str, Any] = {"reading": {"delimiter": ";", "decimal": ","}}
    targets = {"income": "binary", "weeks": "regression", "region": "multiclass"}
    task = Table(path="people.csv", targets=targets, missing={"job": ["?"]}, **options)
    test = task._prepared.splits == 2
    weeks = people(200)["weeks"].to_numpy()
    apart = (values["weeks"] - weeks)[test & ~np.isnan(weeks)]
    record = read_sweep(default_uri(finished / FOLDER), "people")
    (run_,) = [it for it in record.of("evaluate", "softmax") if it.tags["seed"] == str(made.seed)]
    rmse = float(np.sqrt((apart**2).mean()))
    assert rmse == pytest.approx(run_.metrics["test/weeks/rmse"], rel=1e-4)
    region = values.filter(like="region=").to_numpy().argmax(1)
    right = np.array(["2", "9", "10"])[region] == people(200)["region"].astype(str)
    assert right[test].mean() == pytest.approx(run_.metrics["test/region/accuracy"])


@pytest.mark.parametrize("make", [pd.DataFrame, pa.Table.from_pandas])
def test_a_frame_is_predicted_as_its_file(finished: Path, here: Path, make: Any) -> None:
    rows = people(20)
    rows.to_csv("new.csv", index=False)
    made = {
        output: predict("people", given, output=output, reading=reading, folder=finished / FOLDER)
        for output, given, reading in (
            ("file.csv", "new.csv", {"delimiter": ",", "decimal": "."}),
            ("frame.csv", make(rows), {}),
        )
    }
    one, other = (pd.read_csv(output) for output in made)
    pd.testing.assert_frame_equal(one, other)
    assert {it.said for it in made.values()} == {made["file.csv"].said} and len(one) == 20


def without_age(place: Path) -> None:
    (place / "new.csv").write_text("job;height;Age\ncook;1;1\nnurse;2;2\n")


def without_all(place: Path) -> None:
    (place / "new.csv").write_text("a;b\ncook;1\nnurse;2\n")


def with_a_word(place: Path) -> None:
    (place / "new.csv").write_text("job;height;age\ncook;1;1\nnurse;2;old\n")


def already_there(place: Path) -> None:
    (place / "new.csv").write_text(NEW)
    (place / "predictions.csv").write_text("mine")


def already_there_by_a_link(place: Path) -> None:
    (place / "new.csv").write_text(NEW)
    (place / "predictions.csv").symlink_to("kept/elsewhere.csv")


def with_a_huge_number(place: Path) -> None:
    (place / "new.csv").write_text("job;height;age\ncook;1;1\nnurse;2;1e300\n")


def with_a_list(place: Path) -> None:
    made = pa.table({"job": ["cook"], "height": [1.0], "age": [[1]]})
    (place / "new.csv").write_bytes(b"")
    parquet.write_table(made, place / "new.csv")


@pytest.mark.parametrize(
    ("prepare", "arguments", "told"),
    [
        (without_age, [], "no column `age`, which the model reads; did you mean 'Age'?"),
        (without_all, [], "none of the columns `age`, `height`, `job`, which the model reads"),
        (with_a_word, [], "`age` must be a finite number, but has `old` (row 3)."),
        (with_a_huge_number, [], "`age` has `1e300` (row 3), too far from what the model has"),
        (with_a_list, [], "the file's column `age` cannot be read (list)."),
        (already_there, [], "predictions.csv is there already: give another `--output`"),
        (already_there_by_a_link, [], "predictions.csv is there already: give another `--output`"),
        (without_age, ["--output", "a.txt"], "must end in .csv or .parquet, but got 'a.txt'"),
        (without_age, ["--output", "no/a.csv"], "there is no folder no, where a.csv should be"),
        (without_age, ["--gate", "topk"], "no gate 'topk' in sweep 'people'; did you mean 'top_k'"),
        (lambda place: None, [], "there is no file new.csv"),
    ],
)
def test_what_is_refused(
    finished: Path, here: Path, prepare: Callable[[Path], None], arguments: list[str], told: str
) -> None:
    prepare(here)
    before = {it: it.exists() and it.read_bytes() for it in here.iterdir()}
    result = run(finished, "people", "new.csv", *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert result.stderr.startswith("gatelab: ") and told in result.stderr
    assert {it: it.exists() and it.read_bytes() for it in here.iterdir()} == before


def test_a_table_that_has_changed_since(finished: Path, here: Path) -> None:
    """Its medians and ids are no longer those of the model."""
    people(199).to_csv(here / "people.csv", index=False, sep=";", decimal=",")
    (here / "new.csv").write_text(NEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATELAB_DATA", str(here))
        result = run(finished, "people", "new.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert "the table is another than the one it was trained on" in result.stderr


class Shifted(RawGraph):
    """Standardises otherwise than in training."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.mean += self.deviation / 10


def test_an_export_that_differs_is_refused(
    finished: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "RawGraph", Shifted)
    with pytest.raises(ValueError, match="gives other outputs through torch.export: on 30 rows"):
        export("people", gate="softmax", name="bad", folder=finished / FOLDER)


def test_a_task_that_is_no_table(small_sweep: Path, here: Path) -> None:
    (here / "new.csv").write_text(NEW)
    name = next((small_sweep / FOLDER / "sweeps").iterdir()).name
    result = run(small_sweep, name, "new.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert "predict needs a task of name `table`" in result.stderr
