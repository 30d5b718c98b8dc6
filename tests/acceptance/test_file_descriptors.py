"""Targets that hang want more connections than the process may open: neither the switch nor healthy webhooks notice."""

from __future__ import annotations

import asyncio

import psutil

from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, RecordTarget, Switch, add_webhook

DESCRIPTORS = 200
HANGING, CONNECTIONS_EACH = 30, 10
HEALTHY = ["/t/crm", "/t/erp", "/t/billing"]
EVENTS = ["call.created"]
SECONDS = 6.0
TIMEOUT_S = 2.0
DRAIN_S = 20.0


async def test_hanging_targets_take_neither_the_descriptors_of_the_process_nor_the_connections_of_healthy_ones(
    new_data_dir: NewDataDir,
) -> None:
    async with RecordTarget() as target:
        gateway = Gateway(new_data_dir(), egress_ports=[target.port], descriptors=DESCRIPTORS)
        async with gateway:
            for number in range(HANGING):
                path = f"/t/hangs-{number}"
                target.set(path, latency_ms=60_000.0)
                settings = {"max_in_flight": CONNECTIONS_EACH, "timeout_s": TIMEOUT_S}
                await add_webhook(gateway, target.url(path), events=EVENTS, **settings)
            for path in HEALTHY:
                await add_webhook(gateway, target.url(path), events=EVENTS)
            switch = Switch(gateway, lines=24, rate_per_s=120.0)
            pushing = asyncio.create_task(switch.run())
            most = 0
            for _ in range(int(SECONDS / 0.05)):
                await asyncio.sleep(0.05)
                most = max(most, psutil.Process(gateway.pid).num_fds())
            assert (await gateway.api("GET", "/webhooks"))["items"]
            switch.stop()
            await pushing
            assert set(switch.statuses) == {202} and not switch.unanswered
            created = {event_id for event_id, step in switch.accepted.items() if step.rank == 0}
            for path in HEALTHY:
                assert not await target.delivered(path, created, timeout_s=DRAIN_S)
            assert DESCRIPTORS / 2 < most < DESCRIPTORS, "many were wanted, and some were left for everything else"
