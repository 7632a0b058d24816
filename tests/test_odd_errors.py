"""Errors that say odd things, or are of odd classes: one line and a traceback each, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelab.foreign import ForeignError, foreign, told
from gatelab.rules import as_line
from gatelab.sweeps.driver.follow_up import _some
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job
from gatelab.training.member import Member
from gatelab.training.steps import Ending, failed
from tests.in_process import gatelab
from tests.launched import read

JOB = Job("search", "one", "softmax", (Member(Configuration.of({}, {}, {}), 0),))


class Wordless(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("nor this")


class Panic(BaseException):
    """As those of libraries in other languages."""


def ending(error: BaseException) -> Ending:
    """Return how a job ends that an error has ended here."""
    try:
        raise error
    except BaseException as raised:
        endings = failed(raised, JOB).endings
    assert endings is not None
    return endings[0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n b\tc", "a b c"),
        ("\ud800 half", "\\ud800 half"),
        ("zero\0 \x1b[31mred", "zero\\x00 \\x1b[31mred"),
        ("\u202egnitrats", "\\u202egnitrats"),
        ("é 😀", "é 😀"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert as_line(text, 40) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [("x" * 12, "xxxxxxxxxx..."), ("\0" * 9, "\\x00\\x00\\x..."), (" " * 100 + "x", "...")],
)
def test_one_line_is_cut(text: str, line: str) -> None:
    assert as_line(text, 10) == line


@pytest.mark.parametrize("text", ["x" * 3_000_000, "line\n" * 300_000])
def test_a_long_message_leaves_the_place(text: str) -> None:
    found = ending(RuntimeError(text))
    assert len(found.reason) < 600 and "\n" not in found.reason
    assert len(found.trace) < 21_000
    assert f'File "{__file__}", line ' in found.trace and "RuntimeError: " in found.trace


def test_long_messages_of_a_chain_leave_every_place() -> None:
    try:
        raise RuntimeError("x" * 1_000_000)
    except RuntimeError as first:
        last = KeyError("y" * 1_000_000)
        last.__cause__ = first
    found = ending(last)
    assert found.trace.count(f'File "{__file__}", line ') == 2, found.trace[:3000]
    assert "RuntimeError: xxx" in found.trace and "KeyError: 'yyy" in found.trace


def test_many_places_leave_the_first_and_the_last() -> None:
    def down(left: int) -> None:
        if left % 2:  # as two functions that call each other: Python counts equal frames only
            down(left - 1)
        elif left:
            exec(compile("down(left - 1)", "other.py", "exec"), {"down": down, "left": left})
        else:
            raise KeyError("deep down")

    try:
        down(600)
    except KeyError as error:
        found = failed(error, JOB).endings
    assert found is not None and 20_000 < len(found[0].trace) < 21_000
    assert found[0].trace.startswith("Traceback") and "\n...\n" in found[0].trace
    assert found[0].trace.endswith("KeyError: 'deep down'\n")


def test_what_cannot_say_what_it_is() -> None:
    found = ending(Wordless())
    assert found.reason == "Wordless: what it says cannot be made, for RuntimeError"
    assert "Wordless" in told(Wordless())
    with pytest.raises(ForeignError, match="Wordless: what it says"), foreign():
        raise Wordless


def test_of_many_reasons_a_few_are_told() -> None:
    assert _some(["a", "b", "a"]) == "a; b"
    assert _some(f"NaN in row {row}" for row in range(900)).endswith("row 4; and 895 others")


MODULE = """
import asyncio
from gatelab.gates import SoftmaxGate, register_gate

class Panic(BaseException):
    pass

class Wordless(Exception):
    def __str__(self):
        raise RuntimeError

def failing(name, error):
    class Fails(SoftmaxGate):
        \"\"\"Fails once it has been tried.\"\"\"
        calls = 0
        def forward(self, x):
            Fails.calls += 1
            if Fails.calls > 25:
                raise error
            return super().forward(x)
    Fails.__name__ = Fails.__qualname__ = name
    register_gate(name)(Fails)

failing("torn", RuntimeError("\\ud800 \\0 first\\nsecond"))
failing("panic", Panic("elsewhere"))
failing("cancelled", asyncio.CancelledError("no more"))
failing("wordless", Wordless())
"""
SPEC = """
name: odd
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
gates: [softmax, "odd:torn", "odd:panic", "odd:cancelled", "odd:wordless"]
model: {num_experts: 2}
baselines: false
training: {max_epochs: 2, batch_size: 16}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 2}
resources: {members: 1}
"""
REASONS = {
    "torn": "RuntimeError: \\ud800 \\x00 first second",
    "panic": "Panic: elsewhere",
    "cancelled": "CancelledError: no more",
    "wordless": "Wordless: what it says cannot be made, for RuntimeError",
}


@pytest.mark.slow
def test_a_sweep_outlives_them(place: Path) -> None:
    (place / "odd.py").write_text(MODULE)
    (place / "odd.yaml").write_text(SPEC)
    output = gatelab(place, "launch", "odd.yaml", code=4)
    traces = place / "gatelab_runs/sweeps/odd/tracebacks"
    for gate, reason in REASONS.items():
        assert f"{gate} has no score: no trial finished: {reason}; traceback in " in output
        text = (traces / f"{gate}-search-000" / "traceback.txt").read_text()
        assert f'File "{place}/odd.py", line ' in text
    record = read(place, "odd")
    assert {run.gate: run.end_reason for run in record.of("search") if run.end == "failed"} == (
        REASONS
    )


@pytest.mark.slow
def test_no_traceback_is_worth_a_sweep(place: Path) -> None:
    """Where it cannot be written the sweep goes on."""
    (place / "odd.py").write_text(MODULE.replace("> 25", "> 29"))  # once its trial is over
    (place / "odd.yaml").write_text(
        SPEC.replace(', "odd:panic", "odd:cancelled", "odd:wordless"', "")
    )
    gatelab(place, "launch", "odd.yaml", code=130, most=1)
    traces = place / "gatelab_runs/sweeps/odd/tracebacks"
    traces.mkdir(exist_ok=True)
    for number in range(2):  # a file is where each folder is to be
        (traces / f"torn-evaluate-{number:03}").write_text("no folder")
    output = gatelab(place, "resume", "odd", code=4)
    assert "torn has no score: evaluation failed: RuntimeError" in output
    assert "softmax is the only gate with a test loss" in output
