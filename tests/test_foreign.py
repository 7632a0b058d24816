"""Code of others: what a key imports, whatever it raises, and where what it prints goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelab.gates.gate import gates

WORDS = "# register_gate\n'''register_gate'''\nopen('ran', 'w')\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\nsys.exit(0)\n", "it calls sys.exit(0) ("),
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
