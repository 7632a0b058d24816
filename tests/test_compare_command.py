"""`gatelab compare` on a real store: every form of answer, and every kind of bad input."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from gatelab.results.comparing import compare
from gatelab.results.overview import overview
from gatelab.sweeps.cli import main
from gatelab.sweeps.cli.compare import compare as command
from tests.made_sweeps import MadeSweep

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow  # a store with sweeps takes seconds to make


@pytest.fixture(scope="module")
def folder(put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with sweeps on three tasks."""
    folder = put_store(tmp_path_factory.mktemp("compared"))
    MadeSweep(folder, "one", data="d1", trials=20).foreign(2)
    MadeSweep(folder, "two", ("comet", "softmax"), data="d1", trials=12, random_seed=1)
    for targets in "48":
        options = {"targets": targets}
        MadeSweep(folder, f"groups{targets}", task="groups", options=options, data=targets)
    for seed in range(3):
        settings, gates = {"search.seed": str(seed)}, ("top_k", "softmax")
        more = {"settings": settings, "random_seed": seed, "data": "d1"}
        MadeSweep(folder, f"again{seed}", gates, spec="gates: {top_k: {k: 2}}", **more)
    MadeSweep(folder, "wider", gates, spec="gates: {top_k: {k: 4}}", **more)
    MadeSweep(folder, "running", unfinished=("softmax",))
    MadeSweep(folder, "searching", unfinished=("dselect_k", "top_k", "softmax"))
    return folder


@pytest.fixture(scope="module")
def elsewhere(put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = put_store(tmp_path_factory.mktemp("elsewhere"))
    MadeSweep(folder, "one", ("comet",), data="d1", random_seed=2)
    return folder


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--folder", str(folder)])


def strict(text: str) -> dict[str, object]:
    def refuse(word: str) -> float:
        raise ValueError(word)

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def test_one_sweep(folder: Path) -> None:
    result = run(folder, "one")
    assert result.exit_code == 0, result.output
    assert "one: digits" in result.stdout
    assert "dselect_k has the lowest test loss, 0.5" in result.stdout
    said = result.stdout.partition("dselect_k wins: its test loss is significantly lower than")
    assert said[1] and "─╯" not in said[2] and "┘" not in said[2], "the first line after the table"
    assert result.stderr == (
        "gatelab: warning: 2 runs of another program in the experiment of one are ignored.\n"
    )


def test_a_metric_adds_its_pairs(folder: Path) -> None:
    result = run(folder, "one", "--metric", "test/mean/f1", "--metric", "gate/entropy")
    assert "test mean/f1: pairs" in result.stdout
    assert "gate entropy: pairs" in result.stdout
    assert "dselect_k - top_k" in result.stdout
    assert "dselect_k has the highest test mean/f1" in result.stdout
    assert "test loss" not in result.stdout
    assert all(len(line) <= 100 for line in result.stdout.splitlines() if "│" in line)


def test_a_metric_that_is_named_twice_is_one(folder: Path) -> None:
    twice = run(folder, "one", "--metric", "test/mean/f1", "--metric", "test/mean/f1")
    assert twice.stdout == run(folder, "one", "--metric", "test/mean/f1").stdout


def test_a_width_is_a_whole_number_of_20_at_least(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(columns: str, lines: str = "") -> str:
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("LINES", lines)
        result = CliRunner().invoke(main, ["compare", "one", "--folder", str(folder)])
        assert result.exit_code == 0, result.output
        return result.stdout

    without = shown("")
    assert "one: digits" in without
    for nonsense in ("0", "-5", "\N{SUPERSCRIPT TWO}"):
        assert shown(nonsense, nonsense) == without
    narrow = shown("20")
    assert {shown("1"), shown("12")} == {narrow} and narrow != without
    digits = {word for word in re.findall(r"[0-9.]+", without) if len(word) > 3}
    assert digits <= {*re.findall(r"[0-9.]+", narrow)}, "no number is cut"


def test_formats(folder: Path) -> None:
    frame = pd.read_csv(io.StringIO(run(folder, "one", "--format", "csv").stdout))
    pd.testing.assert_frame_equal(frame, compare("one", folder=folder).to_frame())
    only = run(folder, "one", "--format", "csv", "--metric", "test/loss").stdout
    assert set(pd.read_csv(io.StringIO(only))["metric"]) == {"test/loss"}
    text = run(folder, "one", "--format", "markdown").stdout
    assert text.startswith("| metric | dselect_k | top_k | softmax |\n| --- | ---: |")
    read = strict(run(folder, "one", "--metric", "test/loss", "--format", "json").stdout)
    assert (read["partial"], list(read["comparisons"])) == (False, ["digits"])
    assert len(read["pairs"]["test/loss"]) == 3
    assert read["warnings"] == ["2 runs of another program in the experiment of one are ignored."]


def test_sweeps_on_one_task_stand_side_by_side(folder: Path) -> None:
    result = run(folder, "one", "two")
    assert "gatelab: warning: search.trials differs: 20 (one), 12 (two).\n" in result.stderr
    for gate in ("dselect_k", "softmax (one)", "softmax (two)", "comet"):
        assert gate in result.stdout
    found = compare("one", "two", folder=folder)
    assert len([t for t in found.tests if t.metric == "test/loss" and t.n == 5]) == 10


def test_sweeps_that_differ_in_the_search_seed_are_one(folder: Path) -> None:
    result = run(folder, "again0", "again1", "again2")
    assert result.stderr == (
        "gatelab: warning: again0, again1 and again2 are pooled: only the seed of their search or "
        "their split differs, so their searches are repeats of one.\n"
    )
    assert "top_k wins" in result.stdout and "(again0)" not in result.stdout
    said = " ".join(result.stdout.split())
    assert "The verdict speaks of these gates, over 3 searches of each, on one split" in said
    other = run(folder, "again0", "wider")
    assert "top_k (wider)" in other.stdout, "its search space is another"
    assert "search.seed differs: 0 (again0), 2 (wider).\n" in other.stderr


def test_a_margin_is_a_percentage_or_a_share(folder: Path) -> None:
    for margin in ("50%", "0.5"):
        lines = run(folder, "one", "--margin", margin).stdout.splitlines()
        assert any(
            line.startswith("top_k and softmax are as good as dselect_k within 50%")
            for line in lines
        )
    read = strict(run(folder, "one", "--margin", "1%", "--format", "json").stdout)
    found = read["equivalences"]
    assert isinstance(found, dict) and len(found["test/loss"]) == 3 and read["margin"] == 0.01


def test_stores(folder: Path, elsewhere: Path) -> None:
    for place in (str(elsewhere), f"sqlite:///{elsewhere / 'mlflow.db'}"):
        result = run(folder, "one", f"one@{place}")
        assert result.exit_code == 0, result.output
        assert f"one 2 is one in sqlite:///{elsewhere / 'mlflow.db'}." in result.stderr
        assert "comet" in result.stdout


def test_a_report_of_another_store_is_called_as_its_sweep(
    folder: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["report", f"one@{elsewhere}", "--folder", str(folder)])
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["one-report"]


def test_sweeps_on_several_tasks_are_ranked(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "ranks.png"
    result = run(folder, "one", "groups4", "groups8", "--figure", str(path))
    assert result.exit_code == 0, result.output
    assert "test loss by task" in result.stdout
    assert "dselect_k has the best mean rank by test loss, 1 over 3 tasks." in result.stdout
    assert path.read_bytes().startswith(b"\x89PNG")
    frame = pd.read_csv(
        io.StringIO(run(folder, "one", "groups4", "groups8", "--format", "csv").stdout)
    )
    assert list(frame["task"].unique()) == ["digits", "groups (targets=4)", "groups (targets=8)"]
    assert frame.query("gate == 'softmax'")["rank"].tolist() == [3, 3, 3]
    read = strict(run(folder, "one", "groups4", "groups8", "--format", "json").stdout)
    assert read["rankings"][0]["mean_ranks"] == {"dselect_k": 1, "top_k": 2, "softmax": 3}
    text = run(folder, "one", "groups4", "--format", "markdown", "--metric", "test/mean/f1").stdout
    assert text.splitlines()[0] == "| gate | digits | groups | mean rank |"
    assert text.splitlines()[2].startswith("| dselect_k | **0.4")


def test_one_task_is_no_ranking_and_several_are_no_comparison(folder: Path) -> None:
    result = run(folder, "one", "two", "--figure", "x.png")
    assert (result.exit_code, "needs sweeps on several tasks" in result.stderr) == (2, True)
    with pytest.raises(ValueError, match="must be on one task, but got digits, groups"):
        compare("one", "groups4", folder=folder)


def test_the_best_trials(folder: Path) -> None:
    result = run(folder, "one", "--stage", "search")
    assert "one: digits: the best 5% of trials" in result.stdout
    assert "dselect_k has the lowest val loss over its best trial of 20, 0.4" in result.stdout
    assert "What tuning bought" in result.stdout
    half = overview("one", stage="search", share=0.1, folder=folder).trials[0]
    assert [s.n for s in half.summaries] == [2, 2, 2]
    frame = pd.read_csv(
        io.StringIO(run(folder, "one", "--stage", "search", "--format", "csv").stdout)
    )
    assert list(frame["gate"]) == ["dselect_k", "top_k", "softmax"]
    across = run(folder, "one", "groups4", "--stage", "search", "--metric", "val/f1")
    assert "dselect_k has the best mean rank by val f1, 1 over 2 tasks." in across.stdout


@pytest.mark.parametrize("share", ["0", "1.5", "nan"])
def test_the_share_is_a_share(share: str, folder: Path) -> None:
    result = run(folder, "one", "--stage", "search", "--best", share)
    assert result.exit_code == 2, result.output


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json"])
def test_a_running_sweep_is_partial(form: str, folder: Path) -> None:
    line = (
        "PARTIAL: running is still running, or was stopped: 24 of 24 trials have ended, "
        "2 of 3 gates are evaluated."
    )
    result = run(folder, "running", "--format", form)
    assert result.exit_code == 0
    if form in ("table", "markdown"):
        assert result.stdout.splitlines()[0] == line
    else:
        assert result.stderr.splitlines()[0] == line
    if form == "json":
        read = strict(result.stdout)
        assert (read["partial"], read["comparisons"]["digits"]["running"]) == (True, True)
    if form == "csv":
        assert set(pd.read_csv(io.StringIO(result.stdout))["gate"]) == {"dselect_k", "top_k"}


def test_without_evaluation_the_budgets_are_shown(folder: Path) -> None:
    result = run(folder, "searching")
    assert result.exit_code == 0
    assert "2/6/0" in result.stdout
    assert "No gate has been evaluated yet" in result.stdout
    assert run(folder, "searching", "--format", "csv").stdout == "metric,gate,n,mean,low,high\n"
    ranked = run(folder, "searching", "groups4").stdout
    assert "digits has no test loss yet, so the ranks are without it." in ranked


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("oen",), "no sweep 'oen' in sqlite:///"),
        (("oen",), "did you mean 'one'?"),
        (("o'ne",), 'no sweep "o\'ne" in sqlite:///'),
        (("",), "no sweep '' in sqlite:///"),
        (("one", "one"), "sweep 'one' is named twice"),
        (("one@nowhere",), "there is no store sqlite:///"),
        (("one", "--metric", "test/los"), "no metric 'test/los' in sweep one; did you mean"),
        (("one", "--metric", "loss"), "did you mean 'test/loss'"),
        (("searching", "--metric", "test/loss"), "no gate has been evaluated yet."),
        (("one", "groups4", "--metric", "test/x"), "no metric 'test/x' in sweep one"),
        (("one", "--stage", "search", "--metric", "val/f2"), "did you mean 'val/f1'"),
        (("one", "groups4", "groups8", "--figure", "x.pdf"), "must name a PNG file"),
        (("one", "groups4", "groups8", "--figure", "no/x.png"), "No such file or directory"),
        (("two", "groups4", "--figure", "x.png"), "got (2, 1)"),
        (("one", "--margin", "0"), "--margin must be above 0, but got 0."),
        (("one", "--margin", "-1%"), "--margin must be above 0, but got -0.01."),
        (("one", "--margin", "nan"), "--margin must be above 0, but got nan."),
        (("one", "--margin", "inf"), "--margin must be finite, but got inf."),
        (("one", "groups4", "--margin", "1%"), "--margin needs the evaluation of sweeps on one"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...],
    message: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["compare", *words, "--folder", str(folder)])
    lines = [line for line in result.stderr.splitlines() if "are ignored" not in line]
    assert (result.exit_code, len(lines)) == (2, 1), result.output
    assert lines[0].startswith("gatelab: ") and message in lines[0]
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_no_sweep_at_all(folder: Path) -> None:
    assert run(folder).exit_code == 2
    with pytest.raises(ValueError, match="At least one sweep"):
        compare(folder=folder)
    assert not math.isnan(compare("one", folder=folder).scores[0].mean)


def test_what_is_slow_to_import_is_left_alone() -> None:
    slow = "{'torch', 'ray', 'optuna', 'matplotlib', 'scikit_posthocs', 'statsmodels'}"
    modules = "gatelab.results.overview, gatelab.sweeps.cli.compare"
    code = f"import sys, {modules}; print({slow} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("encoding", [None, "ascii:strict", "latin-1:surrogateescape"])
def test_an_output_that_has_not_all_signs_is_no_failure(encoding: str | None, folder: Path) -> None:
    """As in the locale C, where Python is kept from writing UTF-8 nevertheless."""
    env = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    env |= {"PYTHONIOENCODING": encoding} if encoding else {}
    words = [sys.executable, "-m", "gatelab", "compare", "one", "--folder", str(folder)]
    ended = subprocess.run(words, capture_output=True, env=env, check=False)
    mean = b"mean \xb1 half" if encoding and "latin" in encoding else b"mean ? half"
    assert (ended.returncode, ended.stderr.count(b"\n")) == (0, 1), "of runs that are ignored"
    assert mean in ended.stdout
