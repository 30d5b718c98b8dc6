"""The reference transport, on aiohttp's client: what the fast one is compared with.

It owns one aiohttp session for each pool. Invariant: no address is dialled that the address book did
not give, whether aiohttp looked it up or found it literally in the URL.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
from yarl import URL

from bench.aiohttp_connector import Connector, LimitExceeded, VettedAddresses
from gateway.delivery import failures
from gateway.delivery.transport import (
    IDLE_LIMIT_S,
    RESPONSE_BODY_LIMIT,
    RESPONSE_HEADER_LIMIT,
    AddressBook,
    Done,
    Request,
)
from gateway.errors import EgressRefused
from gateway.model import ErrorKind, Outcome, Response

NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add by itself: a request goes out with those of its head and no others."""
WHOLE_BODY_BYTES = 1024 * 1024
"""Larger request bodies go out in pieces: aiohttp warns of more than this at once."""
PIECE_BYTES = 64 * 1024


class AiohttpTransport:
    """A `Transport`. `tls` replaces the system's trust, e.g. by a private authority's."""

    def __init__(self, book: AddressBook, *, tls: ssl.SSLContext | None = None) -> None:
        self._book = book
        self._tls = tls or ssl.create_default_context()
        self._pools: set[AiohttpPool] = set()

    def pool(self, *, max_connections: int) -> AiohttpPool:
        pool = AiohttpPool(self._book, self._tls, max_connections, on_closed=self._pools.discard)
        self._pools.add(pool)
        return pool

    async def close(self) -> None:
        for pool in tuple(self._pools):
            await pool.close()


class AiohttpPool:
    """A `Pool`: one session and its connector; each attempt is a task."""

    def __init__(
        self,
        book: AddressBook,
        tls: ssl.SSLContext,
        max_connections: int,
        *,
        on_closed: Callable[[AiohttpPool], None],
    ) -> None:
        self._book = book
        self._on_closed = on_closed
        self._attempts: dict[asyncio.Task[Any], _Attempt] = {}
        self._closing = False
        connector = Connector(
            limit=max_connections,
            keepalive_timeout=IDLE_LIMIT_S,
            resolver=VettedAddresses(lambda: self._current_attempt().addresses),
            use_dns_cache=False,
            # One address after the other, in the attempt's own task: `_current_attempt` relies on it.
            happy_eyeballs_delay=None,
            socket_factory=self._open_socket,
            ssl=tls,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=NOT_ADDED,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            max_line_size=RESPONSE_HEADER_LIMIT,
            max_field_size=RESPONSE_HEADER_LIMIT,
            read_bufsize=RESPONSE_BODY_LIMIT,
            trace_configs=[_connection_trace()],
        )

    def send(self, request: Request, done: Done) -> None:
        attempt = _Attempt(request, self._session, self._book)
        task = asyncio.get_running_loop().create_task(attempt.outcome())
        self._attempts[task] = attempt
        task.add_done_callback(lambda ended: self._finish(ended, done))
        if self._closing:
            task.cancel()

    async def close(self) -> None:
        self._closing = True
        for task in self._attempts:
            task.cancel()
        await asyncio.gather(*self._attempts, return_exceptions=True)
        await self._session.close()
        self._on_closed(self)

    def _finish(self, task: asyncio.Task[Outcome], done: Done) -> None:
        attempt = self._attempts.pop(task)
        done(attempt.failed(failures.of_abandonment()) if task.cancelled() else task.result())

    def _current_attempt(self) -> _Attempt:
        task = asyncio.current_task()
        assert task is not None
        return self._attempts[task]

    def _open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Every address that aiohttp is about to dial passes here, literal ones too."""
        family, kind, protocol, _, address = info
        attempt = self._current_attempt()
        if address[0] not in attempt.addresses:
            raise EgressRefused("address", "the address to be dialled is not one that was vetted")
        attempt.socket = socket.socket(family, kind, protocol)
        attempt.socket.setblocking(False)
        return attempt.socket


class _Attempt:
    """One request on its way: how far it has come, and how it ended."""

    def __init__(self, request: Request, session: aiohttp.ClientSession, book: AddressBook) -> None:
        self.addresses: Sequence[str] = ()
        self.socket: socket.socket | None = None
        self._request = request
        self._session = session
        self._book = book
        self._started_s = time.perf_counter()
        self._looked_up_s: float | None = None
        self._connected_s: float | None = None
        self._answered_s: float | None = None

    def on_connected(self) -> None:
        self._connected_s = time.perf_counter()

    async def outcome(self) -> Outcome:
        deadline = asyncio.timeout(self._request.timeout_s)
        try:
            async with deadline:
                response = await self._response()
        except Exception as error:
            return self.failed(
                failures.of_timeout(self._unfinished(), self._request.timeout_s)
                if deadline.expired()
                else self._translate(error)
            )
        if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
            return self.failed((ErrorKind.PROTOCOL, "the target switched to another protocol"))
        return Outcome(self._elapsed_us(), response=response, phases_ms=self._phases_ms())

    def failed(self, failure: failures.Failure) -> Outcome:
        kind, detail = failure
        return Outcome(self._elapsed_us(), error=kind, detail=detail, phases_ms=self._phases_ms(failed=True))

    async def _response(self) -> Response:
        target = self._request.target
        self.addresses = await self._book.resolve(target.host, target.port)
        self._looked_up_s = time.perf_counter()
        while True:
            try:
                return await self._exchange()
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                was_kept_alive = self.socket is None
                if not was_kept_alive or self._answered_s is not None:
                    raise  # else the target had closed it meanwhile, which says nothing about this request

    async def _exchange(self) -> Response:
        request, target = self._request, self._request.target
        host = f"[{target.host}]" if ":" in target.host else target.host
        url = URL(f"{target.scheme}://{host}:{target.port}{target.path}", encoded=True)
        headers = [("Host", target.authority), *_fields(request.head)]
        body: bytes | AsyncIterator[bytes] | None = request.body
        if request.body is not None and len(request.body) > WHOLE_BODY_BYTES:
            headers.append(("Content-Length", str(len(request.body))))
            body = _pieces(request.body)
        async with self._session.request(
            request.method,
            url,
            headers=headers,
            data=body,
            allow_redirects=False,
            trace_request_ctx=self,
        ) as response:
            self._answered_s = time.perf_counter()
            if sum(len(name) + len(value) for name, value in response.raw_headers) > RESPONSE_HEADER_LIMIT:
                raise LimitExceeded("the response's header section is larger than 16 KiB")
            content = bytearray()
            while len(content) <= RESPONSE_BODY_LIMIT:
                part = await response.content.read(RESPONSE_BODY_LIMIT + 1 - len(content))
                if not part:
                    break
                content += part
            fields = tuple((name.decode("latin-1").lower(), _text(value)) for name, value in response.raw_headers)
            truncated = len(content) > RESPONSE_BODY_LIMIT
            return Response(response.status, fields, bytes(content[:RESPONSE_BODY_LIMIT]), truncated)

    def _unfinished(self) -> ErrorKind:
        """What the attempt was doing, as the kind that a timeout has then."""
        if self._looked_up_s is None:
            return ErrorKind.DNS
        if self.socket is None or self._connected_s is not None:
            return ErrorKind.TIMEOUT
        in_tls = self._request.target.scheme == "https" and self._is_connected()
        return ErrorKind.TLS_TIMEOUT if in_tls else ErrorKind.CONNECT_TIMEOUT

    def _is_connected(self) -> bool:
        """Whether TCP is: the socket knows, aiohttp does not say."""
        try:
            return self.socket is not None and bool(self.socket.getpeername())
        except OSError:
            return False

    def _was_in_tls(self, error: OSError) -> bool:
        is_secure = self._request.target.scheme == "https"
        return is_secure and isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError)

    def _translate(self, error: Exception) -> failures.Failure:
        match error:
            case aiohttp.ClientConnectorCertificateError():
                return failures.of_dial(error.certificate_error)
            case aiohttp.ClientConnectorError():
                return failures.of_dial(error.os_error, in_tls=self._was_in_tls(error.os_error))
            case aiohttp.ServerDisconnectedError():
                return failures.of_loss(None, answer_begun=False)
            case aiohttp.ClientOSError():
                return failures.of_loss(error, answer_begun=self._answered_s is not None)
            case aiohttp.ClientPayloadError():
                return failures.of_loss(None, answer_begun=True)
            case aiohttp.ClientResponseError():
                return ErrorKind.PROTOCOL, f"not an HTTP/1.1 response: {error.message.partition(chr(10))[0]}"
            case LimitExceeded():
                return ErrorKind.PROTOCOL, str(error)
            case aiohttp.InvalidURL() | ValueError():
                return ErrorKind.REQUEST, "the request cannot be written as HTTP/1.1"
        return failures.of_dial(error)

    def _elapsed_us(self) -> int:
        return int((time.perf_counter() - self._started_s) * 1_000_000)

    def _phases_ms(self, *, failed: bool = False) -> tuple[tuple[str, float], ...]:
        """aiohttp shows no border between connect and TLS, so both are `connect` here."""
        ends = {
            "dns": self._looked_up_s,
            "connect": self._connected_s,
            "wait": self._answered_s,
            "read": time.perf_counter() if self._answered_s is not None else None,
        }
        begun_s, phases = self._started_s, []
        for name, ended_s in ends.items():
            if ended_s is not None and not (failed and name == "read"):
                phases.append((name, (ended_s - begun_s) * 1000))
                begun_s = ended_s
            elif failed and not (name == "connect" and self.socket is None):  # a connection that was kept alive
                phases.append((name, (time.perf_counter() - begun_s) * 1000))
                break
        return tuple(phases)


def _connection_trace() -> aiohttp.TraceConfig:
    async def connected(_session: Any, context: Any, _params: Any) -> None:
        context.trace_request_ctx.on_connected()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    return trace


def _fields(head: bytes) -> Iterator[tuple[str, str]]:
    for line in head.decode("ascii").splitlines():
        name, _, value = line.partition(":")
        yield name, value.strip()


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]


def _text(value: bytes) -> str:
    return value.decode("latin-1")
