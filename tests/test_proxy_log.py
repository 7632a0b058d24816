"""The proxy's log holds no secret, whatever a request looks like; half a request ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from socket import create_connection

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from tests.test_proxy import PROXY, behind, script

TOKEN = "a-token-of-48-characters"
AUTHORITY = f"Authorization: Bearer {TOKEN}"
HEAD = "GET /api/jobs/ HTTP/1.1\r\nHost: localhost:8265\r\n"
REQUESTS = {
    "bare LF": f"GET /api/jobs/ HTTP/1.1\nHost: localhost:8265\n{AUTHORITY}\n\n",
    "odd casing": f"{HEAD}aUTHORIZATION: bEARER {TOKEN}\r\n\r\n",
    "folded": f"{HEAD}Authorization: Bearer\r\n {TOKEN}\r\n\r\n",
    "several": f"{HEAD}{AUTHORITY}\r\n{AUTHORITY}\r\nHost: b\r\n\r\n",
    "in the query": f"GET /?token={TOKEN} HTTP/1.1\r\nHost: localhost:8265\r\n\r\n",
    "in a bad path": f"GET http://[{TOKEN}/ HTTP/1.1\r\nHost: localhost:8265\r\n\r\n",
    "a space in the path": f"GET /a {TOKEN} HTTP/1.1\r\n{AUTHORITY}\r\n\r\n",
    "no method": f"{TOKEN}\r\n\r\n",
    "as method": f"{TOKEN} / HTTP/1.1\r\n\r\n",
    "as version": f"GET / HTTP/{TOKEN}\r\n\r\n",
    "zero byte": f"{HEAD}Authorization: Bearer \0{TOKEN}\r\n\r\n",
    "space before the colon": f"{HEAD}Authorization : Bearer {TOKEN}\r\n\r\n",
    "bad length": f"{HEAD}{AUTHORITY}\r\nContent-Length: {TOKEN}\r\n\r\n",
    "bad chunk": f"{HEAD}{AUTHORITY}\r\nTransfer-Encoding: chunked\r\n\r\n{TOKEN}\r\n",
    "both lengths": (
        f"{HEAD}{AUTHORITY}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n{TOKEN}"
    ),
    "pipelined": f"{HEAD}{AUTHORITY}\r\n\r\n{TOKEN} / HTTP/1.1\r\n{AUTHORITY}\r\n\r\n",
    "a long line": f"GET /{'x' * 2**17} HTTP/1.1\r\n{AUTHORITY}\r\n\r\n",
    "half": f"{HEAD}{AUTHORITY}\r\n",
    "a WebSocket by half": (
        f"{HEAD}{AUTHORITY}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    ),
}


@contextmanager
def running(log: Path) -> Iterator[int]:
    """Run the proxy before a port where nobody answers; yield its own."""
    port = unused_port()
    with log.open("wb") as file:
        command = [sys.executable, str(PROXY), f"{port}:{unused_port()}"]
        process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            for _ in range(300):
                try:
                    create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait()


def test_no_secret_is_logged(tmp_path: Path) -> None:
    with running(tmp_path / "log") as port:
        for text in REQUESTS.values():
            with create_connection(("127.0.0.1", port), 5) as connection:
                connection.settimeout(0.3)
                connection.sendall(text.encode())
                try:
                    connection.recv(2**16)
                except TimeoutError:
                    pass
    log = (tmp_path / "log").read_text()
    assert TOKEN not in log
    assert "BadHttpMessage" in log or "Bad" in log, "what is wrong with requests is still counted"


@asynccontextmanager
async def begun(
    text: str, idle_seconds: float
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send the start of a request to a proxy that waits so long for more of it."""
    module = script()
    module.IDLE_SECONDS = idle_seconds
    async with TestServer(behind()) as server:
        served = module.runner(server.port)
        await served.setup()
        await web.TCPSite(served, "127.0.0.1", port := unused_port()).start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text.encode())
        yield reader, writer
        writer.close()
        await served.cleanup()


@pytest.mark.parametrize(
    "text", ["", HEAD, "POST / HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_half_a_request_ends(text: str) -> None:
    async def scenario() -> None:
        async with begun(text, 0.3) as (reader, writer):
            await asyncio.wait_for(reader.read(), 20)
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "text", [HEAD, "POST / HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 999999\r\n\r\n"]
)
def test_what_trickles_ends(text: str) -> None:
    """A byte every so often keeps no connection: of a head, or of a body."""

    async def scenario() -> None:
        async with begun(text, 0.5) as (reader, writer), asyncio.timeout(20):
            ended = asyncio.create_task(reader.read())
            while not ended.done():
                writer.write(b"x")
                await asyncio.sleep(0.05)

    asyncio.run(scenario())
