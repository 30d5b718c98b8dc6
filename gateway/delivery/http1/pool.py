"""The pools of the fast transport: which connection carries which attempt.

Invariant: connections and dials together are never more than the pool may have, an attempt waits only while
there are that many or the allowance of all pools is used up, and every idle connection leads to the target of the
latest request.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable

from gateway.delivery import failures
from gateway.delivery.http1.allowance import CONNECTIONS_LIMIT, Allowance
from gateway.delivery.http1.attempt import Attempt, Deadlines
from gateway.delivery.http1.connection import Connection, State
from gateway.delivery.http1.dial import Dialer
from gateway.delivery.transport import IDLE_LIMIT_S, AddressBook, Done, Request, Target
from gateway.model import ErrorKind

ALWAYS_FRAMED = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests say so when they have no body (RFC 9110 §8.6)."""


class Http1Transport:
    """A `Transport`. `tls` replaces the system's trust; `max_connections` bounds all pools together."""

    def __init__(
        self, book: AddressBook, *, tls: ssl.SSLContext | None = None, max_connections: int = CONNECTIONS_LIMIT
    ) -> None:
        self._dialer = Dialer(book, tls or ssl.create_default_context())
        self._deadlines = Deadlines()
        self._allowance = Allowance(max_connections)
        self._pools: set[Http1Pool] = set()

    def pool(self, *, max_connections: int) -> Http1Pool:
        pool = Http1Pool(
            self._dialer,
            self._deadlines,
            self._allowance,
            max_connections=max_connections,
            on_closed=self._pools.discard,
        )
        self._pools.add(pool)
        return pool

    async def close(self) -> None:
        for pool in tuple(self._pools):
            await pool.close()


class Http1Pool:
    """A `Pool`, and the owner of its connections."""

    def __init__(
        self,
        dialer: Dialer,
        deadlines: Deadlines,
        allowance: Allowance,
        *,
        max_connections: int,
        on_closed: Callable[[Http1Pool], None],
    ) -> None:
        self._dialer = dialer
        self._deadlines = deadlines
        self._allowance = allowance
        self._max_connections = max_connections
        self._on_closed = on_closed
        self._closing = False
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        """Those of the connections that are, the one used last at the end: it is taken first, the others may expire."""
        self._dials: dict[Attempt, asyncio.Task[None]] = {}
        self._dialling: set[asyncio.Task[None]] = set()
        """Every dial that has not ended: those above, and those whose attempt has been dropped."""
        self._waiting: deque[Attempt] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._method = ""
        self._target: Target | None = None
        self._start = b""

    def send(self, request: Request, done: Done) -> None:
        if request.target is not self._target or request.method != self._method:
            self._aim(request.method, request.target)
        attempt = Attempt(request, self._wire(request), done, self._deadlines)
        if self._closing:
            asyncio.get_running_loop().call_soon(attempt.abandon)
        elif self._idle:
            self._idle.pop().carry(attempt)
        elif self._has_room():
            self._dial(attempt)
        else:
            attempt.carrier = self
            if self.held < self._max_connections:
                # It is the allowance of all: should the deadline pass here, no target is to blame.
                attempt.doing = ErrorKind.ABANDONED
            self._waiting.append(attempt)
            self._claim()

    async def close(self) -> None:
        self._closing = True
        for attempt in (*self._waiting, *self._dials):
            attempt.abandon()
        for connection in tuple(self._connections):
            connection.abandon()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        self._allowance.forget(self)
        await asyncio.sleep(0)  # the loop closes the sockets of aborted transports in its next round
        self._on_closed(self)

    # What its connections tell it.

    def released(self, connection: Connection) -> None:
        if self._closing or connection.idle_since_s >= connection.retire_at_s or not self._leads_on(connection):
            connection.close()
        elif self._allowance.is_short:
            connection.close()  # it is another pool's turn
        elif self._waiting:
            connection.carry(self._next_waiting())
        else:
            self._idle.append(connection)
            if self._sweeper is None:
                self._sweep_later()

    def closed(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        if connection in self._connections:  # else it never was connected, and its dial is what counted
            self._connections.remove(connection)
            self._allowance.give(self)
            self.use_room()

    def resend(self, attempt: Attempt) -> None:
        self._dial(attempt)  # in the place of the connection that was lost

    # What attempts tell it that have not reached a connection.

    def drop(self, attempt: Attempt) -> None:
        dial = self._dials.pop(attempt, None)
        if dial is not None:
            dial.cancel()
        else:
            self._waiting.remove(attempt)

    def _next_waiting(self) -> Attempt:
        attempt = self._waiting.popleft()
        attempt.phases_ms = (("queued", (time.monotonic() - attempt.started_s) * 1000),)
        return attempt

    # What the allowance asks of it.

    @property
    def held(self) -> int:
        return len(self._connections) + len(self._dialling)

    def use_room(self) -> None:
        while self._waiting and self._has_room():
            self._dial(self._next_waiting())
        self._claim()

    def spare_one(self) -> bool:
        if not self._idle:
            return False
        self._idle[0].close()
        return True

    # Dials.

    def _has_room(self) -> bool:
        return self.held < self._max_connections and self._allowance.has_room_for(self)

    def _claim(self) -> None:
        """Be called when others leave room; what this pool's own connections leave, it sees itself."""
        if self._waiting and self.held < self._max_connections:
            self._allowance.claim(self)

    def _dial(self, attempt: Attempt) -> None:
        attempt.carrier = self
        dial = asyncio.get_running_loop().create_task(self._connect(attempt))
        self._dials[attempt] = dial
        self._dialling.add(dial)
        self._allowance.take(self)
        dial.add_done_callback(self._dial_ended)

    async def _connect(self, attempt: Attempt) -> None:
        try:
            connection = await self._dialer.dial(attempt, self)
        except Exception as error:
            self._give_up(attempt, failures.of_dial(error, in_tls=attempt.doing is ErrorKind.TLS_TIMEOUT))
            return
        if connection.state is State.CLOSED:
            self._give_up(attempt, failures.of_loss(None, answer_begun=False))
            return
        del self._dials[attempt]
        self._connections.add(connection)
        self._allowance.take(self)  # until the dial's task has ended, both count
        connection.carry(attempt)

    def _give_up(self, attempt: Attempt, failure: failures.Failure) -> None:
        del self._dials[attempt]
        attempt.carrier = None  # the dial ends by itself
        attempt.fail(failure)

    def _dial_ended(self, dial: asyncio.Task[None]) -> None:
        self._dialling.discard(dial)
        self._allowance.give(self)
        self.use_room()

    # Where its requests go.

    def _aim(self, method: str, target: Target) -> None:
        """Remember the request's first two lines, and leave connections that lead elsewhere."""
        if self._target is not None and not _same_origin(self._target, target):
            for connection in tuple(self._idle):
                connection.close()
        self._method, self._target = method, target
        self._start = f"{method} {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n".encode("ascii")

    def _leads_on(self, connection: Connection) -> bool:
        """Whether the connection leads where the attempt that waits longest, or else the next request, goes."""
        wanted = self._waiting[0].target if self._waiting else self._target
        assert wanted is not None
        return connection.target is wanted or _same_origin(connection.target, wanted)

    def _wire(self, request: Request) -> bytes:
        body = request.body
        if body:
            return b"".join((self._start, request.head, b"Content-Length: %d\r\n\r\n" % len(body), body))
        framed = body is not None or request.method in ALWAYS_FRAMED
        return b"".join((self._start, request.head, b"Content-Length: 0\r\n\r\n" if framed else b"\r\n"))

    # Connections that were idle for too long.

    def _sweep_later(self) -> None:
        wait_s = self._idle[0].idle_since_s + IDLE_LIMIT_S - time.monotonic()
        self._sweeper = asyncio.get_running_loop().call_later(wait_s, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        limit_s = time.monotonic() - IDLE_LIMIT_S
        while self._idle and self._idle[0].idle_since_s <= limit_s:
            self._idle[0].close()
        if self._idle:
            self._sweep_later()


def _same_origin(one: Target, other: Target) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
