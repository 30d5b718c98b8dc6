"""The listening sockets: opened last, closed first, and guarded against those who hold connections.

Invariant: a connection that has not sent a complete request head in time is cut off, which aiohttp does not do
by itself; whoever trickles a body is cut off by the handler that reads it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.web_protocol import RequestHandler

from gateway.errors import GatewayError, Problem
from gateway.http import problem_response
from gateway.ingress.intake import Intake
from gateway.ingress.pushes import Pushes

BACKLOG = 1_024
KEEPALIVE_S = 75.0
HEAD_DEADLINE_S = 10.0
REAP_EVERY_S = 1.0
CONNECTIONS_PER_PEER = 2_000
HEAD_BYTES = 16 * 1024
BIND_ATTEMPTS = 50
BIND_PAUSE_S = 0.1
SHUTDOWN_S = 2.0

log = structlog.get_logger(__name__)


class Listener:
    """Serves one application on one address. `addresses` are what its sockets are bound to."""

    def __init__(self, app: web.Application, pushes: Pushes, *, host: str, port: int) -> None:
        self._pushes = pushes
        self._host = host
        self._port = port
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_logger(),
            keepalive_timeout=KEEPALIVE_S,
            max_field_size=HEAD_BYTES,
            max_line_size=HEAD_BYTES,
            auto_decompress=False,
            shutdown_timeout=SHUTDOWN_S,
        )
        self._site: web.TCPSite | None = None
        self._since: dict[RequestHandler, float] = {}

    async def start(self) -> None:
        """Bind. A process that this one has just replaced may still hold the port for a moment."""
        refuse_slow_parser()
        await self._runner.setup()
        assert self._runner.server is not None, "set up"
        self._pushes.open_fast_lane(self._runner.server)
        for attempt in range(BIND_ATTEMPTS):
            self._site = web.TCPSite(self._runner, self._host, self._port, backlog=BACKLOG)
            try:
                await self._site.start()
                return
            except OSError as error:
                await self._site.stop()
                if error.errno != errno.EADDRINUSE or attempt == BIND_ATTEMPTS - 1:
                    taken = error.errno == errno.EADDRINUSE
                    why = "it is in use. Is another gateway running there?" if taken else f"{error.strerror or error}."
                    raise GatewayError(
                        f"Cannot listen on {self._host} port {self._port} (GATEWAY_HOST, GATEWAY_PORT): {why}"
                    ) from error
            await asyncio.sleep(BIND_PAUSE_S)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [(address[0], address[1]) for address in self._runner.addresses]

    @property
    def url(self) -> str:
        host, port = self.addresses[0]
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def run(self) -> None:
        """Cut off, once a second, who is silent or has more than its share of connections; until cancelled."""
        while True:
            await asyncio.sleep(REAP_EVERY_S)
            self.reap(monotonic())

    def reap(self, now: float) -> None:
        server = self._runner.server
        if server is None:  # closing
            return
        open_now = server.connections
        since = {connection: self._since.get(connection, now) for connection in open_now}
        self._since = since
        peers: Counter[str] = Counter()
        for connection, at in since.items():
            peer = str((connection.peername or ("",))[0])
            peers[peer] += 1
            if peers[peer] > CONNECTIONS_PER_PEER or (_awaits_head(connection) and now - at > HEAD_DEADLINE_S):
                if connection.transport is not None:
                    connection.transport.abort()
            elif not _awaits_head(connection):
                since[connection] = now

    async def close_intake(self, intake: Intake) -> None:
        """Take no more connections and no more events; returns when those that wait are committed and answered."""
        if self._site is not None:
            await self._site.stop()
        intake.close("the gateway is stopping; push again in a moment")
        await intake.drained()

    async def close(self) -> None:
        await self._runner.cleanup()


def _awaits_head(connection: RequestHandler) -> bool:
    """Has no complete head come on it yet? After the first aiohttp bounds the wait; it has no public word for this."""
    return connection._request_count == 0


def _logger() -> logging.Logger:
    """aiohttp's, without what callers sent that is not HTTP: that is their fault, and quotes what they sent."""
    logger = logging.getLogger("aiohttp.server")
    logger.addFilter(_is_our_fault)
    return logger


def _is_our_fault(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def refuse_slow_parser() -> None:
    """aiohttp falls back to a parser in Python, which is slower and has been less strict."""
    if HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise GatewayError("aiohttp was installed without its C parser. Reinstall it from a wheel.")


@asynccontextmanager
async def standby(host: str, port: int) -> AsyncIterator[None]:
    """While another process delivers: alive, not ready, and 503 to everything else.

    On the same address as the one that delivers there is nothing to listen on; that is no error here.
    """
    app = web.Application()
    app.router.add_get("/livez", _alive)
    app.router.add_route("*", "/{rest:.*}", _waiting)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        with suppress(OSError):
            await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


async def _alive(request: web.Request) -> web.Response:
    return web.json_response({"status": "alive", "role": "standby"})


async def _waiting(request: web.Request) -> web.Response:
    detail = "this process is a standby: another one delivers; it takes over when that one ends"
    return problem_response(Problem(503, "standby", detail, headers={"Retry-After": "1"}))
