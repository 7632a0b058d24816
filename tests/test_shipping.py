"""What leaves this machine: a spec and what its gates and task need, and nothing else."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from gatelab import own_modules
from gatelab.gates.gate import gates
from gatelab.modules import locate
from gatelab.sweeps.cluster.shipping import Shipped, keep_code, launched_from, pack, use_code
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.spec import Spec, SpecError

GATE = """
from gatelab.gates import SoftmaxGate, register_gate
{imports}

@register_gate("{name}")
class Made(SoftmaxGate):
    '''A gate of a user's.'''
"""


def gate(name: str, *imports: str) -> str:
    return GATE.format(name=name, imports="\n".join(imports))


def spec(*keys: str, task: str = "digits_pairs") -> Spec:
    plain = {"name": "shipped", "task": task, "gates": list(keys)}
    return parse_spec({**plain, "training": {"batch_size": 32}})


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user's, from which commands are called."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def packed(found: Spec, tmp_path: Path, never: tuple[Path, ...] = ()) -> tuple[list[Shipped], Path]:
    folder = tmp_path / "packed"
    folder.mkdir()
    return pack(found, "mine.yaml", folder, never), folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_gates_that_every_node_has_need_a_spec_alone(tmp_path: Path) -> None:
    parts, folder = packed(spec("softmax", "gatelab.gates.top_k:top_k"), tmp_path)
    assert names(folder) == {"mine.yaml"}
    size = (folder / "mine.yaml").stat().st_size
    assert [part.line for part in parts] == [f"mine.yaml, {size / 1000:.1f} kB"]


def test_a_module_goes_with_the_users_own_that_it_imports(work: Path, tmp_path: Path) -> None:
    late = "def late():\n    import shipped_c_pack.inner\n"
    (work / "shipped_a.py").write_text(gate("shipped_a", "import os, torch, shipped_b", late))
    (work / "shipped_b.py").write_text("import yaml\nfrom optuna import Trial\n")
    (work / "shipped_other.py").write_text("nobody = 'imports it'\n")
    package = work / "shipped_c_pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("from . import table\nimport shipped_a\n")
    (package / "table.csv").write_text("1,2\n")
    (package / "broken.py").write_text("this is ( no Python")
    found = spec("softmax", "shipped_a:shipped_a")
    parts, folder = packed(found, tmp_path)
    assert names(folder) == {
        "mine.yaml",
        "shipped_a.py",
        "shipped_b.py",
        "shipped_c_pack/__init__.py",
        "shipped_c_pack/broken.py",
        "shipped_c_pack/inner.py",
        "shipped_c_pack/table.csv",
    }
    assert (folder / "mine.yaml").read_text() == found.to_yaml()
    assert [part.name for part in parts] == [
        "mine.yaml", "shipped_a.py", "shipped_b.py", "shipped_c_pack",
    ]  # fmt: skip
    assert parts[-1].line.startswith("shipped_c_pack: 4 files (shipped_c_pack/__init__.py, ")


def test_secrets_stay_and_are_named(work: Path, tmp_path: Path) -> None:
    package = work / "shipped_d"
    (package / ".aws").mkdir(parents=True)
    (package / "__pycache__").mkdir()
    (package / "__init__.py").write_text(gate("shipped_d"))
    (package / "credentials_of_experts.py").write_text("it = 'is code'\n")
    kept = {
        "id_rsa": "x",
        "server.PEM": "x",
        "prod.env": "PASSWORD=hunter2",
        "my_credentials.json": "{}",
        "harmless.txt": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
    }
    for name, text in kept.items():
        (package / name).write_text(text)
    (package / ".env").write_text("PASSWORD=hunter2")
    (package / ".aws" / "config").write_text("x")
    (package / "__pycache__" / "x.pyc").write_text("x")
    outside = tmp_path / "outside.txt"
    outside.write_text("not the package's")
    (package / "link.txt").symlink_to(outside)
    parts, folder = packed(spec("shipped_d:shipped_d"), tmp_path)
    assert names(folder) == {
        "mine.yaml", "shipped_d/__init__.py", "shipped_d/credentials_of_experts.py",
    }  # fmt: skip
    assert parts[1].kept_back == tuple(sorted(f"shipped_d/{name}" for name in kept))
    assert "kept back, as secrets: shipped_d/harmless.txt, shipped_d/id_rsa" in parts[1].line


@pytest.mark.parametrize("repository", [True, False])
def test_gitignore_is_honoured(repository: bool, work: Path, tmp_path: Path) -> None:
    name = f"shipped_e{repository:d}"
    package = work / name
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text(gate(name))
    (package / "data" / "small.csv").write_text("1\n")
    (package / "data" / "large.bin").write_text("1\n")
    (package / "note.tmp").write_text("1\n")
    (package / "data" / ".gitignore").write_text("*.bin\n")
    if repository:
        subprocess.run(["git", "init", "-q", work], check=True)
        (work / ".gitignore").write_text("*.tmp\n")  # of a folder above the package
    else:
        (package / ".gitignore").write_text("*.tmp\n")
    _, folder = packed(spec(f"{name}:{name}"), tmp_path)
    assert names(folder) == {"mine.yaml", f"{name}/__init__.py", f"{name}/data/small.csv"}


def test_an_ignored_module_is_refused(work: Path, tmp_path: Path) -> None:
    (work / "shipped_f.py").write_text(gate("shipped_f"))
    (work / ".gitignore").write_text("shipped_*\n")
    with pytest.raises(SpecError) as caught:
        packed(spec("softmax", "shipped_f:shipped_f"), tmp_path)
    where = work / "shipped_f.py"
    assert str(caught.value) == (
        "gates.shipped_f: module 'shipped_f' cannot be shipped, because a .gitignore names "
        f"{where}."
    )


def test_the_folder_of_sweeps_is_never_shipped(work: Path, tmp_path: Path) -> None:
    package = work / "shipped_g"
    (package / "gatelab" / "sweeps").mkdir(parents=True)
    (package / "__init__.py").write_text(gate("shipped_g"))
    (package / "gatelab" / "mlflow.db").write_text("x")
    _, folder = packed(spec("shipped_g:shipped_g"), tmp_path, (package / "gatelab",))
    assert names(folder) == {"mine.yaml", "shipped_g/__init__.py"}


def test_too_much_is_refused(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = work / "shipped_h"
    package.mkdir()
    (package / "__init__.py").write_text(gate("shipped_h"))
    (package / "data.bin").write_bytes(bytes(3_000_000))
    monkeypatch.setattr("gatelab.sweeps.cluster.shipping.LIMIT", 2_000_000)
    with pytest.raises(SpecError, match="at most 2 MB are shipped, but shipped_h and the rest"):
        packed(spec("shipped_h:shipped_h"), tmp_path)


def test_a_class_without_a_file_is_refused(tmp_path: Path) -> None:
    exec(gate("shipped_i"), {"__name__": "shipped_i_typed"})  # as in a notebook's cell
    with pytest.raises(SpecError, match="module 'shipped_i_typed' has no file that could be"):
        packed(spec("shipped_i"), tmp_path)


def install(site: Path, distribution: str, entry: str, group: str = "gates") -> None:
    """Put into a folder what says that a distribution with an entry point is installed."""
    info = site / f"{distribution}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[gatelab.{group}]\n{entry}\n")
    (info / "top_level.txt").write_text(f"{distribution}\n")


@pytest.mark.parametrize("editable", [True, False])
def test_an_installed_plug_in_goes_under_a_key_that_needs_no_install(
    editable: bool, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Editable: its code lies elsewhere than what says that it is installed."""
    name = f"shipped_j{editable:d}"
    site = tmp_path / "site"
    install(site, name, f"{name} = {name}.inner")
    monkeypatch.syspath_prepend(site)
    source = work if editable else site
    (source / name).mkdir()
    (source / name / "__init__.py").write_text("")
    (source / name / "inner.py").write_text(gate(name, "import shipped_j_lib"))
    (site / "shipped_j_lib.py").write_text("# of another distribution, as torch is\n")
    importlib.invalidate_caches()
    monkeypatch.delitem(gates.__dict__, "broken", raising=False)
    found = spec("softmax", name)
    parts, folder = packed(found, tmp_path)
    monkeypatch.delitem(gates.__dict__, "broken", raising=False)
    assert names(folder) == {"mine.yaml", f"{name}/__init__.py", f"{name}/inner.py"}
    assert parts[1].name == f"{name} 1.2"
    text = (folder / "mine.yaml").read_text()
    assert f"{name}:\n    gate: {name}.inner:{name}\n" in text, "the label stays"
    assert "softmax:\n    gate: softmax\n" in text


TASK = """
from gatelab.tasks import SyntheticGroups, register_task

@register_task("shipped_task")
class Shipped(SyntheticGroups):
    '''A task of a user's.'''
"""


@pytest.mark.slow
def test_what_was_packed_is_all_that_is_needed(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "shipped_k.py").write_text(gate("shipped_k", "import shipped_k_more"))
    (work / "shipped_k_more.py").write_text("")
    (work / "shipped_l.py").write_text(TASK)
    importlib.import_module("shipped_l")
    _, folder = packed(spec("shipped_k:shipped_k", task="shipped_task"), tmp_path)
    valid = subprocess.run(
        [sys.executable, "-m", "gatelab", "validate", "mine.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (valid.returncode, valid.stderr) == (0, "")
    assert "valid. shipped_k" in valid.stdout and " on shipped_l:shipped_task: " in valid.stdout


METRIC = """
from gatelab import Metric, register_metric

@register_metric("shipped_n")
class Shipped(Metric):
    '''A metric of a user's.'''

    kinds = ("multiclass",)
    higher_is_better = True
"""


def test_a_metric_goes_along(work: Path, tmp_path: Path) -> None:
    (work / "shipped_n.py").write_text(METRIC)
    chosen = ["accuracy", "shipped_n:shipped_n"]
    found = spec("softmax").model_copy(update={"metrics": tuple(chosen)})
    assert names(packed(found, tmp_path)[1]) == {"mine.yaml", "shipped_n.py"}


def test_a_sweep_keeps_its_code_only_where_a_job_launched_it(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "shipped_m.py").write_text("")
    monkeypatch.chdir(work)
    home = tmp_path / "home"
    home.mkdir()
    assert launched_from() is None
    keep_code(home)
    assert use_code(home) is None
    monkeypatch.setenv("GATELAB_LAUNCHED_FROM", '{"torch": "2.0"}')
    assert launched_from() == {"torch": "2.0"}
    keep_code(home)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(own_modules, "_FOLDERS", [])
    assert use_code(home) == home / "code"
    assert locate("shipped_m") == [home / "code" / "shipped_m.py"], "before that of the folder"
    assert names(home) == {"code/shipped_m.py"}
