"""The proxy before a head's web services: what it refuses, and that the rest goes through whole."""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar, WSServerHandshakeError, web
from aiohttp.test_utils import TestServer, unused_port
from yarl import URL

PROXY = Path(__file__).parent.parent / "cluster" / "proxy.py"
Scenario = Callable[[ClientSession, URL], Awaitable[None]]


def script() -> Any:
    """Return cluster/proxy.py."""
    spec = importlib.util.spec_from_file_location("proxy", PROXY)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def echo(request: web.Request) -> web.StreamResponse:
    """Say what has arrived."""
    body = await request.read()
    return web.json_response(
        {
            "asked": f"{request.method} {request.raw_path}",
            "size": len(body),
            "headers": {name.lower(): text for name, text in request.headers.items()},
        },
        status=int(request.query.get("status", 200)),
    )


async def log_in(request: web.Request) -> web.StreamResponse:
    answer = web.Response(text="welcome", headers={"Location": "/elsewhere"}, status=303)
    for name in ("one", "two"):
        answer.set_cookie(name, "secret")
    return answer


async def pages(request: web.Request) -> web.StreamResponse:
    """Send a compressed body in pieces, the second once the first was fetched."""
    answer = web.StreamResponse(headers={"Content-Encoding": "gzip"})
    await answer.prepare(request)
    await answer.write(gzip.compress(b"first "))
    await request.app[SEEN].wait()
    await answer.write(gzip.compress(b"second"))
    return answer


async def seen(request: web.Request) -> web.StreamResponse:
    request.app[SEEN].set()
    return web.Response()


async def talk(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.data == "bye":
            await socket.close(code=4000)
        elif isinstance(message.data, bytes):
            await socket.send_bytes(message.data[::-1])
        else:
            await socket.send_str(f"{request.path}: {message.data}")
    return socket


SEEN = web.AppKey("seen", asyncio.Event)


def behind() -> web.Application:
    app = web.Application(client_max_size=2**30)
    app[SEEN] = asyncio.Event()
    app.router.add_get("/pages", pages)
    app.router.add_get("/talk", talk)
    app.router.add_post("/seen", seen)
    app.router.add_post("/log-in", log_in)
    app.router.add_route("*", "/{path:.*}", echo)
    return app


def run(scenario: Scenario) -> None:
    """Run a scenario with a client and the address of a proxy."""

    async def all_of_it() -> None:
        async with (
            TestServer(behind()) as server,
            TestServer(script().proxy(server.port), host="127.0.0.1") as proxy,
            ClientSession(cookie_jar=DummyCookieJar(), auto_decompress=False) as client,
        ):
            await scenario(client, proxy.make_url("/"))

    asyncio.run(all_of_it())


FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "evil.example:8265"},
    {"Host": "localhost.evil.example"},
    {"Host": "127.0.0.1.evil.example:8265"},
    {"Host": "10.0.0.11:8265"},
    {"Host": "evil.example#localhost"},
    {"Host": "localhost:\u0668"},
    {"Host": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Host": "localhost:8265", "Origin": "https://localhost:8265"},
    {"Host": "localhost:8265", "Origin": "localhost:8265"},
    {"Host": "localhost:8265", "Origin": "http://localhost:8265.evil.example"},
    {"Host": "localhost:8265", "Origin": "http://evil.example/localhost:8265"},
]
OWN = [
    {"Host": "localhost:8265"},
    {"Host": "LOCALHOST"},
    {"Host": "127.0.0.1:9999", "Origin": "http://127.0.0.1:9999"},
    {"Host": "[::1]:8265", "Origin": "http://[::1]:8265"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_strangers_are_refused(headers: dict[str, str]) -> None:
    async def scenario(client: ClientSession, url: URL) -> None:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
            async with client.request(method, url / "x", headers=headers) as answer:
                assert answer.status == 403
        with pytest.raises(WSServerHandshakeError, match="403"):
            await client.ws_connect(url / "talk", headers=headers)

    run(scenario)


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_whoever_comes_through_a_tunnel_is_let_in(headers: dict[str, str]) -> None:
    async def scenario(client: ClientSession, url: URL) -> None:
        for method in ("GET", "POST"):
            async with client.request(method, url / "x", headers=headers) as answer:
                assert (await answer.json())["headers"]["host"] == headers["Host"]

    run(scenario)


def test_two_hosts_are_none() -> None:
    async def scenario(client: ClientSession, url: URL) -> None:
        for first, second in (("localhost", "evil.example"), ("evil.example", "localhost")):
            request = f"GET /x HTTP/1.1\r\nHost: {first}\r\nHost: {second}\r\n\r\n"
            assert await raw(url, request) in (400, 403)

    run(scenario)


async def raw(url: URL, request: str) -> int:
    """Send what no client would; return the answer's status."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(request.encode())
    status = (await reader.readline()).split()[1]
    writer.close()
    return int(status)


@pytest.mark.parametrize("target", ["http://evil.example/x", "@evil.example/x", "evil.example:80"])
def test_it_leads_nowhere_else(target: str) -> None:
    """Whatever the request's own line names, the port behind is what answers."""

    async def scenario(client: ClientSession, url: URL) -> None:
        request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert await raw(url, request) in (200, 400)

    run(scenario)


def test_a_request_arrives_as_it_was_sent() -> None:
    async def scenario(client: ClientSession, url: URL) -> None:
        asked = URL(f"{url}a%2Fb/%C3%A9%20?q=%26+1&q=2&status=418", encoded=True)
        headers = {"Authorization": "Bearer x", "Cookie": "a=b", "User-Agent": "me"}
        async with client.put(asked, data=b"12345", headers=headers) as answer:
            assert answer.status == 418
            found = await answer.json()
        assert found["asked"] == f"PUT {asked.raw_path_qs}"
        assert found["size"] == 5 and found["headers"]["content-length"] == "5"
        assert headers.items() <= {(name.title(), it) for name, it in found["headers"].items()}
        async with client.head(url / "x") as answer:
            assert answer.status == 200 and await answer.read() == b""
        async with client.get(url / ("x" * 20_000)) as answer:
            assert answer.status in (200, 400), "the server behind has a limit of its own"

    run(scenario)


def test_large_bodies_are_not_held() -> None:
    """As a job's package is, or a model; more than any limit of a server on what it holds."""
    size = 200 * 2**20

    async def chunks() -> Any:
        for _ in range(size // 2**20):
            yield bytes(2**20)

    async def scenario(client: ClientSession, url: URL) -> None:
        async with client.put(url / "package", data=chunks()) as answer:
            assert (await answer.json())["size"] == size

    run(scenario)


def test_an_answer_goes_on_as_it_comes() -> None:
    async def scenario(client: ClientSession, url: URL) -> None:
        async with client.get(url / "pages") as answer:
            first = await answer.content.readany()
            async with client.post(url / "seen"):
                pass
            assert gzip.decompress(first + await answer.read()) == b"first second"
            assert answer.headers["Content-Encoding"] == "gzip"

    run(scenario)


def test_redirects_and_cookies_are_the_browsers() -> None:
    """Who logs in does so for themselves, not for whoever asks next."""

    async def scenario(client: ClientSession, url: URL) -> None:
        async with client.post(url / "log-in", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/elsewhere")
            assert [it.partition("=")[0] for it in answer.headers.getall("Set-Cookie")] == [
                "one", "two",
            ]  # fmt: skip
        async with client.get(url / "x") as answer:
            assert "cookie" not in (await answer.json())["headers"]

    run(scenario)


def test_web_sockets() -> None:
    async def scenario(client: ClientSession, url: URL) -> None:
        origin = {"Origin": str(url.origin())}
        async with client.ws_connect(url / "talk", headers=origin) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "/talk: hello"
            await socket.send_bytes(bytes(range(256)) * 10_000)
            assert await socket.receive_bytes() == bytes(range(255, -1, -1)) * 10_000
            await socket.send_str("bye")
            await socket.receive()
            assert socket.close_code == 4000
        with pytest.raises(WSServerHandshakeError, match="200"):
            await client.ws_connect(url / "no-socket")

    run(scenario)


def test_nothing_answers_behind() -> None:
    async def scenario() -> None:
        app = script().proxy(unused_port())
        async with TestServer(app) as server, ClientSession() as client:
            for path in ("/x", "/talk"):
                async with client.get(server.make_url(path)) as answer:
                    assert answer.status == 502

    asyncio.run(scenario())


def test_a_compressed_body_goes_on_as_it_came() -> None:
    """Its headers say how it is packed, and how long it is then."""

    async def scenario() -> None:
        async with TestServer(behind()) as server, ClientSession() as client:
            served = script().runner(server.port)
            await served.setup()
            await web.TCPSite(served, "127.0.0.1", port := unused_port()).start()
            body, headers = gzip.compress(b"12345"), {"Content-Encoding": "gzip"}
            url = f"http://127.0.0.1:{port}/x"
            async with client.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200
                found = await answer.json()
            assert found["size"] == 5 and found["headers"]["content-length"] == str(len(body))
            await served.cleanup()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no answer\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nX: {'x' * 200_000}\r\n\r\n",
    ],
    ids=["nothing", "words", "no header", "no status", "a long header"],
)
def test_what_cannot_be_passed_on_is_no_answer(answer: str) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer.encode())
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(say, "127.0.0.1", port := unused_port())
        async with (
            server,
            TestServer(script().proxy(port), host="127.0.0.1") as proxy,
            ClientSession() as client,
        ):
            async with client.get(proxy.make_url("/x")) as found:
                assert found.status == 502
                assert (await found.text()).startswith("Nothing answers behind: ")
            with pytest.raises(WSServerHandshakeError, match="502"):
                await client.ws_connect(proxy.make_url("/x"))

    asyncio.run(scenario())


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = unused_port(), unused_port()
        async with TestServer(behind()) as server:
            process = await asyncio.create_subprocess_exec(
                sys.executable, PROXY, f"{first}:{server.port}", f"{second}:{server.port}"
            )
            try:
                for port in (first, second):
                    await asyncio.wait_for(answer(port), 30)
                    listening = Path(f"/proc/{process.pid}/net/tcp").read_text()
                    assert f" 0100007F:{port:04X} 00000000:0000 0A" in listening
                    assert f" 00000000:{port:04X}" not in listening
            finally:
                process.terminate()
                await process.wait()

    async def answer(port: int) -> None:
        async with ClientSession() as client:
            while True:
                try:
                    async with client.get(f"http://127.0.0.1:{port}/x") as found:
                        assert found.status == 200
                        return
                except OSError:
                    await asyncio.sleep(0.05)

    asyncio.run(scenario())
