"""Files of data sets: downloaded whole and as published or not at all, from our own server."""

from __future__ import annotations

import gc
import gzip
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.tasks import MultiMNIST
from gatelab.tasks.data_sets.checking import checked_files
from gatelab.tasks.data_sets.data_set import DataError, DataFile, DataSet
from gatelab.tasks.data_sets.downloading import download
from tests.commands import ROOT
from tests.data_server import (
    CONTENT,
    HASH,
    Answer,
    Server,
    answered,
    broken_off,
    no_answer,
    not_there,
    silent,
    spoilt_zip,
    tarred,
    whole,
    zipped,
    zipped_link,
)
from tests.small_disk import small_disk

TARGETS = ("--option", "targets={y: binary}")


# pooch leaves a connection open that has broken off, until it is collected.
OPEN = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def server(running: Server) -> Server:
    running.answers.clear()
    running.asked.clear()
    return running


@pytest.fixture(autouse=True)
def left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect what a download leaves open within its test, which expects it, and not in another."""
    yield
    if OPEN.mark in request.node.iter_markers():
        gc.collect()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files go; a broken download is tried again at once."""
    monkeypatch.setenv("GATELAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    return tmp_path / "data" / "rated"


@pytest.mark.parametrize(
    ("url", "file", "content"),
    [
        ("ratings.dat", "ratings.dat", CONTENT),
        ("ratings.dat.gz", "ratings.dat.gz", gzip.compress(CONTENT)),
        ("ml.zip", "ratings.dat", zipped("ml/", "ml/README", "ml/ratings.dat")),
        ("ml.tar.gz", "ratings.dat", tarred("./ml/README", "./ml/ratings.dat")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_arrives_whole_and_is_got_once(
    url: str, file: str, content: bytes, server: Server, folder: Path
) -> None:
    server.answers[f"/{url}"] = whole(content)
    data_set, said = server.data_set(url, file), list[str]()
    download(data_set, say=said.append)
    assert [it.name for it in folder.iterdir()] == [file]
    assert data_set.found(file) == folder / file
    download(data_set, say=said.append)
    assert server.asked == [f"/{url}"]
    assert said == [f"rated: {folder / file} is here.", f"rated: all files are in {folder}."]
    ((ok, line),) = checked_files(data_set)
    assert ok and HASH in line and line.endswith("as published")


REFUSED: list[tuple[str, str, Answer, str]] = [
    (
        "a.dat",
        "ratings.dat",
        whole(CONTENT[1:]),
        f"expected sha256 {HASH} .* but found [0-9a-f]{{64}}",
    ),
    ("a.dat.gz", "ratings.dat.gz", whole(gzip.compress(b"x")), f"expected sha256 {HASH}"),
    ("a.dat", "ratings.dat", whole(b"\n <!DOCTYPE html><p>Moved"), r"web page \(HTML\)"),
    ("a.dat.gz", "ratings.dat.gz", whole(b"<html>"), "web page"),
    ("a.zip", "ratings.dat", whole(b"<html>"), "web page"),
    ("a.dat", "ratings.dat", whole(b""), "is empty"),
    ("a.dat.gz", "ratings.dat.gz", whole(gzip.compress(CONTENT)[:-20]), "truncated"),
    ("a.zip", "ratings.dat", whole(zipped("ratings.dat")[:-30]), "truncated or no archive"),
    ("a.tar.gz", "ratings.dat", whole(tarred("ratings.dat")[:-30]), "truncated or no archive"),
    ("a.zip", "ratings.dat", whole(zipped("../ratings.dat")), "'../ratings.dat' lies outside"),
    ("a.zip", "ratings.dat", whole(zipped("/etc/ratings.dat")), "'/etc/ratings.dat' lies outside"),
    ("a.zip", "ratings.dat", whole(zipped("ratings.dat", "a/../../b")), "'a/../../b' lies outside"),
    ("a.tar.gz", "ratings.dat", whole(tarred("x/../../ratings.dat")), "lies outside"),
    (
        "a.tar.gz",
        "ratings.dat",
        whole(tarred(link="/etc/passwd")),
        "'ratings.dat' is no plain file",
    ),
    (
        "a.tar.gz",
        "ratings.dat",
        whole(tarred("a", link="a", kind=tarfile.LNKTYPE)),
        "'ratings.dat' is no plain file",
    ),
    ("a.zip", "ratings.dat", whole(zipped_link()), "'a/ratings.dat' is no plain file"),
    ("a.zip", "ratings.dat", whole(spoilt_zip(6, 8, 1)), "no archive that can be read: .*encrypt"),
    ("a.zip", "ratings.dat", whole(spoilt_zip(8, 10, 99)), "no archive that can be read: .*method"),
    (
        "a.zip",
        "ratings.dat",
        whole(zipped("ratings.dat", "\u00e9").replace("\u00e9".encode(), b"\xff\xfe")),
        "it is truncated or no archive that can be read",
    ),
    ("a.zip", "ratings.dat", whole(b"{}"), "used: it is truncated or .*opened successfully.$"),
    ("a.zip", "ratings.dat", whole(b"\xef\xbb\xbf<!-- moved --><html>"), "used: it is a web page"),
    ("a.zip", "ratings.dat", whole(zipped("other.dat")), "no entry called ratings.dat"),
    ("a.zip", "ratings.dat", whole(zipped("a/ratings.dat", "b/ratings.dat")), "has 2 entries"),
    ("a.dat", "ratings.dat", not_there, "the server answers 404 Not Found"),
    ("a.dat", "ratings.dat", broken_off(CONTENT, times=9), "the connection ended before the file"),
    ("a.dat", "ratings.dat", no_answer, "the connection ended without an answer of HTTP"),
    ("a.dat", "ratings.dat", silent, "the server does not answer in 0.2 s"),
    ("a.dat", "ratings.dat", answered(("Content-Length", "many")), "answer cannot be read .*many"),
    ("a.dat", "ratings.dat", answered(("Content-Encoding", "gzip")), "not packed as it says"),
    ("a.dat", "ratings.dat", answered(("Location", "/a.dat"), status=302), "redirects without an"),
]


@OPEN
@pytest.mark.parametrize(("url", "file", "answer", "said"), REFUSED)
def test_what_is_not_the_file_is_refused_in_one_line(
    url: str,
    file: str,
    answer: Answer,
    said: str,
    server: Server,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.answers[f"/{url}"] = answer
    monkeypatch.setattr("gatelab.tasks.data_sets.downloading._PATIENCE", 0.2)
    with pytest.raises(DataError, match=said) as caught:
        download(server.data_set(url, file), say=print)
    assert "\n" not in str(caught.value) and f"{server.address}/{url}" in str(caught.value)
    assert ".draft" not in str(caught.value)
    assert list(folder.iterdir()) == [], "nothing is half-written"
    assert not (folder.parent / "ratings.dat").exists()


@OPEN
def test_a_download_that_breaks_off_is_tried_again(server: Server, folder: Path) -> None:
    server.answers["/a.dat"] = broken_off(CONTENT, times=2)
    download(server.data_set("a.dat"), progress=True)
    assert (folder / "ratings.dat").read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_server_that_is_not_there_is_one_line(folder: Path) -> None:
    data_set = DataSet("rated", (DataFile("a", "http://127.0.0.1:9/a"),), "Us.", "None.")
    there = "http://127.0.0.1:9/there/"
    said = "http://127.0.0.1:9/{} cannot be downloaded: the server cannot be reached"
    for mirror, place, end in ((None, "a", "; `--mirror URL` takes"), (there, "there/a", ".")):
        with pytest.raises(DataError, match=re.escape(said.format(place) + end)):
            download(data_set, mirror=mirror)


def test_where_no_hash_is_known_that_is_said(server: Server) -> None:
    server.answers["/a.dat"] = whole(CONTENT)
    data_set = server.data_set("a.dat", sha256=None)
    download(data_set)
    ((ok, line),) = checked_files(data_set)
    assert ok and line.endswith("no hash known to compare it with")


def test_the_licence_is_accepted_first(server: Server) -> None:
    server.answers["/a.dat"] = whole(CONTENT)
    files = server.data_set("a.dat").files
    data_set = DataSet("rated", files, "Us.", "No sharing.", to_accept=True)
    with pytest.raises(DataError, match="No sharing. .*get rated --accept-licence"):
        download(data_set)
    assert server.asked == [] and data_set.missing
    download(data_set, accept_licence=True)
    assert not data_set.missing


def test_a_full_disk_is_one_line(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(1_000_000)
    server.answers["/a.dat"] = whole(content)
    data_set = server.data_set("a.dat", sha256=None)
    with small_disk(tmp_path, "256k") as disk:
        monkeypatch.setenv("GATELAB_DATA", str(disk))
        with pytest.raises(DataError, match="rated: there is no room in .*GATELAB_DATA"):
            download(data_set)
        assert list((disk / "rated").iterdir()) == []


@pytest.mark.parametrize("named", ["~nobody-of-this-name/x", "a" * 300, "not/there", "é ü/数"])
def test_a_folder_that_cannot_be_is_no_failure(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one that is not there yet, with signs of any language."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATELAB_DATA", named)
    code, lines = gatelab("data", "check", "school")
    assert code == 1 and len(lines) == 1 and f"in {named}/school: " in lines[0]
    for command in ("list tasks", "show task school"):
        code, lines = gatelab(*command.split())
        assert code == 0 and any("not here" in line for line in lines)
    code, lines = gatelab("check", "task", "table", "--option", "path=a.csv", *TARGETS)
    assert code == 2 and len(lines) == 1 and f"there is no file {named}/a.csv" in lines[0]


def test_a_folder_that_is_a_file_is_one_line(folder: Path, server: Server) -> None:
    folder.parent.write_text("no folder")
    with pytest.raises(DataError, match="cannot be written to: (Not a directory|File exists)"):
        download(server.data_set("a.dat"))


SCRIPT = """
import sys
from gatelab.tasks.data_sets.data_set import DataFile, DataSet
from gatelab.tasks.data_sets.downloading import download
name, url, digest = sys.argv[1:]
download(DataSet("rated", (DataFile(name, url, digest),), "Us.", "None."))
"""


@pytest.mark.slow
def test_of_two_processes_one_downloads(server: Server, folder: Path) -> None:
    """What a process that was killed has left is cleared away."""
    (folder / ".draft-left").mkdir(parents=True)
    asked, released = threading.Event(), threading.Event()

    def answer(request: BaseHTTPRequestHandler, before: int) -> None:
        asked.set()
        released.wait(60)
        whole(CONTENT)(request, before)

    server.answers["/a.dat"] = answer
    line = [sys.executable, "-uc", SCRIPT, "ratings.dat", f"{server.address}/a.dat", HASH]
    with subprocess.Popen(line, cwd=ROOT) as one:
        assert asked.wait(60)
        with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout and other.stdout.readline().startswith("another process downloads")
            released.set()
            assert other.wait(60) == 0
        assert one.wait(60) == 0
    assert server.asked == ["/a.dat"]
    assert [it.name for it in folder.iterdir()] == ["ratings.dat"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_leaves_no_draft(
    number: signal.Signals, server: Server, tmp_path: Path
) -> None:
    """Neither by a shutdown nor by a terminal that closes."""
    under_way, released = threading.Event(), threading.Event()

    def answer(request: BaseHTTPRequestHandler, before: int) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(2 * len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT)
        under_way.set()
        released.wait(60)

    server.answers |= {f"/{it.name}": answer for it in MultiMNIST.data_sets[0].files}
    words = ["-m", "gatelab", "data", "get", "multi_mnist", "--mirror", server.address]
    env = {**os.environ, "GATELAB_DATA": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, *words], env=env, stdout=pipe, stderr=pipe) as one:
        assert under_way.wait(60) and list((tmp_path / "mnist").glob(".draft-*"))
        one.send_signal(number)
        _, told = one.communicate(timeout=60)
        released.set()
    assert (one.returncode, told) == (130, b"Stopped.\n")
    assert list((tmp_path / "mnist").iterdir()) == []


def gatelab(*words: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(main, words)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output.splitlines()


def test_the_command_gets_and_checks_what_a_task_reads(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a mirror, whose files are not the published ones."""
    packed = gzip.compress(CONTENT)
    for file in MultiMNIST.data_sets[0].files:
        server.answers[f"/files/{file.name}"] = whole(packed)
    code, lines = gatelab("data", "get", "multi_mnist", "--mirror", f"{server.address}/files/")
    assert code == 2 and len(lines) == 2
    assert lines[0].startswith("mnist: LeCun") and "Share Alike" in lines[0]
    assert "expected sha256 ba89" in lines[1] and HASH in lines[1]
    code, lines = gatelab("data", "check", "mnist")
    assert code == 1 and len(lines) == 4
    assert all(line.startswith("FAIL  there is no file t") for line in lines)
    files = [DataFile(it.name, it.url, HASH) for it in MultiMNIST.data_sets[0].files]
    ours = DataSet("mnist", tuple(files), "Us.", "None.")
    monkeypatch.setattr(MultiMNIST, "data_sets", (ours,))
    monkeypatch.setattr("gatelab.tasks.image_pairs.MNISTFashion.data_sets", (ours,))
    assert "multi_mnist" in "".join(gatelab("list", "tasks")[1])
    (before,) = [line for line in gatelab("list", "tasks")[1] if line.startswith("multi_mnist")]
    assert before.rstrip().endswith("not here")
    code, lines = gatelab("data", "get", "multi_mnist", "--mirror", f"{server.address}/files")
    assert code == 0 and len(lines) == 5
    code, lines = gatelab("data", "check", "multi_mnist")
    assert code == 0 and all(it.startswith("ok") and it.endswith("as published") for it in lines)
    (after,) = [line for line in gatelab("list", "tasks")[1] if line.startswith("multi_mnist")]
    assert after.rstrip().endswith(" here") and "not here" not in after


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnst", "unknown data set 'mnst'; did you mean 'mnist'"),
        ("digits_pairs", "task 'digits_pairs' reads no files"),
    ],
)
def test_a_name_that_is_none_is_one_line(name: str, said: str) -> None:
    for command in ("get", "check"):
        code, lines = gatelab("data", command, name)
        assert code == 2 and len(lines) == 1 and lines[0].startswith(f"gatelab: {said}")


def test_validate_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    spec = tmp_path / "pairs.yaml"
    spec.write_text("name: pairs\ntask: multi_mnist\ngates: [softmax]\n")
    code, lines = gatelab("validate", str(spec))
    assert code == 2 and len(lines) == 1
    assert "pairs.yaml: task: there is no file train-images" in lines[0]
    assert "`gatelab data get mnist`" in lines[0] and str(tmp_path / "data" / "mnist") in lines[0]
    code, lines = gatelab("check", "task", "multi_mnist")
    assert code == 2 and len(lines) == 1 and "gatelab data get mnist" in lines[0]
