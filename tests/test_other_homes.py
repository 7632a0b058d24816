"""One store, and sweeps of one name that are launched in two folders at the same time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.making import make_home
from gatelab.tracking.lines import parsed
from gatelab.tracking.mlflow_client import active_experiments, search
from gatelab.tracking.mlflow_store import Store
from gatelab.tracking.queries import of_sweep
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.records import coalesce, write_record
from gatelab.tracking.schema import FOLDER, Tags
from gatelab.tracking.sqlite import default_uri
from gatelab.tracking.store_errors import StoreRefuses
from tests.gone_on import write_few
from tests.in_process import gatelab
from tests.test_edited_specs import SPEC


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return default_uri(tmp_path)


def tags(home: str) -> dict[str, str]:
    return {Tags.SWEEP: "p", Tags.STAGE: "sweep", Tags.HOME: home}


def start(store: Store, home: str) -> None:
    store.start_run("p", None, "p", tags(home), {}, 1)


def opened(uri: str, experiment: str) -> Store:
    """Return a store that knows of no run yet."""
    store = Store(uri, experiment)
    store.know_runs("p")
    return store


def homes(store: Store) -> list[str]:
    found = search(store.client, active_experiments(store.client), of_sweep("p"))
    return [run.data.tags["mlflow.gatelab.home"] for run in found]


@pytest.mark.parametrize("other", ["e", "another"])
def test_the_second_takes_nothing_of_the_firsts(uri: str, other: str) -> None:
    """In one experiment or in two; the first goes on, after a stop too."""
    first, second = opened(uri, "e"), opened(uri, other)
    start(first, "one")
    for store in (second, opened(uri, other)):
        with pytest.raises(StoreRefuses, match="has a sweep 'p' of another folder") as caught:
            start(store, "two")
    assert "\n" not in str(caught.value)
    start(first, "one")
    start(opened(uri, "e"), "one")
    assert homes(first) == ["one"]


def test_of_two_that_find_nothing_the_later_takes_its_own_back(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first makes its run between the second's look and its own."""
    first, second = opened(uri, "e"), opened(uri, "e")
    make = second.client.create_run

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(second.client, "create_run", make)
        start(first, "one")
        return make(*args, **kwargs)

    monkeypatch.setattr(second.client, "create_run", overtaken)
    with pytest.raises(StoreRefuses):
        start(second, "two")
    assert homes(first) == ["one"]


def test_a_sweep_of_no_home_is_another(uri: str) -> None:
    unknown = {name: value for name, value in tags("").items() if name != Tags.HOME}
    opened(uri, "e").start_run("p", None, "p", unknown, {}, 1)
    with pytest.raises(StoreRefuses):
        start(opened(uri, "e"), "one")


def test_what_is_recorded_waits_where_another_has_the_name(uri: str, tmp_path: Path) -> None:
    first = opened(uri, "e")
    start(first, "one")
    recorder = Recorder(tmp_path / "p.jsonl", uri=uri, experiment="e", sweep="p")
    recorder.start_run("p", parent=None, name="p", tags=tags("two"), params={"of": "two"})
    recorder.log_metrics("p", 1, {"val/loss": 2.0})
    assert not recorder.flush(30)
    assert recorder.refused and "of another folder" in recorder.problem
    recorder.close(0)
    (run,) = search(first.client, active_experiments(first.client), of_sweep("p"))
    assert run.data.metrics == {} and run.data.params == {}


def test_a_home_keeps_its_id_where_it_is_moved(tmp_path: Path) -> None:
    one, other = (make_home(tmp_path / place, SPEC, None, None) for place in "ab")
    assert one.id and one.id != other.id
    one.move_record("sqlite:///elsewhere.db")
    shutil.move(tmp_path / "a", tmp_path / "c")
    assert Home(tmp_path / "c", one.name).id == one.id


@pytest.mark.slow
def test_of_two_that_go_on_under_one_name_one_is_taken(
    place: Path, uri: str, tmp_path: Path
) -> None:
    """Each begins with what it has taken over; here both have looked before either writes."""
    write_few(place, "c", 2, 1, 2)
    gatelab(place, "launch", "c.yaml")
    homes = []
    for where in (place, shutil.copytree(place, tmp_path / "other")):
        gatelab(where, "resume", "c", "evaluation.seeds=3", code=130, most=0)
        homes.append(Home(where / FOLDER, "c-2"))
    stores = [Store(uri, "e", tmp_path / name) for name in "ab"]
    for store in stores:
        store.know_runs("c-2")
    deliver(homes[0], stores[0])
    with pytest.raises(StoreRefuses, match="has a sweep 'c-2' of another folder"):
        deliver(homes[1], stores[1])
    found = [*search(stores[0].client, [stores[0].experiment_id], of_sweep("c-2"))]
    names = [run.info.run_name for run in found]
    assert len(names) == len({*names}) > 1
    assert names.count("c-2") == 1


def deliver(home: Home, store: Store) -> None:
    """Write into a store what waits in a home's spool."""
    records = (parsed(line) for line in home.spool.read_bytes().splitlines())
    for record in coalesce(record for record in records if record):
        write_record(store, record, home.path)
