"""The composition root: builds everything, and is the order of start and stop.

The only module that names adapters. Resources lie on one stack and are released in reverse; loops are started
in one place. Invariant: the intake opens after recovery, so an old event is always ahead of a new one.
"""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from gateway import __version__
from gateway.admin.app import Parts, api_routes
from gateway.announcer import Announcer
from gateway.clock import Clock
from gateway.console.app import Console
from gateway.console.figures import Figures
from gateway.delivery.budget import Budget
from gateway.delivery.engine import Engine
from gateway.delivery.gate import Gate
from gateway.delivery.http1 import Http1Transport, connections_allowed
from gateway.delivery.loader import Loader
from gateway.delivery.recorder import Recorder
from gateway.delivery.surroundings import Surroundings
from gateway.delivery.trial import Trial
from gateway.delivery.watermark import Watermark
from gateway.egress.policy import EgressPolicy
from gateway.egress.resolver import Resolver, is_local
from gateway.errors import GatewayError
from gateway.health import Health
from gateway.ids import IdSource
from gateway.ingress.intake import DEADLINE_S, Intake
from gateway.ingress.pushes import Pushes
from gateway.ingress.quota import Quotas
from gateway.ingress.tokens import TokenBook
from gateway.lease import LeaseKeeper
from gateway.listener import Listener, standby
from gateway.loops import Loops
from gateway.minutes import Minutes
from gateway.registry.registry import Registry
from gateway.replay import Replayer
from gateway.routing import Routing
from gateway.settings import Settings
from gateway.store.attempt_log import AttemptLog
from gateway.store.config import ConfigStore
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.log import PostgresLog
from gateway.store.maintenance import Maintenance
from gateway.store.migrate import migrate
from gateway.store.minutes import MinuteStore
from gateway.store.ownership import Ownership
from gateway.store.pool import open_pool
from gateway.store.pulse import Pulse
from gateway.store.reading import Database
from gateway.store.rejected import RejectedStore
from gateway.store.replays import ReplayStore
from gateway.store.reseal import reseal
from gateway.store.safety import check_server
from gateway.store.secrets import SecretBox
from gateway.store.timeline import Timeline
from gateway.telemetry.logs import configure
from gateway.telemetry.loop_lag import LoopLag
from gateway.telemetry.metrics import Metrics
from gateway.tokens_at_start import bootstrap_admin
from gateway.web import build_web

STOP_DEADLINE_S = 9.0
STANDBY_AFTER_S = 0.5
GC_THRESHOLDS = (20_000, 20, 20)
"""Nothing on the hot path makes cycles, so looking for them seldom is enough."""

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ready:
    """The gateway accepts events. The rest is set on the first start of a database only.

    `sign_in_url` opens the console as that token's holder, once and soon.
    """

    url: str
    admin_token: str | None
    sign_in_url: str | None


async def serve(settings: Settings, *, on_ready: Callable[[Ready], None] | None = None) -> int:
    """Run until SIGINT or SIGTERM, or until a loop fails; returns the exit code. A second signal forces the end."""
    configure(settings.log_level, settings.log_format)
    stop = _stop_on_signals()
    async with AsyncExitStack() as stack:
        loops = Loops()
        if settings.database_url is None:
            postgres = await stack.enter_async_context(EmbeddedPostgres(settings.data_dir))
            stack.push_async_callback(loops.stop)  # before the server stops, or its loop would start it again
            loops.start("postgres", postgres.run())
            dsn = postgres.dsn
        else:
            dsn = settings.database_url
        for version in await migrate(dsn):
            log.info("migrated", version=version)
        await check_server(dsn, allowed=settings.database_allow_unsafe)

        owner = secrets.token_hex(6)
        ownership = Ownership(dsn, owner=owner)
        stack.push_async_callback(ownership.release)
        watermark = await _own(ownership, settings, stop)
        if watermark is None:
            return 0
        start = stack.enter_async_context(_gateway(settings, dsn, ownership, watermark, loops))
        gateway = await _unless_stopped(asyncio.ensure_future(start), stop)
        if gateway is None:
            return 0
        if on_ready is not None:
            on_ready(gateway)
        log.info("ready", url=gateway.url, version=__version__)
        await asyncio.wait({stop, loops.failed}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping", because=stop.result() if stop.done() else f"{loops.failed.result()} failed")
    return 1 if loops.failed.done() else 0


@asynccontextmanager
async def _gateway(
    settings: Settings, dsn: str, ownership: Ownership, watermark: str, loops: Loops
) -> AsyncIterator[Ready]:
    """The whole pipeline of the process that owns the shards; stops it in order on the way out."""
    async with AsyncExitStack() as stack:
        metrics = Metrics(version=__version__)
        ids = IdSource()
        gate = Gate(lease_is_valid=lambda: ownership.is_valid)
        clock = Clock()
        box = SecretBox.load(settings.secret_key, settings.data_dir)
        pool = await stack.enter_async_context(open_pool(dsn, owner=ownership.fence.owner))
        database = Database(pool, fence=ownership.fence)
        maintenance = Maintenance(dsn, retention_days=settings.retention_days)
        await maintenance.prepare()
        log_store = PostgresLog(dsn, fence=ownership.fence, write_timeout_s=DEADLINE_S)
        stack.push_async_callback(log_store.close)
        ids.stay_above(max(watermark, await log_store.last_event_id()))

        policy = EgressPolicy(allow=settings.egress_allow, ports=settings.egress_ports, is_local=is_local)
        resolver = Resolver(policy)
        stack.push_async_callback(resolver.close)
        transport = Http1Transport(resolver, max_connections=connections_allowed())
        stack.push_async_callback(transport.close)
        tokens = TokenBook()
        await reseal(database, box)
        config = ConfigStore(pool, box, fence=ownership.fence)
        registry = Registry(config, policy=policy, tokens=tokens, ids=ids)
        recorder = Recorder(log_store, gate=gate, metrics=metrics)
        loader = Loader(log_store, clock=clock)
        health = Health(registry, config, pause_after_s=settings.pause_after_s)
        surroundings = Surroundings(
            recorder=recorder,
            transport=transport,
            gate=gate,
            clock=clock,
            budget=Budget(),
            ids=ids,
            metrics=metrics,
            parse_target=policy.parse_target,
            retry_schedule_s=settings.retry_schedule_s,
            chance=random.random,
            gone=health.gone,
            nudge=loader.nudge,
        )
        engine = Engine(log_store, surroundings, loader=loader, watermark=Watermark(watermark))
        routing = Routing()
        registry.listen(routing)
        registry.listen(engine)
        await registry.load()
        await health.restore(engine)
        admin_token = await bootstrap_admin(registry, settings)
        metrics.watch_lanes(engine.sample)
        metrics.watch_unsettled(maintenance.unsettled)

        stack.push_async_callback(loops.stop)  # first of all on the way out: the loops use everything above
        loops.start("recorder", recorder.run())
        lease = LeaseKeeper(ownership, gate=gate, watermark=lambda: engine.watermark)
        loops.start("lease", lease.run())
        recovered = await engine.recover()
        log.info("recovered", deliveries=recovered)
        loops.start("loader", loader.run(recorder))
        loops.start("engine", engine.run())
        loops.start("registry", registry.run())
        loops.start("maintenance", maintenance.run())
        pulse = Pulse(dsn)
        loops.start("pulse", pulse.run())
        minute_store = MinuteStore(database)
        retention = timedelta(days=settings.retention_days)
        minutes = Minutes(metrics.rollup, minute_store, clock=clock, retention=retention)
        loops.start("minutes", minutes.run())
        loops.start("loop lag", LoopLag(metrics.event_loop_lag_seconds).run())

        intake = Intake(log_store, routing=routing, ids=ids, dispatch=engine.dispatch, metrics=metrics, clock=clock)
        loops.start("intake", intake.run())
        announcer = Announcer(intake, webhooks=registry.webhooks(), failing_since=engine.failing_since)
        registry.listen(announcer)
        loops.start("announcer", announcer.run())
        loops.start("health", health.run(engine, announcer.failing))
        rejected = RejectedStore(database, ids=ids)
        quotas = Quotas(registry, default_per_s=settings.tenant_rate_per_s, clock=clock)
        pushes = Pushes(intake, tokens=tokens, tenants=registry, quotas=quotas, keep=rejected.keep, metrics=metrics)
        trial = Trial(transport=transport, recorder=recorder, ids=ids, parse_target=policy.parse_target)
        replays = ReplayStore(database)
        replayer = Replayer(replays, nudge=engine.stored_elsewhere)
        loops.start("replayer", replayer.run())
        parts = Parts(
            registry=registry,
            config=config,
            attempts=AttemptLog(database),
            timeline=Timeline(database),
            rejected=rejected,
            replays=replays,
            replayer=replayer,
            trial=trial,
            submit=pushes.submit,
            stored_elsewhere=engine.stored_elsewhere,
            withdrawn_elsewhere=engine.withdrawn_elsewhere,
            ids=ids,
            lanes=engine,
        )
        figures = Figures(
            minute_store,
            registry,
            unstored=minutes.unstored,
            lanes=engine.sample,
            unsettled=maintenance.unsettled_by_webhook,
        )
        console = Console(
            parts, figures=figures, tokens=tokens, policy=policy, retry_schedule_s=settings.retry_schedule_s
        )
        app = build_web(
            pushes=pushes,
            routes=[*api_routes(parts), *console.api_routes()],
            console=console,
            tokens=tokens,
            metrics=metrics,
            readiness=lambda: _unready(intake, ownership, pulse, loops),
        )
        listener = Listener(app, pushes, host=settings.host, port=settings.port)
        await listener.start()
        policy.replace_listeners(listener.addresses)
        loops.start("listener", listener.run())
        # What was made so far stays for good; collections of it would be for nothing.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        try:
            sign_in_url = None if admin_token is None else listener.url + console.sign_in_path(admin_token)
            yield Ready(listener.url, admin_token, sign_in_url)
        finally:
            await _stop(listener, intake=intake, gate=gate, engine=engine, recorder=recorder, lease=lease)


async def _stop(
    listener: Listener, *, intake: Intake, gate: Gate, engine: Engine, recorder: Recorder, lease: LeaseKeeper
) -> None:
    """No new events; those waiting are committed; what is in flight ends; all of it is recorded. Within a deadline."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STOP_DEADLINE_S
    try:
        async with asyncio.timeout_at(deadline - 1.5):
            await listener.close_intake(intake)
            gate.shut("stopping")
            await engine.landed()
    except TimeoutError:
        log.warning("stop_abandons", detail="attempts under way did not end in time; they will be made again")
    gate.shut("stopping")
    try:
        async with asyncio.timeout_at(deadline):
            await engine.close()
            await recorder.flushed()
            await lease.save()
    except (TimeoutError, GatewayError) as error:
        log.warning("stop_incomplete", error=str(error) or "timed out", unrecorded=recorder.backlog)
    await listener.close()


async def _own(ownership: Ownership, settings: Settings, stop: asyncio.Future[str]) -> str | None:
    """Wait for the shards, answering as a standby meanwhile; None where a signal comes first."""
    claim = asyncio.ensure_future(ownership.own())
    done, _ = await asyncio.wait({claim, stop}, timeout=STANDBY_AFTER_S, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        async with standby(settings.host, settings.port):
            await asyncio.wait({claim, stop}, return_when=asyncio.FIRST_COMPLETED)
    return await _unless_stopped(claim, stop)


async def _unless_stopped(task: asyncio.Future[T], stop: asyncio.Future[str]) -> T | None:
    """What a step of the start comes to; None where a signal comes first, and the step is undone."""
    either: set[asyncio.Future[Any]] = {task, stop}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
        return None
    return task.result()


def _unready(intake: Intake, ownership: Ownership, pulse: Pulse, loops: Loops) -> str | None:
    if loops.failed.done():
        return f"the {loops.failed.result()} loop has failed; the gateway is going down"
    if not ownership.is_valid:
        return "the lease of the shards has run out; the database is away"
    if not pulse.beats:
        return "the database does not answer"
    return None if intake.is_open else "the intake is closed; the database is away, or the gateway is stopping"


def _stop_on_signals() -> asyncio.Future[str]:
    """Resolved by the first SIGINT or SIGTERM; the second one ends the process as if nothing had been caught."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if not stop.done():
            stop.set_result(number.name)
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    return stop
