"""Code of others: what a key imports, whatever it raises, and where what it prints goes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gatelab.foreign import ForeignError, foreign
from gatelab.gates.gate import gates
from gatelab.modules import registers_nothing
from gatelab.tasks import Target

WORDS = "# register_gate\n'''register_gate'''\nopen('ran', 'w')\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\nsys.exit(0)\n", "SystemExit: it calls sys.exit(0) ("),
        ("import os\nos._exit(0)\n", "SystemExit: it calls os._exit(0) ("),
        ("raise KeyError('x')\n", "KeyError: 'x' ("),
        ("class Odd(BaseException): pass\nraise Odd('y')\n", "Odd: y ("),
        ("raise ValueError('a\\nb')\n", "ValueError: a b ("),
        ("import json\njson.loads('{')\n", "JSONDecodeError: Expecting"),
        ("def (\n", "SyntaxError: invalid syntax"),
    ],
)
def test_whatever_a_module_raises_is_one_line(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "raises_it.py"
    file.write_text(f"from gatelab.gates import register_gate\n{code}")
    with pytest.raises(ValueError, match="cannot import 'raises_it'") as refused:
        gates.get("raises_it:x")
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert f"raises_it.py, line {1 + code.count(chr(10))}" in str(refused.value)


def a_rule() -> None:
    raise ValueError("`a > 0` must hold")


def raised_again() -> None:
    try:
        int("x")
    except ValueError as error:
        raise ValueError("`a` must be a number") from error


@pytest.mark.parametrize(
    ("call", "said", "placed"),
    [
        (a_rule, "`a > 0` must hold", False),
        (raised_again, "`a` must be a number", False),
        (lambda: Target("", "binary"), "the name of a target must be", False),
        (lambda: int("x"), "ValueError: invalid literal for int()", True),
        (lambda: np.stack([]), "ValueError: need at least one array to stack", True),
        (lambda: json.loads("{"), "JSONDecodeError: Expecting property name", True),
        (lambda: b"\xff".decode(), "UnicodeDecodeError: 'utf-8' codec can't decode", True),
    ],
    ids=["a rule", "raised again", "ours", "in C", "in a library", "in Python's own", "in C too"],
)
def test_a_value_error_that_is_no_rule_of_its_author_s_has_its_place(
    call: Callable[[], object], said: str, placed: bool
) -> None:
    with pytest.raises(ForeignError) as caught, foreign():
        call()
    assert str(caught.value).startswith(said)
    assert (f"({__file__}, line " in str(caught.value)) is placed


def test_ctrl_c_is_nobodys_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "stopped.py").write_text(
        "from gatelab.gates import register_gate\nraise KeyboardInterrupt\n"
    )
    with pytest.raises(KeyboardInterrupt):
        gates.get("stopped:x")


def test_a_word_in_a_comment_or_a_text_is_no_registration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to nothing beside it ends nothing."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "only_words"
    package.mkdir()
    (package / "__init__.py").write_text(WORDS)
    (package / "dangling.py").symlink_to("nowhere")
    with pytest.raises(ValueError, match="nothing in 'only_words' calls register_gate"):
        gates.get("only_words:x")
    assert not (tmp_path / "ran").exists()


def test_what_a_module_prints_goes_to_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "talks.py").write_text("from gatelab.gates import register_gate\nprint('hello')\n")
    with pytest.raises(ValueError, match="unknown gate 'talks:x'"):
        gates.get("talks:x")
    assert capsys.readouterr() == ("", "hello\n")


def test_whatever_way_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By the descriptor, by another program, by the stream that Python began with."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shouts.py").write_text(
        "import os, subprocess, sys\nfrom gatelab.gates import register_gate\n"
        "os.write(1, b'one ')\nsubprocess.run(['echo', '-n', 'two '])\n"
        "sys.__stdout__.write('three')\n"
    )
    with pytest.raises(ValueError, match="unknown gate 'shouts:x'"):
        gates.get("shouts:x")
    os.write(1, b"ours")
    assert capfd.readouterr() == ("ours", "one two three")


def test_an_end_of_another_process_is_its_own() -> None:
    with foreign():
        child = os.fork()
        if not child:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


PACKAGE = {
    "__init__.py": "",
    "mine.py": "from gatelab import register_gate\n",
    "reexports.py": "from some_package.mine import Mine\n",
    "relative.py": "from .mine import Mine\n",
    "above.py": "from . import relative\n",
    "dynamic.py": "import importlib\nimportlib.import_module('some_package.mine')\n",
    "script.py": "open('ran', 'w')\n",
    "helped.py": "from some_package.script import helper\n",
    "__main__.py": "from .mine import Mine\nopen('ran', 'w')\n",
    "below/__init__.py": "from ..mine import *\n",
    "below/apart.py": "import json, some_package.script\n",
    "bare/deep.py": "from gatelab import gates\ngates.register_gate('a')\n",
    "round_a.py": "from some_package import round_b\n",
    "round_b.py": "from some_package import round_a\n",
    "torn.py": "def (\n",
}


@pytest.mark.parametrize(
    ("module", "silent"),
    [
        ("some_package", "some_package"),
        ("some_package.mine", ""),
        ("some_package.reexports", ""),
        ("some_package.relative", ""),
        ("some_package.above", ""),
        ("some_package.dynamic", ""),
        ("some_package.script", "some_package.script"),
        ("some_package.helped", "some_package.helped"),
        ("some_package.__main__", "some_package.__main__"),
        ("some_package.below", ""),
        ("some_package.below.apart", "some_package.below.apart"),
        ("some_package.bare", "some_package.bare"),
        ("some_package.bare.deep", ""),
        ("some_package.round_a", "some_package.round_a"),
        ("some_package.torn", ""),
        ("some_package.nowhere", "some_package.nowhere"),
        (f"some_package.{'n' * 5000}", f"some_package.{'n' * 5000}"),
        ("__hello__", "__hello__"),
        ("antigravity", "antigravity"),
        ("gatelab.__main__", "gatelab.__main__"),
        ("nowhere_at_all", ""),
        ("sys", ""),
        (".mine", ""),
    ],
)
def test_only_modules_that_register(
    module: str, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of a package in which another registers is not imported for that."""
    for name, text in PACKAGE.items():
        (file := tmp_path / "some_package" / name).parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert registers_nothing(module, "register_gate") == silent
    assert "some_package" not in sys.modules
