"""A resume by other code, or in another time zone: it is said, and every run says what ran it."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

import pytest

from gatelab.sweeps.cluster import provenance
from gatelab.sweeps.home.making import make_home
from gatelab.sweeps.home.parts import PARTS_LOST, begin_part
from gatelab.sweeps.spec.reading import parse_spec
from tests.in_process import gatelab
from tests.launched import read
from tests.test_store_losses_of_sweeps import ONE_BY_ONE, SPEC, STAGES

MODULE = """
from gatelab.gates import SoftmaxGate, register_gate

@register_gate("own")
class Own(SoftmaxGate):
    pass
"""


def test_every_change_since_the_launch_is_told(tmp_path: Path) -> None:
    spec = parse_spec({"name": "a", "task": "digits_pairs", "gates": ["softmax"]})
    home = make_home(tmp_path, spec, None, None)
    old = {"version.torch": "1", "data": "x", "machine.cpus": "2", "git.commit": "y"}
    assert begin_part(home, old) == []
    assert begin_part(home, {**old, "machine.cpus": "64", "git.commit": "z"}) == []
    changed = ["resumed with other code or data: version.torch was 1, is 2. Each run's tags say "
               "which code ran it, and on which data."]  # fmt: skip
    assert begin_part(home, {**old, "version.torch": "2"}) == changed
    with (home.path / "parts.jsonl").open("a") as file:
        file.write('{"torn')
    assert begin_part(home, {**old, "version.torch": "2"}) == changed, "later ones say so too"
    third = begin_part(home, {"version.torch": "2", "data": "w", "code.mine": "f"})[1]
    assert third.startswith("resumed with other code or data: code.mine was none, is f; data was x")


@pytest.mark.parametrize("left", [None, "", '{"version.torch": "1", "da', "[1]\n"])
def test_a_lost_file_of_parts_is_told_at_every_resume(left: str | None, tmp_path: Path) -> None:
    spec = parse_spec({"name": "a", "task": "digits_pairs", "gates": ["softmax"]})
    home, now = make_home(tmp_path, spec, None, None), {"version.torch": "1", "data": "x"}
    assert begin_part(home, now) == [], "nothing has run yet"
    assert begin_part(home, now, begun=True) == []
    (home.path / "parts.jsonl").unlink()
    if left is not None:
        (home.path / "parts.jsonl").write_text(left)
    for _ in range(2):
        assert begin_part(home, now, begun=True) == [PARTS_LOST]
    (_, changed) = begin_part(home, {**now, "data": "y"}, begun=True)
    assert changed.startswith("resumed with other code or data: data was x, is y")


@pytest.mark.slow
def test_a_resume_without_its_file_of_parts_says_so(place: Path) -> None:
    (place / "c.yaml").write_text(SPEC + ONE_BY_ONE)
    gatelab(place, "launch", "c.yaml", code=130, most=1)
    (place / "gatelab_runs" / "sweeps" / "c" / "parts.jsonl").unlink()
    assert f"\nwarning: {PARTS_LOST}\n" in gatelab(place, "resume", "c")
    assert PARTS_LOST[1:] in "".join(read(place, "c").warnings)


@pytest.mark.slow
def test_a_resume_by_other_code(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "mine.py").write_text(MODULE)
    (place / "c.yaml").write_text(SPEC.replace("[softmax]", "['mine:own']") + ONE_BY_ONE)
    assert "warning: resumed" not in gatelab(place, "launch", "c.yaml", code=130, most=1)
    (place / "mine.py").write_text(f"{MODULE}\n# another\n")
    monkeypatch.setattr(
        provenance, "version", lambda name: "9.9" if name == "gatelab" else version(name)
    )
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        said = gatelab(place, "resume", "c")
    time.tzset()
    ours = f"version.gatelab was {version('gatelab')}, is 9.9"
    assert "\nwarning: resumed with other code or data: code.mine was " in said and ours in said
    record = read(place, "c")
    assert {stage: len(record.of(stage)) for stage in STAGES} == STAGES
    ran = [(run.tags["version.gatelab"], run.tags["code.mine"]) for run in record.of("search")]
    assert {number for number, _ in ran} == {version("gatelab"), "9.9"}
    assert len({code for _, code in ran}) == 2
    (told,) = [line for line in record.warnings if "other code or data" in line]
    assert ours in told
