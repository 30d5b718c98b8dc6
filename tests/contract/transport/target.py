"""A target on a raw socket: it answers with the very bytes that a test wrote, when the test wants them.

Invariant: nothing in here knows HTTP beyond finding the end of a request.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.delivery.transport import Target
from gateway.errors import EgressRefused

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came off the wire."""

    head: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    def values(self, name: bytes) -> list[bytes]:
        return re.findall(rb"(?im)^" + re.escape(name) + rb":[ \t]*(.*?)\r$", self.head)


class Peer:
    """A connection as its target sees it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Callable[[Received], None]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._seen = seen

    async def request(self) -> Received:
        """The next request. Raises `IncompleteReadError` once the other side has closed."""
        head = await self.head()
        length = Received(head, b"").values(b"content-length")
        received = Received(head, await self._reader.readexactly(int(length[0]) if length else 0))
        self._seen(received)
        return received

    async def head(self) -> bytes:
        return await self._reader.readuntil(b"\r\n\r\n")

    async def some(self) -> bytes:
        return await self._reader.read(65536)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def trickle(self, data: bytes, *, every_s: float) -> None:
        for octet in data:
            await self.send(bytes((octet,)))
            await asyncio.sleep(every_s)

    async def endless(self, data: bytes) -> None:
        while True:
            await self.send(data)

    async def hang(self) -> None:
        """Say nothing more until the other side has gone."""
        while await self._reader.read(65536):
            pass

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        held: socket.socket = self._writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]
"""What a target does with a connection; it is closed when this returns."""


def answering(*answers: bytes) -> Script:
    """Answer a connection's first request with the first of them, the next with the next, then close."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(answer)

    return script


async def always_ok(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(OK)


@dataclass(slots=True)
class ScriptedTarget:
    """A listening target. Connections follow `scripts` in their order, the last one again and again."""

    scripts: Sequence[Script]
    tls: ssl.SSLContext | None = None
    host: str = "target.test"
    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    names: list[str] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _change: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; it is looked at whenever a connection opens, closes or sends a request."""
        while not condition():
            self._change.clear()
            await self._change.wait()

    def url(self, path: str, *, host: str | None = None, secure: bool | None = None) -> Target:
        """Where it is; `secure` asks for TLS even where it speaks none."""
        name = host or self.host
        authority = f"{name}:{self.port}"
        return Target("https" if secure or self.tls else "http", name, self.port, authority, path)

    def _see(self, request: Received) -> None:
        self.received.append(request)
        self._change.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        peer = Peer(reader, writer, self._see)
        self.connections += 1
        self.open += 1
        self._change.set()
        try:
            await script(peer)
        except (asyncio.IncompleteReadError, OSError, ssl.SSLError):
            pass  # the gateway closed the connection, as it may
        except asyncio.CancelledError:
            peer.abort()
        finally:
            self.open -= 1
            peer.close()
            self._change.set()
            self._tasks.discard(task)


class Names:
    """An address book of a few lines: every name is the loopback address unless it says otherwise."""

    def __init__(self) -> None:
        self.addresses: dict[str, tuple[str, ...]] = {}
        self.refusals: dict[str, EgressRefused] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int, /) -> tuple[str, ...]:
        self.asked.append(host)
        if host in self.silent:
            await asyncio.Event().wait()
        if host in self.refusals:
            raise self.refusals[host]
        return self.addresses.get(host, (LOOPBACK,))
