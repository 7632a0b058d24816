"""Scores that a home keeps of an evaluation: whole, or named; never left out without a word."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gatelab.sweeps.home.scores import read_scores
from gatelab.sweeps.search.study_file import DamagedFile
from gatelab.tracking.schema import FOLDER
from tests.in_process import gatelab
from tests.launched import read

SPEC = """
name: a
task: {name: digits_pairs, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 2, expert_width: 8}
gates: [softmax]
baselines: false
training: {max_epochs: 2}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2, splits: SPLITS}
"""
MODEL = f"{FOLDER}/sweeps/a/models/softmax-0.pt"
SCORES = f"{FOLDER}/sweeps/a/files/softmax/evaluation-0.json"


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: tuple[Callable[[Path], object], ...] = (half, folder, Path.unlink)


@pytest.mark.parametrize(
    "text",
    ["[[1, {}, ", "", "3", "{}", "[]", "[[1]]", "[[1, [], [], []]]", "\0", "[" * 9999],
)
def test_what_was_never_written_there_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "evaluation-0.json"
    path.write_text(text)
    with pytest.raises(DamagedFile, match=r"evaluation-0\.json does not hold .*`--name`"):
        read_scores(path)


def launched(place: Path, splits: int, most: int | None = None) -> None:
    (place / "a.yaml").write_text(SPEC.replace("SPLITS", str(splits)))
    gatelab(place, "launch", "a.yaml", code=0 if most is None else 130, most=most)
    assert (place / SCORES).is_file()


def damaged(place: Path, damage: Callable[[Path], object], file: str = SCORES) -> Path:
    """Return a copy of a folder in which something is done to the scores, or to another file."""
    other = place.with_name(f"{place.name}-{len([*place.parent.iterdir()])}")
    shutil.copytree(place, other)
    damage(other / file)
    return other


@pytest.mark.slow
def test_a_resume_sums_up_no_part_of_what_was_evaluated(place: Path) -> None:
    """And it is told before what is left is trained."""
    launched(place, splits=2, most=2)
    for damage in DAMAGES:
        other = damaged(place, damage)
        said = gatelab(other, "resume", "a", code=2)
        assert "evaluating" not in said
        assert said.splitlines()[-1].startswith(
            f"gatelab: the home of sweep 'a' is damaged: {SCORES} does not hold the scores of an "
            "evaluation: put back"
        )
    gatelab(place, "resume", "a")


@pytest.mark.slow
def test_what_goes_on_evaluates_anew_what_it_cannot_take_over(place: Path) -> None:
    launched(place, splits=1)
    cases = [(SCORES, Path.exists, 1), *((SCORES, one, 3) for one in DAMAGES), (MODEL, half, 3)]
    for file, damage, seeds in cases:
        other = damaged(place, damage, file)
        said = gatelab(other, "resume", "a", "evaluation.seeds=3")
        assert f"softmax: evaluating {seeds} seed" in said
        told = [line for line in said.splitlines() if line.endswith(" begin anew.")]
        assert [Path(file).name in line for line in told] == [True] * (seeds == 3), said
        assert len(read(other, "a-2").of("evaluate")) == 3
