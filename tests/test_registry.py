"""The registry: names and keys to classes."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gatelab.gates import Gate, gates, register_gate
from gatelab.registry import Registry, near_misses


def test_names_and_near_misses() -> None:
    registry: Registry[object] = Registry("thing")
    registry.register("alpha", object)(int)
    assert registry.get("alpha") is int
    assert registry.names() == ["alpha"]
    with pytest.raises(ValueError, match="unknown thing 'alpa'; did you mean 'alpha'?"):
        registry.get("alpa")
    with pytest.raises(ValueError, match="valid: alpha"):
        registry.get("omega-omega")


@pytest.mark.parametrize("key", ["mine", "mine:mine"])
def test_a_folder_that_was_just_written_is_hinted_at(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.py").write_text("from gatelab import register_gate\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    said = "there is mine/mine.py: `cd mine` first, where its key is 'mine:mine'."
    with pytest.raises(ValueError, match=re.escape(said)):
        gates.get(key)


def test_a_name_is_taken_once_but_a_module_may_be_run_again() -> None:
    with pytest.raises(ValueError, match="registered twice"):

        @register_gate("softmax")
        class Other(Gate):
            """Takes a name that is taken."""

    cls = gates.get("softmax")
    assert register_gate("softmax")(cls) is cls


def test_a_module_registers_a_name_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a class below it would silently take its place; a module may be loaded again."""
    monkeypatch.syspath_prepend(tmp_path)
    one = '@register_gate("{}")\nclass One(Gate):\n    """Does nothing."""\n'
    start = "from gatelab.gates import Gate, register_gate\n"
    (tmp_path / "copied.py").write_text(start + 2 * one.format("copied"))
    with pytest.raises(ValueError, match=r"'copied' is registered twice: copied\.One .*copied\.py"):
        gates.get("copied:copied")
    (tmp_path / "reloaded.py").write_text(start + one.format("reloaded"))
    first = gates.get("reloaded:reloaded")
    importlib.reload(sys.modules["reloaded"])
    assert gates.get("reloaded:reloaded") is not first


@pytest.mark.parametrize("name", ["", "a b", "a:b", ".a", 3, None, "a\nb", "a/b"])
def test_what_is_no_name(name: object) -> None:
    with pytest.raises(ValueError, match="the name of a gate must be letters"):
        register_gate(name)  # type: ignore[arg-type]


def test_a_name_that_is_forgotten() -> None:
    with pytest.raises(ValueError, match=r'write @register_gate\("a_name"\) above Nameless'):

        @register_gate  # type: ignore[arg-type]
        class Nameless(Gate):
            """Has no name."""


def test_only_gates_are_gates() -> None:
    with pytest.raises(ValueError, match="subclass of Gate"):
        register_gate("number")(int)  # type: ignore[type-var]


def test_a_key_names_its_module_in_any_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from gatelab.gates import Gate, register_gate\n"
        '@register_gate("own")\nclass Own(Gate):\n    """Does nothing."""\n'
    )
    code = "from gatelab.gates import gates; print(gates.get('mine:own').__name__)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "Own"


def test_a_missing_module_is_named() -> None:
    with pytest.raises(ValueError, match="cannot import 'nowhere'"):
        gates.get("nowhere:softmax")


def test_of_very_many_names_some_are_said() -> None:
    assert near_misses("G", ["g", "go", "Gx"]) == "did you mean 'g'?", "but for case, the same"
    assert near_misses("qq", [f"n{i}" for i in range(41)]).count("n") == 41
    said = near_misses("qq", [f"n{i:03}" for i in range(600)])
    assert said.startswith("valid: n000, n001,") and said.endswith("n039 and 560 more.")


def test_a_module_whose_import_was_broken_off_is_imported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from gatelab.gates import SoftmaxGate, register_gate\n"
    text += "register_gate('half')(type('Half', (SoftmaxGate,), {'__module__': __name__}))\n"
    (tmp_path / "half_mine.py").write_text(f"{text}raise RuntimeError('in the middle')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):
        with pytest.raises(ValueError, match="in the middle"):
            gates.get("half_mine:half")
    del gates._classes["half"]
