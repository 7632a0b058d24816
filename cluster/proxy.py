"""The proxy before a head's web services: a foreign Host or Origin is refused.

    proxy.py PORT:BEHIND...    each PORT of loopback leads to the port BEHIND it, also of loopback

A stranger's page in the user's browser can reach loopback, from its own Origin or by a name that
it has let point there (DNS rebinding). Ray's dashboard answers any Host, and MLflow any Origin that
only reads. Tokens and passwords are theirs to check, as before.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import AsyncIterator, Mapping

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    DummyCookieJar,
    TCPConnector,
    WSMsgType,
    WSServerHandshakeError,
    web,
)
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

LOOPBACK = "127.0.0.1"
NAMES = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?")
"""How a user's end of a tunnel is called; it may be at any port."""
OF_ONE_CONNECTION = re.compile(
    "(?i)connection|expect|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|"
    "sec-websocket-(key|version|extensions|accept)"
)
"""Headers that each of the two connections has its own of."""
IDLE_SECONDS = 60.0
"""After which a connection is closed whose request does not come, or comes by half."""
SLOWEST = 1000.0
"""Bytes a second of a body that comes more slowly on the whole than anyone who means it."""
SESSION = web.AppKey("session", ClientSession)
Socket = web.WebSocketResponse | ClientWebSocketResponse


class NoAnswer(Exception):
    """What is behind does not answer, or nothing that can be passed on."""


def refusal(headers: CIMultiDictProxy[str]) -> str | None:
    """Return why a request is a stranger's; ``None`` if it is not."""
    host, *others = headers.getall("Host", [""])
    if others or not NAMES.fullmatch(host.lower()):
        return "Invalid Host header: ask for localhost or 127.0.0.1, through a tunnel."
    pages = {origin.lower() for origin in headers.getall("Origin", [])}
    if pages - {f"http://{host.lower()}"}:
        return "Foreign Origin header: no page of elsewhere is answered."
    return None


def kept(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers that go on to the other side."""
    pairs = headers.items()
    return CIMultiDict((name, it) for name, it in pairs if not OF_ONE_CONNECTION.fullmatch(name))


def proxy(behind: int) -> web.Application:
    """Return what leads to a port."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if why := refusal(request.headers):
            return web.Response(status=403, text=f"{why}\n")
        asked = request.rel_url
        url = URL.build(
            scheme="http", host=LOOPBACK, port=behind, encoded=True,
            path=asked.raw_path, query_string=asked.raw_query_string,
        )  # fmt: skip
        pass_on = talk if web.WebSocketResponse().can_prepare(request) else forward
        try:
            return await pass_on(request, url)
        except NoAnswer as error:
            return web.Response(status=502, text=f"Nothing answers behind: {error}\n")

    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", answer)
    return app


async def session(app: web.Application):
    """Hold what asks the server behind; it must not keep one user's cookies for another."""
    app[SESSION] = ClientSession(
        # A connection for each: one that is kept may be closed just as a request is sent.
        connector=TCPConnector(force_close=True, limit=0),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=None),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    )
    yield
    await app[SESSION].close()


async def forward(request: web.Request, url: URL) -> web.StreamResponse:
    """Pass on a request, and its answer while it comes."""
    body = pieces(request) if request.body_exists else None
    try:
        found = await request.app[SESSION].request(
            request.method, url, headers=kept(request.headers), data=body, allow_redirects=False
        )
    except ClientError as error:
        raise NoAnswer(type(error).__name__) from error
    async with found:
        response = web.StreamResponse(
            status=found.status, reason=found.reason, headers=kept(found.headers)
        )
        await response.prepare(request)
        async for chunk in found.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    return response


async def pieces(request: web.Request) -> AsyncIterator[bytes]:
    """Yield a request's body; it may take long, but neither stand still nor trickle."""
    left, now = IDLE_SECONDS, asyncio.get_running_loop().time
    while True:
        begun = now()
        try:
            async with asyncio.timeout(left):
                piece = await request.content.readany()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="The rest of the request has not come.\n") from None
        if not piece:
            return
        left = min(IDLE_SECONDS, left - (now() - begun) + len(piece) / SLOWEST)
        yield piece


async def talk(request: web.Request, url: URL) -> web.StreamResponse:
    """Pass on what both ends of a WebSocket say, until one closes it."""
    headers = kept(request.headers)
    try:
        async with request.app[SESSION].ws_connect(url, headers=headers, max_msg_size=0) as behind:
            before = web.WebSocketResponse(max_msg_size=0)
            await before.prepare(request)
            await asyncio.gather(relay(before, behind), relay(behind, before))
    except WSServerHandshakeError as error:
        return web.Response(status=error.status, text=f"{error.message}\n")
    except ClientError as error:  # of what is said later nothing is raised
        raise NoAnswer(type(error).__name__) from error
    return before


async def relay(source: Socket, sink: Socket) -> None:
    """Pass on what one end says; close the other when it has ended."""
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
    await sink.close(code=source.close_code or 1000)


class Wordless(logging.Formatter):
    """Says that something failed, and of which class, but nothing of what a request held."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without the record's words: a token may stand among them."""
        error = record.exc_info[1] if record.exc_info else None
        what = type(error).__name__ if error else "no error"
        return f"{self.formatTime(record)} {record.levelname} {record.name}: {what}"


def log_wordlessly() -> None:
    """Let all that is logged, aiohttp's and asyncio's own included, come without its words."""
    handler = logging.StreamHandler()
    handler.setFormatter(Wordless())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def runner(behind: int) -> web.AppRunner:
    """Return what serves the way to a port."""
    return web.AppRunner(
        proxy(behind),
        access_log=None,
        max_line_size=2**16,  # as long as MLflow takes an address; by default it is 8 kB
        keepalive_timeout=IDLE_SECONDS,
        auto_decompress=False,  # a body goes on as it came, as its headers say
    )


async def serve(pairs: list[tuple[int, int]]) -> None:
    """Lead from each first port to the second, for ever."""
    for port, behind in pairs:
        served = runner(behind)
        await served.setup()
        await web.TCPSite(served, LOOPBACK, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    log_wordlessly()
    words = [word.partition(":") for word in sys.argv[1:]]
    asyncio.run(serve([(int(port), int(behind)) for port, _, behind in words]))
