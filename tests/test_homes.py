"""Homes: whole or not there, one launch a name, and a damaged one hides no other."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from click.testing import CliRunner

import gatelab
from gatelab.sweeps.cli import main
from gatelab.sweeps.driver import launching
from gatelab.sweeps.driver.launching import launch
from gatelab.sweeps.home.files import FILES, FOLDERS, is_half_made
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.local import local_sweeps
from gatelab.sweeps.home.making import make_home
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tracking.journal import Journal
from gatelab.tracking.sqlite import default_uri
from gatelab.tracking.store_errors import StoreUnavailable
from tests.small_disk import small_disk

PLACES = '{"uri": null, "storage": null, "id": "0"}'


def spec(name: str, **more: object) -> Spec:
    return parse_spec({"name": name, "task": "digits_pairs", "gates": ["softmax"], **more})


def command(folder: Path, *arguments: str) -> tuple[int, str]:
    """Return the exit code of a command on a folder, and all that it says."""
    result = CliRunner().invoke(main, [*arguments, "--folder", str(folder)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_home_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_: Path, __: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_home(tmp_path, spec("a"), None, None, fill=interrupt)
    assert list((tmp_path / "sweeps").iterdir()) == []
    make_home(tmp_path, spec("a"), None, None)
    (tmp_path / "sweeps" / ".draft-0").mkdir()  # of a launch that was killed
    assert local_sweeps(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "files", [(), ("spec.yaml",), ("spec.yaml", "launched.yaml", "places.json")]
)
def test_a_half_made_home_does_not_take_the_name(files: tuple[str, ...], tmp_path: Path) -> None:
    half = tmp_path / "sweeps" / "a"
    half.mkdir(parents=True)
    for name in files:
        (half / name).touch()
    assert is_half_made(half)
    assert make_home(tmp_path, spec("a"), None, None).spec.name == "a"
    assert not is_half_made(half)
    with pytest.raises(SpecError, match="is there already"):
        make_home(tmp_path, spec("a"), None, None)


@pytest.mark.parametrize("given", ["", None, 3, b"a"])
def test_a_folder_is_a_path_and_no_empty_one(
    given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uses: list[Callable[..., object]] = [
        partial(gatelab.launch, spec("a")),
        partial(gatelab.launch, spec("a"), uri="sqlite:///a.db"),
        partial(gatelab.resume, "a"),
        partial(gatelab.compare, "a"),
        partial(gatelab.report, "a", "to"),
        partial(gatelab.export, "a"),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=f"^`folder` must be a path, but got {given!r}.$"):
            use(folder=given)
    with pytest.raises(ValueError, match="^`storage` must be a path, but got ''.$"):
        gatelab.launch(spec("a"), storage="")
    assert not list(tmp_path.iterdir())


def test_what_somebody_else_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "sweeps" / "a").mkdir(parents=True)
    (tmp_path / "sweeps" / "a" / "notes.txt").touch()
    with pytest.raises(SpecError, match=r"damaged: .*missing\. `--name` launches"):
        launch(spec("a"), folder=tmp_path)
    assert (tmp_path / "sweeps" / "a" / "notes.txt").exists()


def test_of_launches_of_one_name_one_wins(tmp_path: Path) -> None:
    """Nor does a loser touch the winner's spool."""
    start = Barrier(8)

    def make(_: int) -> bool:
        start.wait()
        try:
            home = make_home(tmp_path, spec("a"), None, None)
        except SpecError:
            return False
        journal = Journal(home.spool)
        journal.append({"n": 1})
        journal.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(make, range(8))) == 1
    assert (tmp_path / "spool" / "a.jsonl").read_text() == '{"n": 1}\n'
    assert os.listdir(tmp_path / "sweeps") == ["a"]


def test_a_look_at_the_lock_keeps_no_driver_out(tmp_path: Path) -> None:
    import fcntl
    import threading

    home = make_home(tmp_path, spec("a"), None, None)
    with (home.path / "lock").open("a") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.2, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with home.locked(), pytest.raises(SpecError, match="running in another process"):
            with home.locked():
                pass


def test_of_resumes_of_one_sweep_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other is refused in one line before it reads data or starts Ray."""
    home = make_home(tmp_path, spec("a"), None, None)
    monkeypatch.setattr(launching, "status", lambda _: "stopped")  # as both found it
    monkeypatch.setattr(launching, "make_task", lambda _: pytest.fail("it went on"))
    with home.locked():
        code, said = command(tmp_path, "resume", "a")
    assert (code, said) == (
        2,
        "gatelab: a: sweep 'a' is running in another process: `gatelab status a --folder "
        f"{tmp_path}` shows how far it is.\n",
    )


UNKNOWN_GATE = b"name: n\ntask: synthetic_groups\ngates: [none]\nsearch: {trials: 3}"


def damage(sweeps: Path) -> list[str]:
    """Make homes that are damaged, each in its own way; return their names."""
    (sweeps / ".DS_Store").touch()
    (sweeps / "link").symlink_to("nowhere")
    (sweeps / "loop").symlink_to("loop")
    homes: dict[str, dict[str, bytes]] = {
        "hollow": {},
        "empty": {"places.json": b""},
        "binary": {"places.json": b"\xff\xfe\x00"},
        "list": {"places.json": b"[1]"},
        "number": {"places.json": b'{"uri": 3, "storage": null, "id": "0"}'},
        "nameless": {"places.json": b'{"uri": null, "storage": null}'},
        "place": {"places.json": b'{"uri": null, "storage": "ftp://x/y", "id": "0"}'},
        "deep": {"places.json": b"[" * 100_000},
        "spec": {"places.json": PLACES.encode(), "spec.yaml": b""},
        "nested": {"places.json": PLACES.encode(), "spec.yaml": b"a: " + b"[" * 3000},
        "yaml": {"places.json": PLACES.encode(), "spec.yaml": b"a: [\xff"},
        "studies": {"studies.journal": b'{"op_code":0}\n'},
        "middle": {"studies.journal": b'garbage\n{"op_code":0}\n'},
        "zeros": {"studies.journal": bytes(100) + b"\n"},
    }
    for name, files in homes.items():
        (sweeps / name).mkdir()
        if "studies.journal" in files:
            files |= {"places.json": PLACES.encode(), "spec.yaml": UNKNOWN_GATE}
        for file, content in files.items():
            (sweeps / name / file).write_bytes(content)
    (sweeps / "folder").mkdir()
    (sweeps / "folder" / "places.json").mkdir()
    in_the_way = {
        f"{kind} for {path.name}": (path, make)
        for path in (*map(Path, FILES), Path("../../spool/NAME.jsonl"))
        for kind, make in (("folder", Path.mkdir), ("pipe", os.mkfifo), ("loop", loop))
    } | {f"file for {name}": (Path(name), Path.touch) for name in FOLDERS}
    for name, (path, make) in in_the_way.items():
        (sweeps / name).mkdir()
        (sweeps / name / "places.json").write_text(PLACES)
        (sweeps / name / "spec.yaml").write_bytes(UNKNOWN_GATE)
        (sweeps.parent / "spool").mkdir(exist_ok=True)
        place = sweeps / name / str(path).replace("NAME", name)
        place.unlink(missing_ok=True)
        make(place)
    return [".DS_Store", "link", "loop", "folder", *homes, *in_the_way]


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def test_a_damaged_home_is_one_line_and_hides_no_other(tmp_path: Path) -> None:
    for name in ("first", "second"):
        make_home(tmp_path, spec(name), None, None)
    damaged = damage(tmp_path / "sweeps")
    code, said = command(tmp_path, "status")
    rows = [re.split(r"\s{2,}", line) for line in said.splitlines()[1:]]
    lines = {row[0]: row[1] for row in rows}
    assert code == 0
    assert lines == {**dict.fromkeys(damaged, "damaged"), "first": "stopped", "second": "stopped"}
    assert said.count("\n") == 1 + len(lines)
    for name in damaged:
        code, said = command(tmp_path, "status", name)
        assert (code, said.count("\n")) == (2, 1) and name in said, said
        for order in ("stop", "resume", "logs"):
            code, said = command(tmp_path, order, name)
            assert (code, said.count("\n")) == (2, 1), said
            assert "has failed" not in said
    code, said = command(tmp_path, "stop", "first")
    assert "is not running on this machine: it is stopped" in said


@pytest.mark.parametrize("make", [os.mkfifo, loop])
def test_what_a_run_would_meet_later_is_found_before_it(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    home = make_home(tmp_path, spec("a"), None, None)
    (home.path / "files" / "softmax").mkdir(parents=True)
    make(home.path / "files" / "softmax" / "weights.csv")
    assert command(tmp_path, "status")[1].splitlines()[1].startswith("a      stopped")
    code, said = command(tmp_path, "resume", "a")
    assert (code, said.count("\n")) == (2, 1)
    assert "files/softmax/weights.csv is a " in said and "neither a file nor a folder" in said


def test_a_folder_in_place_of_a_new_spool(tmp_path: Path) -> None:
    (tmp_path / "spool" / "a.position").mkdir(parents=True)
    with pytest.raises(SpecError, match=r"a\.position is a folder, where records of sweep 'a'"):
        make_home(tmp_path, spec("a"), None, None)
    assert not (tmp_path / "sweeps").exists()


def test_a_torn_line_of_studies_is_no_damage(tmp_path: Path) -> None:
    home = make_home(tmp_path, spec("a"), None, None)
    (home.path / "studies.journal").write_bytes(b'{"op_code":0,"wor')
    assert command(tmp_path, "status")[1].splitlines()[1].startswith("a      stopped")


@pytest.mark.parametrize("folder", ["file/runs", "link/runs", "readonly/runs"])
def test_a_folder_that_cannot_be_made(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "readonly").symlink_to("/proc/sys")  # not of root's either
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StoreUnavailable, match=r"the folder \S+ cannot be (made|written): ") as why:
        launch(spec("a"), folder=tmp_path / folder)
    assert "\n" not in str(why.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_leaves_no_home(tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        (disk / "other").write_bytes(bytes(12 * 1024))
        for number in range(9):  # also when its files and not its folders are what finds no room
            with pytest.raises(OSError, match="No space left"):
                for part in range(9):
                    make_home(disk, spec(f"a{number}{part}"), None, None)
        for name in local_sweeps(disk):
            assert Home(disk, name).spec.name == name


def test_an_experiment_that_mlflow_cannot_store_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        f"name: a\ntask: digits_pairs\ngates: [softmax]\nexperiment: {257 * 'x'}\n"
    )
    for order in ("validate", "launch"):
        result = CliRunner().invoke(main, [order, str(tmp_path / "a.yaml")])
        assert result.exit_code == 2
        assert "experiment: must have 1 to 256 characters, but got 257 (xxx" in result.output
        assert result.output.count("\n") == 1
    spec("a", experiment=256 * "x")


def test_what_a_home_knows_moves_with_it(tmp_path: Path) -> None:
    make_home(tmp_path / "old", spec("a"), None, None)
    make_home(tmp_path / "old", spec("b"), "sqlite:///b.db", "states")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = Home(tmp_path / "new", "a")
    assert moved.uri == default_uri(tmp_path / "new")
    assert moved.storage.place == str(tmp_path / "new" / "sweeps" / "a")
    fixed = Home(tmp_path / "new", "b")  # as was asked for, from wherever it is resumed
    assert fixed.uri == f"sqlite:///{Path.cwd() / 'b.db'}"
    assert fixed.storage.place == str(Path.cwd() / "states" / "b")
