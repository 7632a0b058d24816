"""Addresses of SQLite stores lead to one file, from whatever folder they are read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gatelab.tracking.sqlite import absolute, sqlite_path


def test_a_store_is_read_where_warnings_are_errors() -> None:
    """What MLflow's own code is warned of must not end a command of who looks for theirs."""
    code = "from gatelab.tracking.mlflow_read import sweep_names"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///a.db", "sqlite:///{}/a.db"),
        ("sqlite:///./b/../a.db", "sqlite:///{}/a.db"),
        ("sqlite:///a.db?timeout=5", "sqlite:///{}/a.db?timeout=5"),
        ("sqlite+pysqlite:///a.db", "sqlite+pysqlite:///{}/a.db"),
        ("sqlite+pysqlite:///a%3Fb.db?x=1", "sqlite+pysqlite:///{}/a%3Fb.db?x=1"),
        *((uri, uri) for uri in ("sqlite:////a/b.db?timeout=5", "sqlite://", "http://h:5000")),
        *((uri, uri) for uri in ("sqlite:///file:a.db?uri=true", "postgresql://h/a.db")),
    ],
)
def test_a_relative_address_is_made_one_for_all_folders(
    uri: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = absolute(uri)
    assert found == expected.format(tmp_path)
    if found != uri:
        assert sqlite_path(found) == Path.cwd() / sqlite_path(uri).name  # type: ignore[union-attr]
    assert absolute(found) == found
