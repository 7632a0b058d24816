"""A server of files to download, which answers as a test says, and files as it may send them."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gatelab.tasks.data_sets.data_set import DataFile, DataSet

CONTENT = b"1::2::5::978300760\n" * 2000


HASH = hashlib.sha256(CONTENT).hexdigest()


Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""What a server does with a request, of which it is told how many came before for this path."""


class Server:
    """Serves bytes by path, and counts what is asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                before = outer.asked.count(self.path)
                outer.asked.append(self.path)
                outer.answers.get(self.path, not_there)(self, before)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def data_set(self, name: str, file: str = "ratings.dat", sha256: str | None = HASH) -> DataSet:
        url = f"{self.address}/{name}"
        return DataSet("rated", (DataFile(file, url, sha256),), "Us, 2026.", "None.")


def not_there(request: BaseHTTPRequestHandler, _: int) -> None:
    request.send_error(404)


def whole(content: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler, _: int) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def broken_off(content: bytes, times: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler, before: int) -> None:
        if before >= times:
            return whole(content)(request, before)
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])
        request.close_connection = True

    return answer


def zipped(*entries: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for entry in entries:
            archive.writestr(entry, CONTENT)
    return made.getvalue()


def tarred(*entries: str, link: str = "", kind: bytes = tarfile.SYMTYPE) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry)
            member.size = len(CONTENT)
            archive.addfile(member, io.BytesIO(CONTENT))
        if link:
            member = tarfile.TarInfo("ratings.dat")
            member.type, member.linkname = kind, link
            archive.addfile(member)
    return made.getvalue()


def zipped_link() -> bytes:
    """Return a zip whose file is a link out of its folder."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        entry = zipfile.ZipInfo("a/ratings.dat")
        entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return made.getvalue()


def spoilt_zip(local: int, central: int, value: int) -> bytes:
    """Return a zip with another byte in both heads of its entry."""
    made = bytearray(zipped("a/ratings.dat"))
    made[made.find(b"PK\3\4") + local] = made[made.find(b"PK\1\2") + central] = value
    return bytes(made)


def answered(*head: tuple[str, str], content: bytes = CONTENT, status: int = 200) -> Answer:
    """Return an answer with a head of its own."""

    def answer(request: BaseHTTPRequestHandler, _: int) -> None:
        request.send_response(status)
        for line in head:
            request.send_header(*line)
        request.end_headers()
        request.wfile.write(content)
        request.close_connection = True

    return answer


def no_answer(request: BaseHTTPRequestHandler, _: int) -> None:
    request.wfile.write(b"what is no answer of HTTP\r\n\r\n")
    request.close_connection = True


def silent(request: BaseHTTPRequestHandler, _: int) -> None:
    """Send a half, and then nothing for longer than one waits."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(CONTENT)))
    request.end_headers()
    request.wfile.write(CONTENT[:1000])
    request.wfile.flush()
    threading.Event().wait(1)  # time.sleep does nothing here
