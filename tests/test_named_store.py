"""A sweep whose launch named a store is found there afterwards, by its name alone."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from gatelab import compare
from gatelab.sweeps.driver.processes import started
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.making import make_home
from gatelab.tracking.named_store import LAUNCHED_MS, PLACES, store_of
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
        launched(places[newest], 2_000_000_000_000)
        launched(places[1 - newest], 1_000_000_000_000)
        os.utime(places[newest], ns=(0, 0))  # as a copy of the folder may have it
        assert store_of(tmp_path, None) == store


def launched(places: Path, when: object) -> None:
    """Write into a home when its sweep was launched, in milliseconds."""
    places.write_text(json.dumps(json.loads(places.read_text()) | {LAUNCHED_MS: when}))


def test_a_launch_is_when_its_home_was_made_however_that_is_copied(
    own: str, tmp_path: Path
) -> None:
    before = time.time()
    home = make_home(tmp_path, SPEC, None, None)
    began = started(home)
    assert before - 1 < began.timestamp() < time.time() + 1
    home.move_record(sqlite_uri(tmp_path / "elsewhere.db"))
    os.utime(home.path / PLACES, ns=(0, 0))
    assert started(Home(tmp_path, SPEC.name)) == began


@pytest.mark.parametrize("when", [None, True, 1.5, "1", -1, 10**300])
def test_a_home_that_does_not_say_when_has_its_file_s_time(
    own: str, tmp_path: Path, when: object
) -> None:
    home = make_home(tmp_path, SPEC, None, None)
    launched(home.path / PLACES, when)
    os.utime(home.path / PLACES, (86_400, 86_400))
    assert started(home).timestamp() == 86_400


def test_what_a_command_names_comes_first(own: str, tmp_path: Path) -> None:
    home_in(tmp_path, sqlite_uri(tmp_path / "elsewhere.db"))
    third = sqlite_uri(tmp_path / "third.db")
    for command in (("ui", "a", "--tracking-uri", third), ("compare", f"a@{third}")):
        said = gatelab(tmp_path, *command, "--folder", str(tmp_path), code=2)
        assert f"there is no store {third} yet" in said


@pytest.mark.parametrize("content", ["", "[1]", '{"uri": 3}', "{}", "[" * 3000])
def test_a_damaged_home_is_said_rather_than_another_store_looked_into(
    own: str, tmp_path: Path, content: str
) -> None:
    places = home_in(tmp_path, sqlite_uri(tmp_path / "elsewhere.db")) / PLACES
    places.write_text(content)
    with pytest.raises(LookupError, match="names the store of 'a': put back"):
        store_of(tmp_path, "a")
    for order, *rows in (("ui",), ("compare",), ("report",), ("export",), ("predict", "rows.csv")):
        said = gatelab(tmp_path, order, "a", *rows, "--folder", str(tmp_path), code=2)
        assert said.startswith(f"gatelab: {places} is damaged, which names") and own in said
        assert said.count("\n") == 1
    assert store_of(tmp_path, None) == own


def test_a_home_whose_places_are_lost_is_said_too(own: str, tmp_path: Path) -> None:
    places = home_in(tmp_path, sqlite_uri(tmp_path / "elsewhere.db")) / PLACES
    places.unlink()
    with pytest.raises(LookupError, match="is missing, which names the store of 'a': put back"):
        store_of(tmp_path, "a")
    said = gatelab(tmp_path, "compare", "a", "--folder", str(tmp_path), code=2)
    assert said.startswith(f"gatelab: {places} is missing, which names") and own in said
    assert store_of(tmp_path, None) == own


def test_no_home_and_one_without_a_store_of_its_own(own: str, tmp_path: Path) -> None:
    assert json.loads((home_in(tmp_path, None) / PLACES).read_text())["uri"] is None
    for name in ("a", "other", "../a", "..", ".", "\0", "", "x" * 5000):
        assert store_of(tmp_path, name) == own
