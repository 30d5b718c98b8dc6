"""The load generator: pushes events as a switch does, and reports what was answered and how fast.

`python -m bench.load --url http://127.0.0.1:8080 --token T --seconds 5` keeps every connection busy (closed loop);
with `--rate` it keeps to a schedule instead (open loop) and measures from the time that the schedule meant, so a
gateway that stalls cannot hide it by being sent less. It prints one JSON object when everything is answered.

Invariant: it costs a fraction of what it measures; so it reads of an answer only its status, its length and, in a
batch, how many were refused.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from bench.ledger import percentiles_ms
from bench.pacer import Pacer
from bench.plan import Plan, read
from bench.pushes import Requests
from bench.traffic import Step, Traffic

ANSWER_TIMEOUT_S = 30.0
"""How long the answers that are outstanding when sending ends are waited for."""
CONTENT_LENGTH = b"content-length:"


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, answered: Callable[[Connection, int, bytes], None], lost: Callable[[Connection], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.steps: Sequence[Step] = ()
        self.intended_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without being derived from it

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._lost(self)

    def send(self, request: bytes, steps: Sequence[Step], intended_ns: int) -> None:
        assert self._transport is not None
        self.steps = steps
        self.intended_ns = intended_ns
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head_end = buffer.find(b"\r\n\r\n")
        if head_end < 0:
            self._buffer = buffer
            return
        head = buffer[:head_end].lower()
        start = head.find(CONTENT_LENGTH)
        length = int(head[start + len(CONTENT_LENGTH) :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(buffer) < head_end + 4 + length:
            self._buffer = buffer
            return
        self._buffer = b""
        self._answered(self, int(buffer[9:12]), buffer[head_end + 4 :])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Load:
    """Sends what a plan says and counts the answers. One use only."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._traffic = Traffic(spread=plan.spread, first_call_id=plan.first_call_id)
        self._requests = Requests(plan)
        self._connections: list[Connection] = []
        self._idle: deque[Connection] = deque()
        self._waiting: deque[int] = deque()
        """Intended times of requests for which no connection is free (open loop)."""
        self._statuses: Counter[int] = Counter()
        self._accepted = self._sent = self._refused = self._lost = 0
        self._ack_ns = array("q")
        self._late_ns = array("q")
        self._open = plan.rate_per_s is not None
        self._sending = True
        self._end_ns = 0
        self._done = asyncio.Event()

    async def run(self) -> dict[str, Any]:
        parts = urlsplit(self._plan.url)
        loop = asyncio.get_running_loop()
        for _ in range(self._plan.connections):
            _, connection = await loop.create_connection(self._connection, parts.hostname or "", parts.port or 80)
            self._connections.append(connection)
        cpu_s = time.process_time()
        started_ns = time.monotonic_ns()
        self._end_ns = started_ns + int(self._plan.seconds * 1e9)
        if self._plan.rate_per_s is not None:
            await self._run_open(self._plan.rate_per_s)
        else:
            await self._run_closed()
        ended_ns = time.monotonic_ns()
        for connection in self._connections:
            connection.close()
        return self._report(started_ns, ended_ns, time.process_time() - cpu_s)

    async def _run_closed(self) -> None:
        for connection in self._connections:
            self._send_next(connection)
        await self._finish(self._plan.seconds + ANSWER_TIMEOUT_S)

    async def _run_open(self, rate_per_s: float) -> None:
        requests_per_s = rate_per_s / self._plan.batch
        count = max(1, math.floor(requests_per_s * self._plan.seconds))
        pacer = Pacer(
            self._due, self._schedule_ended, rate_per_s=requests_per_s, count=count, poisson=self._plan.poisson
        )
        self._idle.extend(self._connections)
        pacer.start()
        try:
            await self._finish(self._plan.seconds * 2 + ANSWER_TIMEOUT_S)
        finally:
            pacer.stop()

    async def _finish(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self._done.wait(), timeout_s)
        except TimeoutError:
            self._sending = False

    def _connection(self) -> Connection:
        return Connection(self._answered, self._connection_lost)

    def _due(self, intended_ns: int) -> None:
        if self._idle:
            self._send(self._idle.popleft(), intended_ns)
        else:
            self._waiting.append(intended_ns)

    def _schedule_ended(self) -> None:
        self._sending = False
        self._end_if_settled()

    def _send(self, connection: Connection, intended_ns: int) -> None:
        steps = [self._traffic.next() for _ in range(self._plan.batch)]
        self._sent += len(steps)
        connection.send(self._requests.build(steps, intended_ns), steps, intended_ns)
        if self._open:
            self._late_ns.append(time.monotonic_ns() - intended_ns)

    def _send_next(self, connection: Connection) -> None:
        """What a connection does that has nothing under way: the next of a closed loop, or one that waits for it."""
        if self._waiting:
            self._send(connection, self._waiting.popleft())
            return
        if not self._open and self._sending:
            now_ns = time.monotonic_ns()
            limit = self._plan.max_events
            if now_ns < self._end_ns and (limit is None or self._sent < limit):
                self._send(connection, now_ns)
                return
            self._sending = False
        self._idle.append(connection)
        self._end_if_settled()

    def _end_if_settled(self) -> None:
        settled = not self._sending and not self._waiting and len(self._idle) + self._lost >= len(self._connections)
        if settled or self._lost == len(self._connections):
            self._done.set()

    def _answered(self, connection: Connection, status: int, body: bytes) -> None:
        self._ack_ns.append(time.monotonic_ns() - connection.intended_ns)
        self._statuses[status] += 1
        if status == 202:
            refused = body.count(b'"error"') if self._plan.batch > 1 else 0
            self._refused += refused
            self._accepted += len(connection.steps) - refused
            if not refused:
                for step in connection.steps:
                    self._traffic.accepted(step)
        self._send_next(connection)

    def _connection_lost(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        self._lost += 1
        self._end_if_settled()

    def _report(self, started_ns: int, ended_ns: int, cpu_s: float) -> dict[str, Any]:
        return {
            "sent": self._sent,
            "accepted": self._accepted,
            "refused": self._refused,
            "statuses": {str(status): count for status, count in self._statuses.items()},
            "connections_lost": self._lost,
            "started_ns": started_ns,
            "ended_ns": ended_ns,
            "ack_ms": percentiles_ms(self._ack_ns),
            "late_ms": percentiles_ms(self._late_ns),
            "cpu_us_per_request": cpu_s * 1e6 / max(1, sum(self._statuses.values())),
        }


def main() -> None:
    print(json.dumps(uvloop.run(_run(read(description=__doc__)))))


async def _run(plan: Plan) -> dict[str, Any]:
    return await Load(plan).run()


if __name__ == "__main__":
    main()
