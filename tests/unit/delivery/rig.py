"""The delivery side put together as `gateway.app` does, on a log in memory, with a target that the test answers for.

Invariant: nothing in here waits for time to pass: the clock is moved by hand, and conditions are waited for.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from gateway.clock import Clock
from gateway.delivery.budget import Budget
from gateway.delivery.engine import Engine
from gateway.delivery.gate import Gate
from gateway.delivery.lane.lane import Lane
from gateway.delivery.limits import Limits
from gateway.delivery.loader import Loader
from gateway.delivery.recorder import Recorder
from gateway.delivery.surroundings import Surroundings
from gateway.delivery.transport import Done, Request
from gateway.delivery.watermark import Watermark
from gateway.egress.target import parse_target
from gateway.ids import ZERO_ID, IdSource
from gateway.model import ErrorKind, Event, Outcome, Response, Webhook, WebhookState
from gateway.telemetry.metrics import Metrics
from tests.memory_log import MemoryLog

SCHEDULE_S = (5.0, 60.0)
PATIENCE_S = 5.0


def webhook(id: str = "00000000-0000-7000-8000-000000000001", **changes: Any) -> Webhook:
    made = Webhook(
        id=id,
        tenant_id=1,
        name="crm",
        events=frozenset({"call.created"}),
        method="POST",
        url="https://crm.example.com/hooks",
        access=None,
        state=WebhookState.ACTIVE,
        reason=None,
        signing_secrets=(b"0" * 24,),
    )
    return replace(made, **changes)


def answer(status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Outcome:
    return Outcome(duration_us=1000, response=Response(status, tuple(headers), b"", truncated=False))


class UnderWay:
    """One request that the target has and has not answered."""

    def __init__(self, request: Request, done: Done) -> None:
        self.request = request
        self.event_id = _header(request, "webhook-id")
        self.attempt = int(_header(request, "webhook-attempt"))
        self._done = done

    def end(self, outcome: Outcome) -> None:
        self._done(outcome)

    def header(self, name: str) -> str:
        return _header(self.request, name)


class HeldTransport:
    """Keeps every request until the test answers it. `sent` is all that was ever sent, in order."""

    def __init__(self) -> None:
        self.under_way: list[UnderWay] = []
        self.sent: list[UnderWay] = []
        self.pools: list[HeldPool] = []

    def pool(self, *, max_connections: int) -> HeldPool:
        pool = HeldPool(self, max_connections)
        self.pools.append(pool)
        return pool

    async def close(self) -> None:
        return None


class HeldPool:
    def __init__(self, transport: HeldTransport, max_connections: int) -> None:
        self._transport = transport
        self.max_connections = max_connections
        self.is_closed = False

    def send(self, request: Request, done: Done) -> None:
        assert not self.is_closed
        sent = UnderWay(request, done)
        self._transport.under_way.append(sent)
        self._transport.sent.append(sent)

    async def close(self) -> None:
        self.is_closed = True
        for sent in [*self._transport.under_way]:
            self._transport.under_way.remove(sent)
            sent.end(Outcome(duration_us=1, error=ErrorKind.ABANDONED))


class Rig:
    """One engine with its recorder and loader. `advance` moves its clock."""

    def __init__(
        self,
        log: MemoryLog,
        watermark: str = ZERO_ID,
        *,
        chance: Callable[[], float] = lambda: 0.0,
        limits: Limits | None = None,
    ) -> None:
        self.log = log
        self.offset_s = 0.0
        self.clock = Clock(lambda: time.monotonic() + self.offset_s, lambda: time.time() + self.offset_s)
        self.transport = HeldTransport()
        self.metrics = Metrics(version="0")
        self.gate = Gate()
        self.gone: list[tuple[str, str]] = []
        self.ids = IdSource()
        self.ids.stay_above(max(log.events, default=ZERO_ID))
        self.limits = limits or Limits()
        self.recorder = Recorder(log, gate=self.gate, metrics=self.metrics, limits=self.limits)
        self.loader = Loader(log, clock=self.clock, limits=self.limits)
        self.budget = Budget()
        surroundings = Surroundings(
            recorder=self.recorder,
            transport=self.transport,
            gate=self.gate,
            clock=self.clock,
            budget=self.budget,
            ids=self.ids,
            metrics=self.metrics,
            parse_target=parse_target,
            retry_schedule_s=SCHEDULE_S,
            chance=chance,
            gone=lambda *of: self.gone.append(of),
            nudge=self.loader.nudge,
            limits=self.limits,
        )
        self.engine = Engine(log, surroundings, loader=self.loader, watermark=Watermark(watermark))

    def lane(self, webhook_id: str = "00000000-0000-7000-8000-000000000001") -> Lane:
        lane = self.engine.lane(webhook_id)
        assert lane is not None
        return lane

    def accept(self, call_key: str | None = None, *webhook_ids: str, payload: bytes = b"{}") -> str:
        """An event, as the intake commits it and hands it on; its id."""
        ids = webhook_ids or ("00000000-0000-7000-8000-000000000001",)
        event = Event(self.ids.next(), 1, "call.created", call_key, None, payload, ids)
        self.log.events[event.id] = event
        self.engine.dispatch([event], [self.clock.monotonic_s()])
        return event.id

    def advance(self, seconds: float) -> None:
        self.offset_s += seconds
        self.loader.nudge()

    @property
    def under_way(self) -> list[str]:
        return [sent.event_id for sent in self.transport.under_way]

    @property
    def sent(self) -> list[tuple[str, int]]:
        return [(sent.event_id, sent.attempt) for sent in self.transport.sent]

    def end(self, event_id: str, outcome: Outcome | None = None) -> None:
        """The target answers: 200, unless told otherwise."""
        (sent,) = [each for each in self.transport.under_way if each.event_id == event_id]
        self.transport.under_way.remove(sent)
        sent.end(outcome or answer())

    def fail(self, event_id: str, status: int = 500) -> None:
        self.end(event_id, answer(status))

    async def starts(self, event_id: str) -> None:
        """Returns when a request with this event is under way."""
        await until(lambda: event_id in self.under_way)

    async def recorded(self) -> None:
        await asyncio.wait_for(self.recorder.flushed(), PATIENCE_S)

    async def looked(self, rounds: int = 2) -> None:
        """Returns when the loader has asked the store that often again, or has nothing to ask for."""
        goal = self.log.calls["load_due"] + rounds
        lanes = list(self.loader.lanes.values())

        def reached() -> bool:
            for lane in lanes:
                lane.backlog.load_now = True
            self.loader.nudge()
            return self.log.calls["load_due"] >= goal or not any(lane.backlog.exists for lane in lanes)

        await until(reached)
        await asyncio.sleep(0.01)  # what the answer brings is begun in the loader's next steps


@asynccontextmanager
async def running(
    *webhooks: Webhook,
    log: MemoryLog | None = None,
    watermark: str = ZERO_ID,
    chance: Callable[[], float] = lambda: 0.0,
    limits: Limits | None = None,
) -> AsyncIterator[Rig]:
    rig = Rig(log or MemoryLog(), watermark, chance=chance, limits=limits)
    for each in webhooks or (webhook(),):
        rig.engine.webhook_changed(each)
    loops = [asyncio.create_task(rig.recorder.run()), asyncio.create_task(rig.loader.run(rig.recorder))]
    try:
        yield rig
        for loop in loops:
            assert not loop.done(), loop.exception()
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition that only other tasks of this loop can bring about."""
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.001)


def _header(request: Request, name: str) -> str:
    found = re.search(rf"^{name}: (.*)\r$", request.head.decode(), re.MULTILINE)
    return found[1] if found else ""
