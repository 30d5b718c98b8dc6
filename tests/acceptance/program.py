"""The whole program under test, between a switch and a target that both keep books.

`Gateway` is the program as a process. `Switch` notes what was answered 202; `RecordTarget` notes what arrived.
Invariant: the two ledgers are kept here, outside the gateway, so they can convict it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from aiohttp import ClientError, ClientSession, ClientTimeout

from bench.ledger import Ledger
from bench.process import ADMIN_TOKEN, Gateway
from bench.target import Target, TargetProtocol
from bench.traffic import STEPS, TYPES, Payloads, Step

__all__ = ["Gateway", "Record", "RecordTarget", "Switch", "add_webhook"]

PUSH_TIMEOUT_S = 10.0
RETRY_PAUSE_S = 0.02


class Record(Ledger):
    """A ledger that also knows how often each event was delivered, and which call it belongs to."""

    __slots__ = ("deliveries", "steps", "under_way")

    def __init__(self) -> None:
        super().__init__()
        self.deliveries: Counter[str] = Counter()
        self.steps: dict[str, tuple[int | None, int]] = {}
        self.under_way: Counter[str] = Counter()
        """What will be answered 2xx and has not been yet."""

    def taken(self, event_id: bytes) -> None:
        self.under_way[event_id.decode()] += 1

    def settled(self, event_id: bytes, call_id: int | None, rank: int, lag_ns: int) -> None:
        super().settled(event_id, call_id, rank, lag_ns)
        self.under_way[event_id.decode()] -= 1
        self.deliveries[event_id.decode()] += 1
        self.steps[event_id.decode()] = (call_id, rank)

    @property
    def ids(self) -> set[str]:
        """What has been delivered."""
        return set(self.deliveries)

    @property
    def sent(self) -> set[str]:
        """What has been delivered or is about to be."""
        return self.ids | set(+self.under_way)

    @property
    def doubled(self) -> Counter[str]:
        """What was delivered more than once, and how many times too often."""
        return Counter({event_id: count - 1 for event_id, count in self.deliveries.items() if count > 1})


class RecordTarget:
    """The bench's target in this process, with a `Record` for each path. `set(path, …)` tells it how to behave."""

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self.target = Target(Record)
        self.set = self.target.set
        self._context = context
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Transport] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        make = lambda: _Tracked(self.target, self._connections)  # noqa: E731
        self._server = await loop.create_server(make, "127.0.0.1", self.port, ssl=self._context, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for transport in tuple(self._connections):
            transport.abort()

    def url(self, path: str) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}{path}"

    def record(self, path: str) -> Record:
        record = self.target.ledger(path.encode())
        assert isinstance(record, Record)
        return record

    async def arrived(self, path: str, count: int, *, timeout_s: float) -> bool:
        """Waits until `count` different events have been delivered to `path`; False if they were not in time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while len(self.record(path).ids) < count:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def delivered(self, path: str, ids: set[str], *, timeout_s: float) -> set[str]:
        """Waits until all of `ids` have been delivered to `path`, and returns those that were not in time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while missing := ids - self.record(path).ids:
            if asyncio.get_running_loop().time() > deadline:
                return missing
            await asyncio.sleep(0.05)
        return set()


class _Tracked(TargetProtocol):
    """Remembers its transport, so that leaving the target ends what a gateway holds open."""

    def __init__(self, target: Target, connections: set[asyncio.Transport]) -> None:
        super().__init__(target)
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self._transport is not None
        self._connections.add(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._connections.discard(self._transport)
        super().connection_lost(error)


class Switch:
    """Pushes calls, as many at once as it has lines, and pushes each event again until it is answered 202.

    That is what an honest switch does: the same `id` with each push of one event, and no later step of a call
    before the earlier one was accepted. `accepted` is the ledger: event id to step, in the order of acceptance.
    """

    def __init__(self, gateway: Gateway, *, lines: int, rate_per_s: float, first_call_id: int = 1) -> None:
        self.gateway = gateway
        """Where it pushes, from the next push on."""
        self._lines = lines
        self._pause_s = lines / rate_per_s
        self._next_call_id = first_call_id
        self._payloads = Payloads()
        self._stopping = False
        self.accepted: dict[str, Step] = {}
        self.statuses: Counter[int] = Counter()
        self.unanswered = 0
        self.pending = 0
        """Pushes that have no answer yet."""
        self.accepted_until = 0.0
        """When the latest of the pushes that were answered 202 was sent, on the monotonic clock."""

    def stop(self) -> None:
        """No new call is begun; `run()` returns when the open ones are pushed to their end."""
        self._stopping = True

    async def run(self) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
        timeout = ClientTimeout(total=PUSH_TIMEOUT_S)
        async with ClientSession(headers=headers, timeout=timeout) as session, asyncio.TaskGroup() as group:
            for line in range(self._lines):
                group.create_task(self._line(session, line))

    async def _line(self, session: ClientSession, line: int) -> None:
        await asyncio.sleep(self._pause_s * line / self._lines)
        while not self._stopping:
            call_id = self._next_call_id
            self._next_call_id += 1
            for rank in range(len(STEPS)):
                await self._push(session, Step(rank, call_id))
                await asyncio.sleep(self._pause_s)

    async def _push(self, session: ClientSession, step: Step) -> None:
        now_ns = int(asyncio.get_running_loop().time() * 1e9)
        payload = self._payloads.render(step, now_ns)
        body = b'{"type":"%b","id":"%b","data":%b}' % (TYPES[step.rank].encode(), uuid4().hex.encode(), payload)
        self.pending += 1
        while (event_id := await self._answer(session, body)) is None:
            await asyncio.sleep(RETRY_PAUSE_S)
        self.pending -= 1
        self.accepted[event_id] = step

    async def _answer(self, session: ClientSession, body: bytes) -> str | None:
        """The event's id if the push was answered 202; None if it has to be pushed again."""
        sent_at = time.monotonic()
        try:
            async with session.post(f"{self.gateway.url}/v1/events", data=body) as response:
                self.statuses[response.status] += 1
                answer = await response.read()
                assert response.status < 400 or response.status >= 429, answer
                if response.status != 202:
                    return None
                self.accepted_until = max(self.accepted_until, sent_at)
                return str(json.loads(answer)["id"])
        except (ClientError, TimeoutError, OSError):
            self.unanswered += 1
            return None


async def add_webhook(gateway: Gateway, url: str, *, events: Sequence[str] = TYPES, **settings: Any) -> str:
    """A webhook over the API; its id."""
    body = {"events": list(events), "method": "POST", "url": url, **settings}
    return str((await gateway.api("POST", "/webhooks", body))["id"])
