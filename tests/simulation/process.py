"""One simulated process of the gateway: the real parts, put together in the order of `gateway.app`.

What is not real is the database's server, the targets, time and chance. Invariant: every part that a mutation may
replace is named in `Parts`, so a mutant is the same gateway with one part worse.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.clock import Clock
from gateway.delivery.budget import Budget
from gateway.delivery.engine import Engine
from gateway.delivery.gate import Gate
from gateway.delivery.loader import Loader
from gateway.delivery.recorder import Recorder
from gateway.delivery.surroundings import Surroundings
from gateway.delivery.watermark import Watermark
from gateway.egress.target import parse_target
from gateway.errors import Fenced, GatewayError, Problem, Unavailable
from gateway.ids import IdSource
from gateway.ingress.intake import DEADLINE_S, Intake
from gateway.lease import LeaseKeeper
from gateway.loops import Loops
from gateway.routing import Routing
from gateway.store.log import PostgresLog
from gateway.store.ownership import Ownership
from tests.simulation import inside
from tests.simulation.connection import Link
from tests.simulation.switch import Answer, Push
from tests.simulation.targets import SimulatedTransport

if TYPE_CHECKING:
    from tests.simulation.world import World

STOP_DEADLINE_S = 9.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process is made of; a mutant replaces one of them."""

    intake: type[Intake] = Intake
    engine: type[Engine] = Engine
    loader: type[Loader] = Loader
    recorder: type[Recorder] = Recorder
    watermark: type[Watermark] = Watermark
    gate: type[Gate] = Gate
    ownership: type[Ownership] = Ownership
    log: type[PostgresLog] = PostgresLog


class Process:
    """Runs in a loop of its own, so that it can be killed or frozen at any of its steps."""

    def __init__(self, world: World, name: str, *, parts: Parts) -> None:
        self.name = name
        self.world = world
        self.loop = world.kernel.loop(name)
        self.link = Link(self.loop, world.server)
        self.clock = Clock(self.loop.time, world.kernel.wall_s)
        self.engine: Engine | None = None
        self.intake: Intake | None = None
        self.recorder: Recorder | None = None
        self.is_ready = False
        self.is_over = False
        self._parts = parts
        self._routing = Routing()
        self._stop: asyncio.Future[str] = self.loop.create_future()
        self.loop.call_soon(lambda: self.loop.create_task(self._main(), name="main"))

    # --- what others do to it ----------------------------------------------------------------------------------

    def stop(self) -> None:
        """SIGTERM."""

        def told() -> None:
            if not self._stop.done():
                self._stop.set_result("SIGTERM")

        self.loop.call_soon(told)

    def receive(self, push: Push, answer: Callable[[Answer], None]) -> None:
        """A push on one of its connections."""
        if not self.is_ready or self.intake is None:
            answer(Answer(503))
            return
        try:
            accepted = self.intake.submit(
                tenant_id=1,
                type=push.type,
                call_key=push.call_key,
                account_id=None,
                payload=push.payload,
                key=push.key,
                digest=push.digest,
            )
        except Unavailable:
            answer(Answer(503))
            return
        accepted.add_done_callback(lambda future: answer(_answer(future)))
        self.loop.call_soon(self._look)

    def _look(self) -> None:
        broken = inside.bounds(self)
        if broken is not None:
            self.world.ledger.violated(broken)

    def configured(self, webhook_id: str) -> None:
        """A webhook was changed, through this process's API."""
        if self.engine is not None:
            self.world.ledger.configured(self.name, self.world.webhooks[webhook_id])
            self.engine.webhook_changed(self.world.webhooks[webhook_id])
            self._routing.webhook_changed(self.world.webhooks[webhook_id])

    def replayed(self, webhook_id: str) -> None:
        if self.engine is not None:
            self.engine.stored_elsewhere([webhook_id])

    # --- what it does ------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        ownership = self._parts.ownership("", owner=self.name, clock=self.clock, connect=self._connect)
        loops = Loops()
        try:
            watermark = await self._own(ownership)
            if watermark is not None:
                self.world.ledger.owned(self.name)
                self.world.tell("%s owns the shards, from watermark %s", self.name, watermark)
                await self._serve(ownership, watermark, loops)
        except GatewayError as error:  # the program ends with it; so does this one
            self.world.tell("%s ends: %r", self.name, error)
        finally:
            self.is_ready = False
            await loops.stop()
            await ownership.release()
            self.is_over = True
            self.world.process_ended(self)

    async def _own(self, ownership: Ownership) -> str | None:
        claim: asyncio.Task[str] = self.loop.create_task(ownership.own(), name="claim")
        await asyncio.wait({claim, self._stop}, return_when=asyncio.FIRST_COMPLETED)
        if not claim.done():
            claim.cancel()
            await asyncio.wait({claim})
            return None
        return claim.result()

    async def _serve(self, ownership: Ownership, watermark: str, loops: Loops) -> None:
        world, parts = self.world, self._parts
        chance = random.Random(world.chance.getrandbits(32))
        ids = IdSource(clock_ms=lambda: int(world.kernel.wall_s() * 1000), random_bits=chance.getrandbits)
        gate = parts.gate(lease_is_valid=lambda: ownership.is_valid)
        log = parts.log("", fence=ownership.fence, write_timeout_s=DEADLINE_S, connect=self._connect)
        ids.stay_above(max(watermark, await log.last_event_id()))
        self.recorder = recorder = parts.recorder(log, gate=gate, metrics=world.metrics, limits=world.limits)
        loader = parts.loader(log, clock=self.clock, limits=world.limits)
        surroundings = Surroundings(
            recorder=recorder,
            transport=SimulatedTransport(self.loop, world.targets, self._look),
            gate=gate,
            clock=self.clock,
            budget=Budget(world.budget_bytes),
            ids=ids,
            metrics=world.metrics,
            parse_target=parse_target,
            retry_schedule_s=(),
            chance=chance.random,
            gone=lambda *_: None,
            nudge=loader.nudge,
            limits=world.limits,
        )
        self.engine = engine = parts.engine(log, surroundings, loader=loader, watermark=parts.watermark(watermark))
        for webhook_id in world.webhooks:
            self.configured(webhook_id)
        self._start(loops, "recorder", recorder.run)
        lease = LeaseKeeper(ownership, gate=gate, watermark=lambda: engine.watermark)
        self._start(loops, "lease", lease.run)
        await engine.recover()
        self._start(loops, "loader", lambda: loader.run(recorder))
        self._start(loops, "engine", engine.run)
        self.intake = intake = parts.intake(
            log,
            routing=self._routing,
            ids=ids,
            dispatch=engine.dispatch,
            metrics=world.metrics,
            clock=self.clock,
        )
        self._start(loops, "intake", intake.run)
        self.is_ready = True
        await asyncio.wait({self._stop, loops.failed}, return_when=asyncio.FIRST_COMPLETED)
        self.is_ready = False
        await self._drain(intake=intake, gate=gate, engine=engine, recorder=recorder, lease=lease)
        await loops.stop()
        await log.close()

    async def _drain(
        self, *, intake: Intake, gate: Gate, engine: Engine, recorder: Recorder, lease: LeaseKeeper
    ) -> None:
        """As `gateway.app` does."""
        deadline = self.loop.time() + STOP_DEADLINE_S
        try:
            async with asyncio.timeout_at(deadline - 1.5):
                intake.close("the gateway is stopping")
                await intake.drained()
                gate.shut("stopping")
                await engine.landed()
        except TimeoutError:
            self.world.tell("%s abandons what is in flight", self.name)
        gate.shut("stopping")
        try:
            async with asyncio.timeout_at(deadline):
                await engine.close()
                await recorder.flushed()
                await lease.save()
        except (TimeoutError, GatewayError) as error:
            self.world.tell("%s stops incompletely: %r", self.name, error)

    def _start(self, loops: Loops, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        loops.start(name, self._watched(name, loop))

    async def _watched(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A loop may end with `Fenced`; anything else is a fault of its own."""
        try:
            await loop()
        except Fenced:
            self.world.tell("%s: %s is fenced", self.name, name)
            raise
        except Exception as error:
            self.world.ledger.violated(f"{self.name}: the loop {name} failed with {error!r}")
            raise

    async def _connect(self, dsn: str, *, timeout: float, server_settings: dict[str, str]) -> Any:
        return await self.world.server.connect(self.link, server_settings["application_name"])


def _answer(future: asyncio.Future[tuple[str, bool]]) -> Answer:
    error = future.exception()
    if error is None:
        event_id, is_duplicate = future.result()
        return Answer(202, event_id, is_duplicate)
    return Answer(error.status if isinstance(error, Problem) else 503)
