"""The documentation is true: specs load, Python runs, commands exist, the tree is the tree."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import click
import mlflow
import pytest

from gatelab.gates import gates
from gatelab.gates.check import run_checks
from gatelab.sweeps.cli import main
from gatelab.sweeps.spec.reading import load_spec
from gatelab.training import learner_checks
from gatelab.training.learners import learners
from tests.in_process import in_this_process, modules_of

ROOT = Path(__file__).parent.parent
LOOKED_AT = ("gates.md", "tasks.md", "python.md", "learners.md")
"""The pages whose Python has a test of its own."""
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page, text) of every fenced block of a language."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(page.name, text) for page in PAGES for text in pattern.findall(page.read_text())]


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_specs_load(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    spec = load_spec(tmp_path / "spec.yaml")
    (tmp_path / "again.yaml").write_text(spec.to_yaml())
    assert load_spec(tmp_path / "again.yaml") == spec


def test_examples_load() -> None:
    for path in (ROOT / "examples").glob("*.yaml"):
        load_spec(path)


def commands() -> list[str]:
    lines = [line for _, text in blocks("console") for line in text.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if line.startswith("gatelab")]


@pytest.mark.parametrize("line", commands())
def test_commands_exist(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command = found
    command.make_context(line, words)  # raises for an option or argument that it does not know


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readmes_tree_is_the_tree() -> None:
    ((_, text),) = [block for block in blocks("text") if block[0] == "README.md"]
    told: dict[str, set[str]] = {}
    for line in text.splitlines():
        name = line.split()[0].rstrip("/")
        if line.startswith(" "):
            told[next(reversed(told))].add(name)
        else:
            told[name] = set()
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    folders = {path.partition("/")[0] for path in tracked if "/" in path}
    assert told.keys() == {name for name in folders if not name.startswith(".")}
    assert told["sweeps"] == {path.parent.name for path in (ROOT / "sweeps").glob("*/__init__.py")}
    for folder, inside in told.items():
        assert all((ROOT / folder / name).is_dir() for name in inside)


SNIPPETS = [(page, text) for page, text in blocks("python") if page == "gates.md"]


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_gates_in_the_documentation_pass_every_check(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a module, as its reader would write it."""
    name = f"documented_{number}"
    (tmp_path / f"{name}.py").write_text(SNIPPETS[number][1])
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(name)
    classes = [c for c in vars(module).values() if getattr(c, "__module__", "") == name]
    for cls in classes:
        if isinstance(cls, type):
            assert [outcome for outcome in run_checks(cls) if not outcome.ok] == []
    assert classes or "check_gate" in SNIPPETS[number][1]


@pytest.mark.parametrize("text", [text for page, text in blocks("python") if page == "learners.md"])
def test_learners_in_the_documentation_pass_every_check(text: str, tmp_path: Path) -> None:
    (tmp_path / "documented_learner.py").write_text(text)
    with modules_of(tmp_path):
        name = text.partition('@register_learner("')[2].partition('"')[0]
        outcomes = learner_checks.run_checks(f"documented_learner:{name}")
    assert outcomes and [outcome for outcome in outcomes if not outcome.ok] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # MLflow's own
@pytest.mark.parametrize(
    ("page", "text"),
    [block for block in blocks("python") if block[0] not in LOOKED_AT],
)
def test_python_runs(page: str, text: str, place: Path) -> None:
    """With the example's spec made smaller, which is all that is changed; jobs run in this process.

    tests/test_notebook.py runs the page on Python.
    """
    example = (ROOT / "examples" / "digits.yaml").read_text()
    few = "{name: digits_pairs, train_rows: 1024, val_rows: 256, test_rows: 256}"
    small = example.replace("task: digits_pairs", f"task: {few}")
    for size in ("trials: 2", "max_epochs: 5", "seeds: 2"):
        small = re.sub(rf"{size.split()[0]} \d+", size, small)
    small += "baselines: false\n"
    (place / "examples").mkdir()
    (place / "examples" / "digits.yaml").write_text(small)
    try:
        with in_this_process(), modules_of(place):
            exec(text, {})
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # as it was


def test_every_diagnostic_is_in_the_documentation() -> None:
    """With what its gate says of it, word by word."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    ours = [c for c in map(gates.get, gates.names()) if c.__module__.startswith("gatelab.gates.")]
    declared = {f"| `{n}` | " for cls in ours for n in cls.diagnostics}
    assert len(declared) > 8 and all(start in page for start in declared)
    assert all(f" | {meaning} |" in page for cls in ours for meaning in cls.diagnostics.values())


def test_what_every_learner_tells_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    told = [
        (name, fact, meaning)
        for name in learners.names()
        for fact, meaning in learners.get(name).diagnostics.items()
    ]
    assert told
    assert all(f"| `{fact}` | `{name}` | {meaning} |" in page for name, fact, meaning in told)
