"""Nothing executes what it reads: no pickles, no evaluated text, no shell; no code by a spec."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.sweeps.spec.notation import _Loader

ROOT = Path(__file__).parent.parent
PACKAGES = (
    *("gatelab", "nn", "gates", "tasks", "training"),
    *("tracking", "results", "sweeps", "cluster"),
)

FORBIDDEN_IMPORTS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "runpy"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "importlib.import_module"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
    *("torch.hub.load", "torch.jit.load", "torch.export.load", "pandas.read_pickle"),
    *("mlflow.pytorch.load_model", "mlflow.pyfunc.load_model"),
}
REQUIRED = {("torch.load", "weights_only"): True}
"""Calls that must say something."""
FORBIDDEN = {"allow_pickle", "shell"}
"""Arguments that no call may have, unless as False."""

OWN_COPY = "a conformance check, of an object that it has pickled itself a moment before"
OWN_MODULE = "one of our own modules, of a fixed list"
BY_VALUE = "classes of a notebook's cell, from the driver to its own workers, in no file"
EXCEPTIONS = {
    ("gates/check/state.py", "pickle"): OWN_COPY,
    ("tasks/check/sameness.py", "pickle"): OWN_COPY,
    ("nn/likeness.py", "pickle"): "pickles only, to compare",
    ("tasks/check/random_states.py", "pickle"): "pickles only, to compare",
    ("sweeps/worker/unpacked_classes.py", "pickle"): BY_VALUE,
    ("sweeps/driver/packed_classes.py", "cloudpickle"): BY_VALUE,
    (
        "gatelab/registry.py",
        "importlib.import_module",
    ): "a gate's or a task's module, which must register "
    "it: the one place where a spec's key becomes code",
    ("training/recording.py", "exec"): "code that torch.fx writes of calls that this process made",
    ("sweeps/cli/commands.py", "importlib.import_module"): OWN_MODULE,
    ("sweeps/cluster/starting.py", "importlib.import_module"): OWN_MODULE,
    ("gatelab/__init__.py", "importlib.import_module"): OWN_MODULE,
    ("tracking/mlflow_model.py", "mlflow.pytorch.load_model"): "what an export has just written, "
    "to compare it, in a format without pickles",
    ("tracking/mlflow_rows.py", "mlflow.pyfunc.load_model"): "what an export has just written, "
    "to compare it: code that is a copy of ours",
    ("tracking/mlflow_serve.py", "mlflow.pytorch.load_model"): "the graph beside it, in a format "
    "without pickles, where MLflow loads a model that its user chose",
}


def findings(source: str) -> Iterator[str]:
    """Yield what a module's source does that could execute what it reads."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {it.asname: it.name for it in node.names if it.asname}
            modules = [it.name for it in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {it.asname or it.name: f"{node.module}.{it.name}" for it in node.names}
            modules = [node.module]
        else:
            continue
        yield from (module for module in modules if module.partition(".")[0] in FORBIDDEN_IMPORTS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node, names)


def _of_call(call: ast.Call, names: dict[str, str]) -> Iterator[str]:
    first, dot, rest = ast.unparse(call.func).partition(".")
    name = names.get(first, first) + dot + rest
    said = {it.arg: it.value.value for it in call.keywords if isinstance(it.value, ast.Constant)}
    if name in FORBIDDEN_CALLS:
        yield name
    for (function, argument), value in REQUIRED.items():
        if name == function and said.get(argument) is not value:
            yield f"{name} without {argument}={value}"
    for keyword in call.keywords:
        if keyword.arg in FORBIDDEN and said.get(keyword.arg) is not False:
            yield f"{name} with {keyword.arg}"


def files() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def test_nothing_executes_what_it_reads() -> None:
    found = {
        (str(path.relative_to(ROOT)), finding)
        for path in files()
        for finding in findings(path.read_text())
    }
    assert found == set(EXCEPTIONS)
    assert issubclass(_Loader, yaml.SafeLoader)


BAD = [
    ("import pickle", "pickle"),
    ("from cloudpickle import loads", "cloudpickle"),
    ("eval(text)", "eval"),
    ("exec(text)", "exec"),
    ("import importlib\nimportlib.import_module(text)", "importlib.import_module"),
    ("from importlib import import_module as get\nget(text)", "importlib.import_module"),
    ("import torch\ntorch.load(path)", "torch.load without weights_only=True"),
    ("import torch\ntorch.load(path, weights_only=False)", "torch.load without weights_only=True"),
    (
        "from torch import load\nload(path, weights_only=safe)",
        "torch.load without weights_only=True",
    ),
    ("import numpy as np\nnp.load(path, allow_pickle=True)", "numpy.load with allow_pickle"),
    ("from yaml import load, Loader\nload(text, Loader)", "yaml.load"),
    ("import subprocess\nsubprocess.run(text, shell=True)", "subprocess.run with shell"),
    ("import os\nos.system(text)", "os.system"),
]


@pytest.mark.parametrize(("source", "finding"), BAD, ids=[source for source, _ in BAD])
def test_what_would_be_found(source: str, finding: str) -> None:
    assert list(findings(source)) == [finding]


def test_what_is_let_pass() -> None:
    harmless = (
        "import numpy, subprocess, torch, yaml\n"
        "model.eval(), yaml.safe_load(text), torch.load(path, weights_only=True)\n"
        "numpy.load(path), numpy.load(path, allow_pickle=False), subprocess.run(words)\n"
    )
    assert list(findings(harmless)) == []


SPEC = """
name: bad
task: "{task}"
gates: {{mine: {{gate: "{gate}"}}}}
baselines: false
"""
KEYS = [
    ("os:system", "unknown gate 'os:system'"),
    ("subprocess:run", "unknown gate 'subprocess:run'"),
    ("builtins:eval", "unknown gate 'builtins:eval'"),
    ("evil:evil", "nothing in 'evil' calls register_gate, so it is not imported"),
    ("evil.sub:evil", "nothing in 'evil' calls register_gate, so it is not imported"),
    ("FOLDER/evil.py", "unknown gate"),
    ("FOLDER/evil.py:evil", "cannot import"),
    ("FOLDER/evil:evil", "cannot import"),
    ("../evil:evil", "cannot import"),
    ("..evil:evil", "cannot import"),
    ("http://evil.example/evil:evil", "cannot import"),
    ("__import__('evil')", "unknown gate"),
]


@pytest.mark.parametrize(("key", "said"), KEYS, ids=[key for key, _ in KEYS])
@pytest.mark.parametrize("kind", ["gate", "task"])
def test_a_spec_names_registered_or_installed_classes_only(
    kind: str, key: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function is no gate, a file no module, and a module without gates is not even imported."""
    ran = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nevil = print\n")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(tmp_path)
    key = key.replace("FOLDER", str(tmp_path))
    gate, task = (key, "digits_pairs") if kind == "gate" else ("softmax", key)
    Path("bad.yaml").write_text(SPEC.format(gate=gate, task=task))
    result = CliRunner().invoke(main, ["launch", "bad.yaml"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert said.replace("gate", kind) in result.stderr, result.stderr
    assert not ran.exists() and [path.name for path in Path().iterdir()] == ["bad.yaml"]
