"""What a search or a spool has lost is counted: the one is made again, the other told."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree

import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.tracking.mlflow_read import history
from gatelab.tracking.sqlite import default_uri
from tests.in_process import gatelab, in_this_process, modules_of
from tests.launched import read

pytestmark = pytest.mark.slow
SPEC = """
name: c
task: {name: synthetic_groups, num_targets: 2, train_rows: 96, val_rows: 48, test_rows: 48}
gates: [softmax]
baselines: false
training: {max_epochs: 2, batch_size: 4}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2}
resources: {members: 1}
"""


def test_all_trials_are_trained_again(place: Path) -> None:
    (place / "c.yaml").write_text(SPEC)
    output = gatelab(place, "launch", "c.yaml", code=130, most=1)
    assert "warning" not in output
    journal = place / "gatelab_runs/sweeps/c/studies.journal"
    journal.write_bytes(b"")
    uri = default_uri(place / "gatelab_runs")
    before = {run.run_id for run in read(place, "c").of("search")}
    output = gatelab(place, "resume", "c")
    file = journal.relative_to(place)
    assert f"warning: the file {file} lacks 1 of 1 trials that were recorded, or their" in output
    record = read(place, "c")
    assert [run.status for run in record.of("search")] == ["FINISHED"] * 2
    assert {run.run_id for run in record.of("search")}.isdisjoint(before)
    (gate,) = record.of("gate")
    assert gate.metrics["search/epochs"] == sum(
        len(history(uri, run.run_id, "train/loss")) - 1  # the last row is of the kept weights
        for run in record.of("search")
    )


def test_a_part_that_is_lost_is_counted(place: Path) -> None:
    (place / "c.yaml").write_text(SPEC)
    gatelab(place, "launch", "c.yaml", code=130, most=2)
    journal = place / "gatelab_runs/sweeps/c/studies.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    first, *_ = (at for at, line in enumerate(lines) if b'"op_code": 6' in line)  # a trial's end
    journal.write_bytes(b"".join(lines[: first + 1]))
    output = gatelab(place, "resume", "c")
    file = journal.relative_to(place)
    assert f"warning: the file {file} lacks 1 of 2 trials that were recorded, or their" in output
    record = read(place, "c")
    assert [run.status for run in record.of("search")] == ["FINISHED"] * 2


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished sweep."""
    folder = tmp_path_factory.mktemp("ended")
    (folder / "c.yaml").write_text(SPEC)
    assert "warning: the " not in gatelab(folder, "launch", "c.yaml")
    return folder


def damaged(ended: Path, folder: Path, file: str, share: float) -> Path:
    """Return a copy of a folder in which a file has a share of its bytes."""
    copytree(ended, folder, dirs_exist_ok=True)
    path = folder / "gatelab_runs" / file
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return folder


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_status_does_not_count_as_left_what_is_lost(
    share: float, ended: Path, tmp_path: Path
) -> None:
    assert "warning" not in gatelab(ended, "status")
    said = gatelab(damaged(ended, tmp_path, "sweeps/c/studies.journal", share), "status")
    file = "gatelab_runs/sweeps/c/studies.journal"
    assert f"warning: {file} does not note the end of all that was finished" in said


def test_what_a_spool_has_lost_is_counted_and_recorded(ended: Path, tmp_path: Path) -> None:
    damaged(ended, tmp_path, "spool/c.jsonl", 0.5)
    new = ("--redeliver", "--tracking-uri", f"sqlite:///{tmp_path / 'new.db'}")
    with modules_of(tmp_path), in_this_process():
        output = CliRunner().invoke(main, ["resume", "c", *new]).output
    found = re.search(r"the spool (\S+) lacks ([1-4]) of 4 trials and evaluations", output)
    assert found and found[1] == "gatelab_runs/spool/c.jsonl"
    said = gatelab(tmp_path, "compare", "c")
    assert f"The spool gatelab_runs/spool/c.jsonl lacks {found[2]} of 4 trials" in said
    with modules_of(tmp_path), in_this_process():
        told = CliRunner().invoke(main, ["resume", "c", "--redeliver"])
    assert f"lacks {found[2]} of 4 trials" in told.output


def test_a_spool_that_has_lost_its_sweep_is_delivered_nowhere(ended: Path, tmp_path: Path) -> None:
    damaged(ended, tmp_path, "spool/c.jsonl", 0.0)
    places = (tmp_path / "gatelab_runs/sweeps/c/places.json").read_bytes()
    new = f"sqlite:///{tmp_path / 'new.db'}"
    said = gatelab(tmp_path, "resume", "c", "--redeliver", "--tracking-uri", new, code=2)
    assert said.endswith(
        "gatelab: the home of sweep 'c' is damaged: gatelab_runs/spool/c.jsonl does not have its "
        "run. Put back what was there, or launch the spec under another name (`--name`).\n"
    )
    assert (tmp_path / "gatelab_runs/sweeps/c/places.json").read_bytes() == places


def test_a_spec_that_is_gone(place: Path) -> None:
    (place / "c.yaml").write_text(SPEC)
    gatelab(place, "launch", "c.yaml", code=130, most=0)
    (place / "gatelab_runs/sweeps/c/spec.yaml").unlink()
    output = gatelab(place, "resume", "c", code=2)
    assert output == (
        "gatelab: the home of sweep 'c' is damaged: gatelab_runs/sweeps/c/spec.yaml is missing or "
        "empty.\n"
    )
