"""A sweep whose launch named a store is found there afterwards, by its name alone."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from gatelab import compare
from gatelab.sweeps.home.making import make_home
from gatelab.tracking.named_store import PLACES, store_of
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri, sqlite_uri
from tests.gone_on import write_few
from tests.in_process import gatelab
from tests.test_edited_specs import SPEC


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the store of the folder itself; no variable names another."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return default_uri(tmp_path)


def home_in(folder: Path, uri: str | None) -> Path:
    return make_home(folder, SPEC, uri, None).path


@pytest.mark.slow
def test_by_its_name_alone(own: str, tmp_path: Path) -> None:
    write_few(tmp_path, "p", trials=1, rounds=1, seeds=2)
    gatelab(tmp_path, "launch", "p.yaml", "--tracking-uri", "sqlite:///elsewhere.db")
    assert not (tmp_path / FOLDER / "mlflow.db").exists()
    shown = gatelab(tmp_path, "compare", "p", "--format", "csv")
    assert "test/loss,softmax," in shown
    store = ("--tracking-uri", "sqlite:///elsewhere.db")
    assert gatelab(tmp_path, "compare", "p", "--format", "csv", *store) == shown
    assert compare("p", folder=tmp_path / FOLDER).sweep == "p"
    gatelab(tmp_path, "report", "p")
    assert (tmp_path / "p-report" / "report.html").is_file()


def test_the_dashboard_is_the_named_stores(own: str, tmp_path: Path) -> None:
    """Neither has a file yet, so the refusal says which store was looked for."""
    there = sqlite_uri(tmp_path / "elsewhere.db")
    home_in(tmp_path, there)
    for sweep, store in (("a", there), ("other", own)):
        said = gatelab(tmp_path, "ui", sweep, "--folder", str(tmp_path), code=2)
        assert said == f"gatelab: there is no store {store} yet; `gatelab launch` makes it.\n"


def test_the_dashboard_of_no_name_is_the_newest_sweeps(own: str, tmp_path: Path) -> None:
    assert store_of(tmp_path, None) == own
    there = sqlite_uri(tmp_path / "elsewhere.db")
    places = [home_in(tmp_path, there) / PLACES]
    said = gatelab(tmp_path, "ui", "--folder", str(tmp_path), code=2)
    assert said == f"gatelab: there is no store {there} yet; `gatelab launch` makes it.\n"
    other = SPEC.model_copy(update={"name": "b"})
    places.append(make_home(tmp_path, other, None, None).path / PLACES)
    for newest, store in ((0, there), (1, own)):
        os.utime(places[newest], ns=(time.time_ns(),) * 2)
        os.utime(places[1 - newest], ns=(0, 0))
        assert store_of(tmp_path, None) == store


def test_what_a_command_names_comes_first(own: str, tmp_path: Path) -> None:
    home_in(tmp_path, sqlite_uri(tmp_path / "elsewhere.db"))
    third = sqlite_uri(tmp_path / "third.db")
    for command in (("ui", "a", "--tracking-uri", third), ("compare", f"a@{third}")):
        said = gatelab(tmp_path, *command, "--folder", str(tmp_path), code=2)
        assert f"there is no store {third} yet" in said


@pytest.mark.parametrize("content", ["", "[1]", '{"uri": 3}', "{}", "[" * 3000])
def test_a_damaged_home_names_none(own: str, tmp_path: Path, content: str) -> None:
    (home_in(tmp_path, None) / PLACES).write_text(content)
    assert store_of(tmp_path, "a") == own


def test_no_home_and_one_without_a_store_of_its_own(own: str, tmp_path: Path) -> None:
    assert json.loads((home_in(tmp_path, None) / PLACES).read_text())["uri"] is None
    for name in ("a", "other", "../a", "\0", "", "x" * 5000):
        assert store_of(tmp_path, name) == own
