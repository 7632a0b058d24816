"""A task of one's own: written by `gatelab new task`, shown, checked and swept."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gatelab import Loss, Metric, register_loss, register_metric
from gatelab.foreign import is_ours
from gatelab.gates import gates
from gatelab.rules import check_counts
from gatelab.sweeps.cli import main
from gatelab.sweeps.cli.new_package import write_package
from gatelab.sweeps.cli.show_task import told_arguments
from gatelab.sweeps.spec.reading import load_spec
from gatelab.sweeps.spec.space import keyword_defaults
from gatelab.tasks import DigitsPairs, Table, tasks
from gatelab.tasks.check import run_checks
from tests import in_process

ROOT = Path(__file__).parent.parent


def gatelab(*words: str, code: int = 0) -> Result:
    """Run a command; what refuses says one line."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, (done.output, done.exception)
    if code == 2:
        assert done.stderr.count("\n") == 1 and not done.stdout, done.output
    return done


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_package(tasks, "my_own", tmp_path)


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("table", "`gatelab show task table` shows it"),
        ("Upper", "lower-case"),
        ("lambda", "no word of Python's"),
        ("json", "installed module"),
        ("there", "is there already; choose"),
    ],
)
def test_names_that_cannot_be(
    name: str, fragment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    assert fragment in gatelab("new", "task", name, code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_what_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_package(tasks, "my_own", tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_it_passes_every_check_with_few_rows(own: Path) -> None:
    with in_process.modules_of(own):
        found = run_checks(tasks.get("my_own:my_own"), rows=200)
    assert {outcome.check: outcome.reason for outcome in found if not outcome.ok} == {}


def test_what_it_writes_is_formatted_as_ours_is(own: Path) -> None:
    config = ("--config", str(ROOT / "pyproject.toml"))
    for command in (("check",), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *config, "."],
            cwd=own,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_two_commands_from_nothing_to_a_table(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few rows, trials and epochs, which is all that is changed."""
    monkeypatch.chdir(place)
    said = gatelab("new", "task", "my_task").stdout
    assert "  cd my_task\n  gatelab launch my_task.yaml " in said
    package = place / "my_task"
    assert "class MyTask(Task):" in (package / "my_task.py").read_text()
    spec = package / "my_task.yaml"
    with in_process.modules_of(package):
        load_spec(spec)
    text = spec.read_text()
    for size in ("rows: 200", "trials: 2", "max_epochs: 2", "seeds: 2"):
        text = re.sub(rf"\b{size.split()[0]} \d+", size, text)
    spec.write_text(text + "baselines: false\n")
    done = in_process.gatelab(package, "launch", "my_task.yaml")
    assert "dselect_k" in done and "gatelab ui my_task" in done


@pytest.mark.slow
def test_its_own_tests_pass(own: Path) -> None:
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout


def test_a_task_is_shown_in_full(own: Path) -> None:
    with in_process.modules_of(own):
        said = gatelab("show", "task", "my_own:my_own", "--option", "rows=100").stdout
    lines = [line.split() for line in said.splitlines()]
    assert "source   Made by `read` below" in said and "licence  None is needed" in said
    assert ["train", "70", "8", "of", "float32"] in lines
    assert ["val", "15", "8", "of", "float32"] in lines
    (answer,) = [line for line in lines if line[:2] == ["answer", "binary"]]
    assert answer[2:6] == ["2:", "no,", "yes", "1"] and int(answer[6]) < 70
    assert ["amount", "regression", "1", "70", "15", "15"] in lines
    assert ["rows", "4000", *"How many are made, at least 20.".split()] in lines
    assert ["dropout", "0.0"] in [line[:2] for line in lines]


@pytest.mark.parametrize("name", ["digits_pairs", "synthetic_groups", "table"])
def test_our_tasks_say_whose_their_data_are_and_what_every_option_is(name: str) -> None:
    cls = tasks.get(name)
    assert cls.source.endswith(".") and cls.licence.endswith(".")
    lines = [line.split() for line in gatelab("show", "task", name).stdout.splitlines()]
    for function in (cls, cls.network):
        for argument, default in keyword_defaults(function).items():
            (line,) = [it for it in lines if it[:2] == [argument, *repr(default).split()]]
            assert len(line) > 2, "what it is, and its range"


def test_what_arguments_are_is_read_from_the_docstring() -> None:
    told = told_arguments(Table)
    assert told["path"].endswith("names, then from where the command runs.")
    assert [*told][:2] == ["frame", "path"] and "ValueError" not in " ".join(told.values())
    assert told_arguments(DigitsPairs)["val_rows"] == "The number of pairs to validate on."
    assert told_arguments(check_counts) == {}
    assert told_arguments(gates.get("dselect_k"))["noise"].endswith(
        "falls to 0 at `snap`. Ours, as the next two: see `Hardening`."
    )


def test_a_table_says_where_its_file_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATELAB_DATA", str(tmp_path / "data"))
    assert (
        "once it can be made: task: `targets` must say" in gatelab("show", "task", "table").stdout
    )
    Path("t.csv").write_text("x,y\n" + "".join(f"{at * at},{at % 2}\n" for at in range(40)))
    given = ("--option", "path=t.csv", "--option", "targets={y: binary}")
    said = gatelab("show", "task", "table", *given).stdout
    first, second = tmp_path / "data" / "t.csv", tmp_path / "t.csv"
    assert f"files    {first} (not there)\nor       {second}\n" in said
    assert "28 of" not in said and ["train", "28"] in [it.split()[:2] for it in said.splitlines()]


REFUSED = [
    (("digit_pairs",), "unknown task 'digit_pairs'; did you mean 'digits_pairs'"),
    (("nowhere.here:t",), "cannot import 'nowhere.here'"),
    (
        ("digits_pairs", "--option", "train_row=3"),
        "no option 'train_row'; did you mean 'train_rows'",
    ),
    (
        ("digits_pairs", "--option", "train_rows=x"),
        "task.train_rows: must be an integer, but got 'x'",
    ),
    (("digits_pairs", "--option", "train_rows=0"), "`train_rows >= 1` must hold"),
    (("digits_pairs", "--option", "train_rows"), "must be NAME=VALUE, but got 'train_rows'"),
    (
        ("table", "--option", "path=gone.csv", "--option", "targets={y: binary}"),
        "there is no file ",
    ),
    (("table", "--option", "targets={y: binry}"), "did you mean 'binary'?"),
]


@pytest.mark.parametrize("command", ["show", "check"])
@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_cannot_be_is_one_line(command: str, words: tuple[str, ...], said: str) -> None:
    assert said in gatelab(command, "task", *words, code=2).stderr


@pytest.mark.slow
def test_every_check_is_run_on_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y,z\n" + "".join(f"{at * at},{at % 2},{at}\n" for at in range(60)))
    given = (f"path={path}", "targets={y: binary}", "targets={z: regression}", "min_frequency=2")
    words = [word for it in given for word in ("--option", it)]
    assert "table: 37 of 37 checks pass." in gatelab("check", "task", "table", *words).stdout


@pytest.mark.parametrize("name", [name for name in tasks.names() if tasks.get(name).data_sets])
def test_tasks_of_data_sets_show_whose_they_are_and_how_to_get_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATELAB_DATA", str(tmp_path))
    shown = gatelab("show", "task", name).output
    for data_set in tasks.get(name).data_sets:
        assert data_set.source in shown and data_set.licence in shown
        assert f"(not here: gatelab data get {data_set.name})" in shown


def test_every_bundled_task_says_whose_its_data_are() -> None:
    for cls in filter(is_ours, map(tasks.get, tasks.names())):
        assert cls.data_sets or (cls.source and cls.licence), cls


WRONG = [
    ("bottom=nn.Identity,", "bottom=nn.Identity(),", "a network's `bottom` must be a function"),
    ("expert=expert,", "expert=expert(),", "a network's `expert` must be a function"),
    ("width: int = 32", "width: int = 0", "the expert gives (8, 0), no numbers at all"),
    (
        '"regression"),',
        '"regression", loss=nn.L1Loss()),',
        "target 'amount': `loss` must be the key of a registered loss",
    ),
    ('"regression"),', '"regression", loss="l1"),', "target 'amount': unknown loss 'l1'"),
    (
        '@register_task("my_own")\n',
        "",
        'my_own.py, registers no task: write @register_task("my_own") above',
    ),
    ('@register_task("my_own")', '@register_task("mine")', "did you mean 'my_own:mine'?"),
]


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize(("old", "new", "said"), WRONG)
def test_mistakes_in_it_are_one_line_with_the_rule(
    old: str, new: str, said: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (own / "my_own.py").read_text()
    assert text.count(old) == 1
    (own / "my_own.py").write_text(text.replace(old, new))
    spec = (own / "my_own.yaml").read_text().replace("width: [16, 32]", "dropout: 0.1")
    (own / "my_own.yaml").write_text(spec)
    monkeypatch.chdir(own)
    with in_process.modules_of(own):
        assert said in gatelab("validate", "my_own.yaml", code=2).stderr


def test_masks_of_a_wrong_shape_are_shown_in_words(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (own / "my_own.py").read_text()
    (own / "my_own.py").write_text(text.replace("known[rows])", "known[rows, 0])"))
    monkeypatch.chdir(own)
    with in_process.modules_of(own):
        assert (
            "train mask is of shape (2800,), not" in gatelab("show", "task", "my_own:my_own").stdout
        )


def test_its_name_alone_is_told_its_key(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own)
    with in_process.modules_of(own):
        said = gatelab("check", "task", "my_own", code=2).stderr
    assert "there is my_own.py: try 'my_own:my_own'" in said


def test_what_several_checks_find_is_said_once(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (own / "my_own.py").read_text()
    (own / "my_own.py").write_text(text.replace("Split(inputs[rows],", "Split([],"))
    monkeypatch.chdir(own)
    with in_process.modules_of(own):
        out = gatelab("check", "task", "my_own:my_own", code=1).stdout
    assert out.count("must be one dense tensor") == 1
    assert "FAIL  pickles: the same as splits_have_shapes\n" in out


LOSS = '''
from gatelab import Loss, Metric, register_loss, register_metric


@register_loss("logarithm")
class Logarithm(Loss):
    """The logarithm of an error that may be below 0."""

    kinds = ("regression",)

    def compute(self, outputs, target):
        return (outputs[:, 0] - target - 9).log()


@register_metric("rowwise")
class Rowwise(Metric):
    """The errors of all rows, which is no number."""

    kinds = ("regression",)
    higher_is_better = False

    def compute(self, outputs, target, weights=None):
        return (outputs[:, 0] - target).square()
'''


@pytest.mark.parametrize(
    ("loss", "metrics", "said"),
    [
        ("logarithm", "", "loss 'logarithm' gives NaN or inf for 8 of the first 8 known rows"),
        (
            "",
            "my_own:rowwise",
            "'rowwise' raises ValueError: `compute` must return one number, but gives a tensor of "
            "shape (8,)",
        ),
    ],
)
def test_numbers_of_ones_own_that_are_none_are_refused(
    loss: str, metrics: str, said: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        (own / "my_own.py")
        .read_text()
        .replace('\n\n@register_task("', LOSS + '\n\n@register_task("')
    )
    if loss:
        text = text.replace('"regression"),', f'"regression", loss="{loss}"),')
    (own / "my_own.py").write_text(text)
    monkeypatch.chdir(own)
    words = [f"metrics=['{metrics}']"] if metrics else []
    with in_process.modules_of(own):
        assert said in gatelab("validate", "my_own.yaml", *words, code=2).stderr


@pytest.mark.parametrize(("kind", "maker"), [("metric", register_metric), ("loss", register_loss)])
def test_what_a_key_makes_asks_for_nothing(kind: str, maker: Callable[[str], Any]) -> None:
    class Asks:
        """Asks."""

        kinds = ("regression",)
        higher_is_better = True

        def __init__(self, share: float) -> None:
            self.share = share

    cls = type("Asks", (Asks, {"metric": Metric, "loss": Loss}[kind]), {"__doc__": "Asks."})
    with pytest.raises(ValueError, match="made without arguments, .* asks for 'share'"):
        maker("asks_for_a_share")(cls)
