"""The first requests of a browser come at once, which MLflow's server has to survive."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from gatelab.tracking.dashboard import serve
from gatelab.tracking.sqlite import default_uri

SLOW = """
import pathlib, sys, time
import sqlalchemy.orm
of_sqlalchemy = sqlalchemy.orm.relationship
half = pathlib.Path(__file__).with_name("half")
def relationship(*arguments, **options):
    if sys._getframe(1).f_code.co_name == "SqlRole":  # SqlUser is there, what it relates to is not
        half.touch()
        time.sleep(3)
    return of_sqlalchemy(*arguments, **options)
sqlalchemy.orm.relationship = relationship
"""
"""Makes the tables of MLflow's logins as slowly as a busy machine might."""


@pytest.mark.slow
def test_none_of_them_breaks_the_server(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with serve(default_uri(empty_store.parent), log=tmp_path / "log") as server:
        api = f"{server.address}/ajax-api/2.0/mlflow"

        def runs() -> int:
            asked = {"experiment_ids": ["0"]}
            return requests.post(f"{api}/runs/search", json=asked, timeout=60).status_code

        def models() -> int:
            return requests.get(f"{api}/model-versions/search", timeout=60).status_code

        with ThreadPoolExecutor(1) as beside:
            first = beside.submit(runs)
            while not (tmp_path / "half").exists():
                time.sleep(0.05)
            assert (models(), first.result(), runs()) == (200, 200, 200)
