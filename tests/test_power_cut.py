"""A power cut: what a file system had not written yet is gone, and a sweep goes on all the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gatelab.durable import write_settled
from gatelab.sweeps.driver.follow_up import FollowUp
from gatelab.sweeps.search.study_file import StudyFile
from gatelab.tracking.journal import Journal
from gatelab.tracking.mlflow_read import history
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending
from tests.in_process import gatelab
from tests.launched import read

SPEC = """
name: c
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 3}
gates: {softmax: null, top_k: {k: 1}}
baselines: false
training: {max_epochs: 3, batch_size: 32}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2}
"""


class Disk:
    """A disk, mounted at a folder, whose power may be cut."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.image = folder / "image"
        with self.image.open("wb") as file:
            file.truncate(2**26)
        subprocess.run(["mkfs.ext4", "-q", str(self.image)], check=True)
        self.path = self._mounted(self.image, "disk")

    def _mounted(self, image: Path, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        mount = ["mount", "-o", "loop", str(image), str(path)]
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"no disk can be mounted: {made.stderr.strip()}")
        self.stack.callback(subprocess.run, ["umount", "--lazy", str(path)], check=True)
        return path

    def cut(self) -> Callable[[], Path]:
        """Keep what the disk has at this moment; return what mounts it elsewhere."""
        kept = self.folder / "kept"
        shutil.copyfile(self.image, kept)
        return lambda: self._mounted(kept, "again")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("no ext4 can be made")
    with ExitStack() as stack:
        yield Disk(tmp_path, stack)


def test_studies_never_know_more_than_the_record_on_the_disk(disk: Disk) -> None:
    record = Journal(disk.path / "spool" / "c.jsonl")
    studies = StudyFile(disk.path / "studies.journal", behind=record)
    record.append({"kind": "end"}, {"kind": "end"})
    studies.append_logs([{"note": 1}])
    record.append({"kind": "start"})
    again = disk.cut()()
    assert (again / "studies.journal").read_bytes().count(b"\n") == 1
    assert (again / "spool" / "c.jsonl").read_bytes().count(b"\n") == 2
    record.close()
    studies.lines.close()


def test_a_file_is_there_whole(disk: Disk) -> None:
    path = disk.path / "scores.json"
    write_settled(path, "1")
    write_settled(path, "22")
    assert (disk.cut()() / "scores.json").read_text() == "22"


@contextmanager
def cut_after_the_evaluation_of(label: str, disk: Disk) -> Iterator[list[Callable[[], Path]]]:
    """Cut the power once the studies know that a gate is evaluated, and end the sweep."""
    found: list[Callable[[], Path]] = []
    end = FollowUp.end

    def cut(self: FollowUp, job: Job, endings: Sequence[Ending]) -> None:
        end(self, job, endings)
        if job.label == label:
            found.append(disk.cut())
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FollowUp, "end", cut)
        yield found


@pytest.mark.slow
def test_a_sweep_goes_on_after_a_power_cut(disk: Disk, put_store: Callable[[Path], Path]) -> None:
    place = put_store(disk.path / FOLDER).parent
    (place / "c.yaml").write_text(SPEC)
    os.sync()
    with cut_after_the_evaluation_of("top_k", disk) as found:
        gatelab(place, "launch", "c.yaml", code=130)
    again = found[0]()
    gatelab(again, "resume", "c")
    record = read(again, "c")
    assert {run.end for run in [*record.of("gate"), *record.of("evaluate")]} == {"finished"}
    assert [len(record.of(stage)) for stage in ("search", "evaluate")] == [4, 4]
    assert all("test/loss" in run.metrics for run in [*record.of("gate"), *record.of("evaluate")])
    uri = default_uri(again / FOLDER)
    for run in record.of("search"):
        steps = [step for step, _ in history(uri, run.run_id, "train/loss")]
        assert steps == sorted(set(steps)) and steps
