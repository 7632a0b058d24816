"""A full disk: what is written waits or ends in one line, and with room again a sweep goes on."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from optuna.distributions import FloatDistribution

from gatelab.sweeps.cli import main
from gatelab.sweeps.cluster import storage
from gatelab.sweeps.cluster.storage import Storage, when_there_is_room
from gatelab.sweeps.export.predict import write_rows
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.search.study_file import read_studies
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.tracking.journal import Journal
from gatelab.tracking.lines import FULL
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.sqlite import default_uri
from gatelab.training.steps import Ending
from tests.in_process import gatelab
from tests.launched import MODULE
from tests.made_sweeps import MadeSweep
from tests.small_disk import fill, small_disk
from tests.test_store_losses_of_sweeps import ONE_BY_ONE, SPEC, STAGES

SPACE = SearchSpace({"gate.k": 2}, {"gate.gamma": FloatDistribution(0.01, 10.0, log=True)})


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, "256k") as made:
        yield made


def opened(folder: Path, record: Journal | None = None) -> Study:
    path, rounds = folder / "studies.journal", {"one": Rounds(1)}
    return open_studies(path, {"one": SPACE}, rounds, sampler="random", seed=3, behind=record)[
        "one"
    ]


def search(study: Study, trials: int) -> None:
    for _ in range(trials):
        asked = study.ask(100)
        assert asked is not None
        number = asked.number
        study.tell(number, Ending("finished", "reached max_epochs (4)", 4, 1 / (number + 1)))


def test_a_search_goes_on_while_the_disk_of_its_studies_is_full(disk: Path) -> None:
    study = opened(disk)
    search(study, 2)
    other = fill(disk)
    search(study, 40)
    assert len(study.study.get_trials()) == 42, "what waits in memory is read too"
    on_disk = read_studies(disk / "studies.journal")["one"].trials
    assert len(on_disk) < 42, "a kill now would lose some, and no line is torn"
    other.unlink()
    search(study, 1)
    found = read_studies(disk / "studies.journal")["one"]
    assert [trial.value for trial in found.trials] == [1 / (n + 1) for n in range(43)]


def test_studies_never_know_more_than_the_record(disk: Path, tmp_path: Path) -> None:
    """Of a trial whose end waits for room, no note is on the disk: a kill loses both or neither."""
    record = Journal(disk / "spool.jsonl")
    path = tmp_path / "studies.journal"  # on a disk that has room
    study = opened(tmp_path, record)
    search(study, 1)
    other = fill(disk)
    while not record.waits:
        record.append({"end": "x" * 500})
    search(study, 1)
    assert len(read_studies(path)["one"].trials) == 1
    other.unlink()
    search(study, 1)
    assert not record.waits and len(read_studies(path)["one"].trials) == 3


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_torn_last_line_of_studies_is_cut(cut: int, tmp_path: Path) -> None:
    search(opened(tmp_path), 3)
    journal = tmp_path / "studies.journal"
    journal.write_bytes(journal.read_bytes()[:-cut])
    before = journal.read_bytes()
    assert len(read_studies(journal)["one"].trials) == 3
    assert journal.read_bytes() == before, "who only looks writes nothing"
    again = opened(tmp_path)
    search(again, 1)
    assert sum(t.state.is_finished() for t in read_studies(journal)["one"].trials) == 3
    assert [opened(tmp_path).study.best_value, len(again.study.trials)] == [1 / 3, 3]


def test_a_worker_waits_until_there_is_room(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage, "ROOM_SECONDS", 0.05)
    (tmp_path / "model.pt").write_bytes(bytes(8000))
    other = fill(disk)
    with pytest.raises(OSError) as full:
        Storage(disk).put(tmp_path / "model.pt", "models/a.pt")
    assert full.value.errno in FULL
    threading.Timer(0.5, other.unlink).start()
    with caplog.at_level(logging.WARNING):
        when_there_is_room(lambda: Storage(disk).put(tmp_path / "model.pt", "models/a.pt"))
    assert (disk / "models" / "a.pt").read_bytes() == bytes(8000)
    assert caplog.text.count("waits until there is room on the disk") == 1


FILLING = (
    "from gatelab.gates import SoftmaxGate\n"
    + MODULE
    + """
@register_gate("filling")
class Filling(SoftmaxGate):
    def forward(self, x):
        disk = Path("gatelab_runs")
        if (disk / "now").exists() and not (disk / "other").exists():
            with (disk / "other").open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass
        return super().forward(x)
"""
)


@pytest.mark.slow
def test_a_sweep_goes_on_once_its_disk_has_room(place: Path, tmp_path: Path) -> None:
    """One folder for all but the store, as on a small disk of one's own; full during a trial."""
    (place / "gatelab_runs").rename(place / "store")
    with small_disk(tmp_path, "6m") as disk:
        (place / "gatelab_runs").symlink_to(disk)
        (place / "mine.py").write_text(FILLING)
        (place / "c.yaml").write_text(SPEC.replace("[softmax]", "['mine:filling']") + ONE_BY_ONE)
        uri = default_uri(place / "store")
        gatelab(place, "launch", "c.yaml", "--tracking-uri", uri, code=130, most=1)
        (disk / "now").touch()
        gatelab(place, "resume", "c", code=130, most=1)
        for file in (disk / "other", disk / "sweeps" / "c" / "lock"):
            file.unlink()
        fill(disk)
        said = gatelab(place, "resume", "c", code=1)
        assert said.startswith("There is no room on the disk of gatelab_runs/sweeps/c")
        assert said.endswith("make some, then `gatelab resume c` goes on.\n"), said
        assert "stopped" in gatelab(place, "status")
        (disk / "now").unlink()
        (disk / "other").unlink()
        gatelab(place, "resume", "c")
        assert Home(place / "gatelab_runs", "c").finished
    record = read_sweep(uri, "c", trials=True)
    assert {stage: len(record.of(stage)) for stage in STAGES} == STAGES
    assert {run.end for run in record.of("search")} == {"finished"}


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from gatelab.sweeps.cli import main
main(["launch", "s.yaml"])
"""


@pytest.mark.slow
def test_where_no_file_can_be_written_one_line_says_so(tmp_path: Path) -> None:
    """At once, though Ray itself would die of it without a word."""
    (tmp_path / "s.yaml").write_text("name: s\ntask: synthetic_groups\ngates: [softmax]\n")
    words = [sys.executable, "-c", LIMITED]
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert [line for line in found.stderr.splitlines() if line.startswith("gatelab")] == [
        "gatelab: Ray cannot be started: no file can be written in /tmp: File too large; make room "
        "there, or see `ulimit -f`."
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_predictions_without_room_are_named(suffix: str, disk: Path) -> None:
    fill(disk)
    output = disk / f"predicted{suffix}"
    with pytest.raises(ValueError, match=rf"^{output} cannot be written: No space left on device"):
        write_rows(pa.table({"y": list(range(10_000))}), output)
    assert [path.name for path in disk.iterdir()] == ["other"]


def test_a_report_without_room_is_named(
    disk: Path, put_store: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = put_store(tmp_path / "store")
    MadeSweep(folder, "one", gates=("top_k", "softmax"), seeds=3)
    fill(disk)
    words = ["report", "one", "--to", str(disk / "rep"), "--folder", str(folder)]
    result = CliRunner().invoke(main, words)
    said = f"gatelab: {disk / 'rep'} cannot be written: No space left on device.\n"
    assert (result.exit_code, result.stderr) == (2, said)
