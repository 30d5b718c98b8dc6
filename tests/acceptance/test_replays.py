"""Replays of many events on the whole program: killed midway, cancelled, and of what is still on its way.

`--long` replays a million, as `make torture` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import psutil
import pytest

from gateway.catalog import BY_NAME
from tests.acceptance.capture import CaptureTarget, Door, call
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, RecordTarget, add_webhook

PATH = "/t/crm"
EVENTS, LONG_EVENTS = 20_000, 1_000_000
IN_FLIGHT = 8
MEMORY_BYTES = 300 * 1024 * 1024
SPAN = {"from": "2026-01-01", "to": "2100-01-01", "only": "all"}

# Events of calls of their own that were delivered long ago, as the pipeline would have left them.
DELIVERED = """
WITH accepted AS (
    INSERT INTO events (id, shard, tenant_id, type, call_key, webhook_ids, payload)
    SELECT uuidv7(interval '-5 minutes'), n % 64, 1, 'call.created', n::text, ARRAY[$1::uuid], $2
    FROM generate_series(1, $3::integer) AS n
    RETURNING id
)
INSERT INTO attempts (id, event_id, webhook_id, tenant_id, event_type, number, test, ok, status, duration_us, method,
                      url, request_headers, truncated)
SELECT uuidv7(), id, $1::uuid, 1, 'call.created', 1, false, true, 200, 1000, 'POST', 'http://x', '', false
FROM accepted
"""


async def deliver_long_ago(gateway: Gateway, webhook_id: str, count: int) -> None:
    connection = await asyncpg.connect(gateway.dsn)
    await connection.execute(DELIVERED, webhook_id, BY_NAME["call.created"].sample, count)
    await connection.execute("ANALYZE events, attempts")
    await connection.close()


@pytest.fixture
async def target() -> AsyncIterator[RecordTarget]:
    async with RecordTarget() as target:
        yield target


@pytest.mark.timeout(900)
async def test_a_replay_of_many_events_survives_a_kill_and_delivers_each_once(
    new_data_dir: NewDataDir, target: RecordTarget, long: bool
) -> None:
    events = LONG_EVENTS if long else EVENTS
    async with Gateway(new_data_dir(), egress_ports=[target.port]) as gateway:
        webhook_id = await add_webhook(gateway, target.url(PATH), max_in_flight=IN_FLIGHT)
        await deliver_long_ago(gateway, webhook_id, events)
        replay = await gateway.api("POST", "/replays", {**SPAN, "period_of": "attempts", "status": "200"})
        assert replay["total"] == events or (long and replay["total"] is None), "what takes seconds is not counted"
        assert await target.arrived(PATH, events // 4, timeout_s=events / 300)
        gateway.kill9()
        await gateway.ended()
        assert len(target.record(PATH).ids) < events
        await gateway.start()
        assert await target.arrived(PATH, events, timeout_s=events / 150)
        while (shown := await gateway.api("GET", f"/replays/{replay['id']}"))["state"] == "running":
            await asyncio.sleep(0.05)
        assert (shown["state"], shown["done"], shown["total"]) == ("done", events, events)
        assert target.record(PATH).doubled.total() <= 1_000 + IN_FLIGHT  # in flight, or in a batch of the recorder
        assert psutil.Process(gateway.pid).memory_info().rss <= MEMORY_BYTES


async def test_a_cancelled_replay_sends_nothing_more_than_what_is_in_flight(
    new_data_dir: NewDataDir, target: RecordTarget
) -> None:
    async with Gateway(new_data_dir(), egress_ports=[target.port]) as gateway:
        webhook_id = await add_webhook(gateway, target.url(PATH), max_in_flight=IN_FLIGHT, rate_per_s=50)
        await deliver_long_ago(gateway, webhook_id, EVENTS)
        replay = await gateway.api("POST", "/replays", {**SPAN, "webhook_id": webhook_id})
        assert await target.arrived(PATH, 5, timeout_s=30)
        await gateway.api("DELETE", f"/replays/{replay['id']}")
        sent = len(target.record(PATH).sent)
        event_id = (await gateway.api("POST", f"/webhooks/{webhook_id}/test", {"type": "call.created"}))["event_id"]
        await target.delivered(PATH, {event_id}, timeout_s=10)
        await asyncio.sleep(1.0)  # nothing tells that nothing comes
        assert len(target.record(PATH).ids - {event_id}) <= sent + IN_FLIGHT
        connection = await asyncpg.connect(gateway.dsn)
        assert await connection.fetchval("SELECT count(*) FROM deliveries") == 0
        await connection.close()


async def test_a_replay_of_what_is_on_its_way_says_so_and_delivers_it_once(new_data_dir: NewDataDir) -> None:
    async with CaptureTarget() as target, Gateway(new_data_dir(), egress_ports=[target.port]) as gateway:
        webhook_id = await add_webhook(gateway, target.url(PATH), events=["call.created"], max_in_flight=1)
        target.held[PATH] = asyncio.Event()
        async with Door(gateway) as door:
            ids = [await door.accepted(call(number)) for number in range(3)]  # one in flight, two in memory
        await target.arrived(PATH, 1)
        for event_id in ids:
            replay = await gateway.api("POST", "/replays", {"event_id": event_id})
            assert (replay["state"], replay["done"], replay["skipped"]) == ("done", 1, 1)
        await gateway.api("POST", "/replays", {**SPAN, "webhook_id": webhook_id})
        target.held.pop(PATH).set()
        await target.arrived(PATH, 3)
        while len((await gateway.api("GET", "/logs"))["items"]) < len(ids):
            await asyncio.sleep(0.02)
        await gateway.api("POST", "/replays", {"event_id": ids[0]})
        await target.arrived(PATH, 4)
        assert target.ids(PATH) == [*ids, ids[0]]
