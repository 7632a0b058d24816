"""Narrow terminals: gates as rows, no digit cut, sentences wrapped, no blanks at ends of lines."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from gatelab.gates.gate import gates
from gatelab.results.comparison.score_grids import score_grid
from gatelab.results.comparison.tables import Grid, fitted
from gatelab.sweeps.cli import MODULES, main
from gatelab.sweeps.cli.completing import metric_keys
from gatelab.sweeps.cli.console import (
    open_console,
    show_finding,
    show_line,
    show_sentences,
    show_trimmed,
)
from gatelab.sweeps.cli.rows import show_commands, show_rows
from gatelab.sweeps.cli.show import SEARCHED, _hyperparameters
from gatelab.sweeps.driver.telling import say
from tests.compared import HIGH, LOW, MIDDLE, compared
from tests.recorded_losses import many, render
from tests.test_listing import HEAVY

SCORES = compared(
    {"dselect_k": LOW, "top_k": MIDDLE, "softmax": HIGH},
    extra={"test/mean/accuracy": LOW, "gate/experts_per_row": HIGH},
)


def test_a_docstring_is_filled_anew_and_a_gates_table_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow console has paragraphs without ragged lines, and no word of a table is broken."""
    monkeypatch.setenv("COLUMNS", "60")
    said = CliRunner().invoke(main, ["show", "gate", "dselect_k"]).stdout
    source = said.split("\n\n")[2].splitlines()
    assert source[0].startswith("Source: ")
    for line, after in pairwise(source):
        assert len(f"{line} {after.split()[0]}") > 60, "a word of the next line has no room"
    assert re.search(r"^gamma +1.0 +Width of the smooth step, above 0.\n? *Searched:", said, re.M)
    assert "Searched: 0.3 to 3, log." in " ".join(said.split())


NOTE = "one two three four five six seven [b]"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("grid", [score_grid(SCORES), score_grid(many())], ids=["few", "many"])
def test_no_cell_is_cut_and_no_line_too_long(grid: Grid, width: int) -> None:
    lines = render(grid, width).splitlines()
    assert all(len(line) <= width and line == line.rstrip() for line in lines), lines
    said = "\n".join(lines)
    cells = {cell.replace("**", "") for row in grid.rows for cell in row[1:] if "±" in cell}
    assert cells and all(cell in said for cell in cells)
    assert "…" not in said


EPOCHS = Grid(
    "demo",
    ("metric", "softmax", "random_k (baseline)"),
    [
        ("test loss", "0.304 ± 0.041", "**0.292 ± 0.053**"),
        ("test mean/accuracy", "0.954 ± 0.005", "0.956 ± 0.008"),
        ("gate experts_per_row", "7.999 ± 0.002", "3.80 ± 0.56"),
        ("train_seconds", "2.13 ± 0.22", "1.62 ± 0.23"),
        ("finished/pruned/failed", "5/3/0", "4/4/0"),
        ("epochs", "134 (16.8 a trial)", "134 (16.8 a trial)"),
        ("test 名前/loss", "名前の値 1", "2"),
    ],
)


@pytest.mark.parametrize("grid", [EPOCHS, score_grid(SCORES), score_grid(many())])
def test_no_cell_is_cut_in_any_width(grid: Grid) -> None:
    """Where a part fits to the character, titles alone are broken."""
    cells = {cell.replace("**", "") for row in grid.rows for cell in row[1:]}
    for width in range(46, 200):
        lines = render(grid, width).splitlines()
        assert all(cell_len(line) <= width for line in lines), width
        assert all(cell in "\n".join(lines) for cell in cells), width


LONG_NUMBERS = Grid(
    "long numbers",
    ("gate", "r2", "rmse"),
    [
        ("private-searched", "0.0018 ± 0.0042", "0.94527 ± 0.00030"),
        ("random_k (baseline)", "**0.053 ± 0.002**", "**0.92745 ± 0.00030**"),
    ],
)


@pytest.mark.parametrize(("width", "whole"), [(40, 0), (41, 1), (42, 1), (43, 2)])
def test_a_name_is_broken_rather_than_a_number(width: int, whole: int) -> None:
    """It has 19 characters, beside numbers of 15 and of 17, and 7 for the borders."""
    said = render(LONG_NUMBERS, width)
    assert all(len(line) <= width for line in said.splitlines())
    assert all(cell.strip("*") in said for row in LONG_NUMBERS.rows for cell in row[1:])
    assert said.count("random_k (baseline)") == whole


def test_a_narrow_one_has_gates_as_rows_and_a_wide_one_metrics() -> None:
    wide, narrow = (render(score_grid(SCORES), width) for width in (120, 60))
    assert re.search(r"│ test loss +│ 0.115 ± 0.021\* │", wide)
    assert re.search(r"│ dselect_k +│ +0.115 ± 0.021\* │", narrow)


def test_parts_have_the_first_column_and_all_others_once() -> None:
    grid = Grid("t", ("gate", "aaaa", "bbbb", "cccc"), [["x", "1.000", "2.000", "3.000"]])
    parts = fitted(grid, 24)
    # 1 + (4 + 3) for gate, then 5 + 3 a column: two fit in 24.
    assert [list(part.columns) for part in parts] == [["gate", "aaaa", "bbbb"], ["gate", "cccc"]]
    assert [part.rows for part in parts] == [[["x", "1.000", "2.000"]], [["x", "3.000"]]]
    assert fitted(grid, 100) == [grid]


def test_a_table_has_no_blanks_at_ends_of_lines_in_colour_either() -> None:
    table = Table(box=None, show_header=False)
    table.add_row("[bold]a[/]", "long text")
    table.add_row("[bold]b[/]", "[red]c[/]")
    text = io.StringIO()
    show_trimmed(Console(file=text, force_terminal=True, color_system="standard"), table)
    assert not re.search(r" (\x1b\[[0-9;]*m)*$", text.getvalue(), re.MULTILINE)


def test_sentences_are_wrapped_where_a_width_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    text = io.StringIO()
    show_sentences(Console(file=text, width=30), ["one two three four five six seven eight"])
    assert text.getvalue() == "one two three four five six\nseven eight\n"
    monkeypatch.delenv("COLUMNS")
    text = io.StringIO()
    show_sentences(Console(file=text, width=30), ["one two three four five six seven eight"])
    assert text.getvalue() == "one two three four five six seven eight\n", "for who searches it"


def test_what_a_sweep_notes_is_broken_in_a_terminal_alone() -> None:
    broken = ["one two three four five six", "seven [b]"]
    for terminal, lines in ((True, broken), (False, [NOTE])):
        text = io.StringIO()
        say(Console(file=text, width=30, force_terminal=terminal, no_color=True), NOTE)
        assert [line.rstrip() for line in text.getvalue().splitlines()] == lines


def test_lines_on_the_error_stream_are_broken_in_a_terminal_alone(tmp_path: Path) -> None:
    """Between words, warnings and refusals alike; a log has each in one line."""
    rows = "".join(f"{i / 7:.4f},{2 * i / 7:.4f}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(f"x,y\n{rows}")
    for words in (("new", "sweep", "t.csv", "--target", "y", "--output"), ("list",)):
        log = error_lines(tmp_path, *words, "log.yaml")
        shown = error_lines(tmp_path, *words, "log2.yaml", terminal=True)
        assert all(line.startswith("gatelab: ") for line in log) and max(map(len, log)) > 80
        assert all(len(line) <= 80 and line == line.rstrip() for line in shown), shown
        assert " ".join(shown).replace("log2", "log") == " ".join(log)


def error_lines(folder: Path, *words: str, terminal: bool = False) -> list[str]:
    """Return what a command says on the error stream: a file, or a terminal of 80 columns."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    command = ["env", "-u", "COLUMNS", "TERM=dumb", sys.executable, "-m", "gatelab", *words]
    subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    said = os.read(ours, 100_000).decode()
    os.close(ours)
    return said.splitlines()


def complete(folder: Path, *words: str) -> list[str]:
    """Return what a shell is told to complete the last word by, and what was imported for it."""
    code = (
        "import sys\nfrom click.shell_completion import BashComplete\n"
        "from gatelab.sweeps.cli import main\n"
        "found = BashComplete(main, {}, 'gatelab', '_GATELAB_COMPLETE').get_completions("
        f"{[*words[:-1]]}, {words[-1]!r})\n"
        f"print(*(one.value for one in found), *({HEAVY} & {{*sys.modules}}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return ended.stdout.split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["st"], ["status", "stop"]),
        (["compare", "dig"], ["digits", "digits-2"]),
        (["compare", "d", "--metric", "test/mean/a"], ["test/mean/accuracy", "test/mean/auroc"]),
        (["export", "digits-"], ["digits-2"]),
        (["report", "g"], ["groups"]),
        (["list", ""], ["gates", "tasks", "metrics", "learners"]),
    ],
)
def test_a_shell_completes_at_once(words: list[str], found: list[str], tmp_path: Path) -> None:
    for name in ("digits", "digits-2", "groups"):
        (tmp_path / "gatelab_runs" / "sweeps" / name).mkdir(parents=True)
    assert complete(tmp_path, *words) == found


def test_a_shell_completes_gates_and_tasks(tmp_path: Path) -> None:
    assert complete(tmp_path, "show", "gate", "dsel")[0] == "dselect_k"
    assert complete(tmp_path, "check", "task", "synth")[0] == "synthetic_groups"


def test_metrics_are_keys_of_the_record() -> None:
    assert {"test/loss", "test/mean/rmse"} <= {*metric_keys(None, None, "")}  # type: ignore[arg-type]


JSON = (
    ("show", "gate", "top_k"),
    ("show", "metric", "rmse"),
    ("show", "task", "synthetic_groups"),
    ("list", "gates"),
    ("status",),
    ("check", "gate", "single"),
)


@pytest.mark.parametrize("words", JSON, ids=" ".join)
def test_what_prints_data_does_so_as_json(words: tuple[str, ...], tmp_path: Path) -> None:
    folder = ["--folder", str(tmp_path)] if words == ("status",) else []
    result = CliRunner().invoke(main, [*words, *folder, "--json"])
    assert result.exit_code == 0, result.output
    read = json.loads(result.stdout)
    if words == ("show", "gate", "top_k"):
        (k,) = [one for one in read["hyperparameters"] if one["name"] == "k"]
        assert k["default"] == 2 and "experts" in k["what"]


def test_the_commands_that_print_data_take_json() -> None:
    import click

    def takes(command: click.Command) -> bool:
        if isinstance(command, click.Group):
            return all(map(takes, command.commands.values()))
        return any(option.name == "as_json" for option in command.params)

    found = {name for name in MODULES if takes(main.get_command(click.Context(main), name))}  # type: ignore[arg-type]
    assert {"validate", "status", "compare", "list", "show", "check", "doctor"} <= found


@pytest.mark.parametrize("name", gates.names())
def test_every_hyperparameter_is_described(name: str) -> None:
    """As `gatelab show gate` prints it."""
    assert [one.name for one in _hyperparameters(gates.get(name)) if not one.what] == []


@pytest.mark.parametrize("words", [("list", "gates"), ("show", "gate", "dselect_k")], ids=" ".join)
def test_nothing_is_cut_in_60_columns(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    said = CliRunner().invoke(main, list(words)).stdout
    assert "…" not in said and ":func:" not in said
    assert all(len(line) <= 60 and line == line.rstrip() for line in said.splitlines())


SHOWN = (
    ("--help",),
    ("launch", "--help"),
    ("show", "--help"),
    ("check", "--help"),
    ("list", "tasks"),
    ("show", "gate", "dselect_k"),
    ("show", "task", "digits_pairs"),
    ("show", "metric", "rmse"),
    ("check", "gate", "one_each"),
    ("list", "gates"),
)


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_no_line_is_too_long_and_no_word_broken(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a terminal broke, in the middle of a word, would be a word that the log has not."""
    monkeypatch.delenv("COLUMNS", raising=False)
    log = CliRunner().invoke(main, list(words)).stdout
    for width in (40, 60, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = CliRunner().invoke(main, list(words)).stdout.splitlines()
        assert [line for line in lines if len(line) > width] == []
        assert bare(log) - bare(SEARCHED) <= bare("\n".join(lines)), width


ROWS = [("digits", "stopped", "2,400 of 4,800"), ("a-long-name", "finished", "all of it is done")]


def test_rows_that_have_no_room_beside_each_other_are_paragraphs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for width in ("36", "40", ""):
        monkeypatch.setenv("COLUMNS", width)
        show_rows(("sweep", "state", "progress"), ROWS, whole=True)
        said.append(capsys.readouterr().out.splitlines())
    narrow, table, log = said
    assert narrow == [
        *("digits", "  state: stopped", "  progress: 2,400 of 4,800"),
        *("a-long-name", "  state: finished", "  progress: all of it is done"),
    ]
    assert (
        table
        == log
        == [
            "sweep        state     progress",
            "digits       stopped   2,400 of 4,800",
            "a-long-name  finished  all of it is done",
        ]
    )


def test_a_log_has_each_row_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = []
    for width in ("80", ""):
        monkeypatch.setenv("COLUMNS", width)
        show_rows(("sweep", "progress"), [("digits", "so far " * 20)], whole=True)
        counts.append(len(capsys.readouterr().out.splitlines()))
    assert counts == [3, 2]


def bare(text: str) -> set[str]:
    """Return the words of a text, but for the signs that a table in paragraphs adds."""
    return {word.rstrip(":,.") for word in text.split()}


def test_what_was_found_stands_below_itself_where_it_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "storage: it is written and read by every node"
    monkeypatch.delenv("COLUMNS", raising=False)
    show_finding(True, line)
    monkeypatch.setenv("COLUMNS", "30")
    show_finding(False, line)
    said = "FAIL  storage: it is written\n      and read by every node\n"
    assert capsys.readouterr().out == f"ok    {line}\n{said}"


def test_a_command_to_copy_is_never_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it is for stands above it where it has no room beside it."""
    steps = {"gatelab check gate my_gate:my_gate": "it passes, change it", "pip install .": ""}
    for width in (80, 30):
        monkeypatch.setenv("COLUMNS", str(width))
        show_commands(steps)
    assert capsys.readouterr().out.splitlines() == [
        "  gatelab check gate my_gate:my_gate  # it passes, change it",
        "  pip install .",
        "  # it passes, change it",
        "  gatelab check gate my_gate:my_gate",
        "  pip install .",
    ]


@pytest.mark.parametrize("columns", ["60", ""])
def test_no_sign_becomes_a_picture(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As rich reads ``:100:``, which stands in every place in a file."""
    monkeypatch.setenv("COLUMNS", columns)
    show_line("tasks.py:100: it has no rows")
    say(Console(width=60), "tasks.py:100: it has no rows")
    open_console().print("tasks.py:100: it has no rows")  # as other commands print paths
    assert capsys.readouterr().out == "tasks.py:100: it has no rows\n" * 3


TARGETS = [f"width of the {side} side" for side in ("left", "right", "upper", "lower")]


def test_what_is_said_of_a_table_is_wrapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{i},{','.join(str(i % 7 + k / 8) for k in range(4))}" for i in range(300)]
    (tmp_path / "sides.csv").write_text("\n".join([",".join(["age", *TARGETS]), *rows]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "72")
    made = ["new", "sweep", "sides.csv", *(f"--target={name}" for name in TARGETS)]
    for words in (made, ["validate", "sides.yaml"]):
        said = CliRunner().invoke(main, words).stdout
        assert "210 rows of train, " in said
        texts = [line for line in said.splitlines() if not line.startswith("  ")]
        assert max(map(len, texts)) <= 72, said
