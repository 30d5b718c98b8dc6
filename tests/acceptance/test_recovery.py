"""What was accepted is delivered after whatever ended the gateway, and after the database was away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import asyncpg
import psutil
import pytest
from aiohttp import ClientError

from gateway.ids import floor_id, id_time
from tests.acceptance.capture import Answer, CaptureTarget, Door, call
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, add_webhook

PATH = "/t/crm"
QUICK = {"GATEWAY_RETRY_SCHEDULE": "100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms"}


@pytest.fixture
async def target() -> AsyncIterator[CaptureTarget]:
    async with CaptureTarget() as target:
        yield target


@pytest.fixture
async def gateway(new_data_dir: NewDataDir, target: CaptureTarget) -> AsyncIterator[Gateway]:
    async with Gateway(new_data_dir(), egress_ports=[target.port], environment=QUICK) as gateway:
        yield gateway


@pytest.fixture
async def door(gateway: Gateway) -> AsyncIterator[Door]:
    async with Door(gateway) as door:
        yield door


@asynccontextmanager
async def database(gateway: Gateway) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(gateway.dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def restart(gateway: Gateway) -> None:
    gateway.kill9()
    await gateway.ended()
    await gateway.start()


async def delivered(target: CaptureTarget, ids: list[str]) -> None:
    while not set(ids) <= set(target.ids(PATH)):
        await target.arrived(PATH, len(target.at(PATH)) + 1)


async def test_after_a_kill_what_waited_what_failed_and_what_was_held_comes_in_order(
    gateway: Gateway, door: Door, target: CaptureTarget
) -> None:
    webhook_id = await add_webhook(gateway, target.url(PATH), max_in_flight=1, events=["call.created", "call.ended"])
    target.answers[PATH].append((500, {}))
    target.held[PATH] = asyncio.Event()
    ids = [await door.accepted(call(number), type=type) for type in ("call.created", "call.ended") for number in (1, 2)]
    await target.arrived(PATH)
    await restart(gateway)
    target.held.pop(PATH).set()
    await gateway.api("PATCH", f"/webhooks/{webhook_id}", {"state": "paused"})
    ids.append(await door.accepted(call(1), type="call.ended"))
    await restart(gateway)
    await gateway.api("PATCH", f"/webhooks/{webhook_id}", {"state": "active"})
    await delivered(target, ids)
    first = list(dict.fromkeys(target.ids(PATH)))
    for number in (0, 1):
        assert [event_id for event_id in first if event_id in ids[number::2]] == ids[number::2]


async def test_a_stale_watermark_doubles_nothing(gateway: Gateway, door: Door, target: CaptureTarget) -> None:
    await add_webhook(gateway, target.url(PATH), events=["call.created"])
    ids = [await door.accepted(call(number)) for number in range(20)]
    await delivered(target, ids)
    async with database(gateway) as connection:
        while await connection.fetchval("SELECT count(*) FROM attempts WHERE ok") < len(ids):
            await asyncio.sleep(0.02)
        gateway.kill9()
        await gateway.ended()
        await connection.execute("UPDATE shards SET watermark = '00000000-0000-0000-0000-000000000000'")
    await gateway.start()
    ids.append(await door.accepted(call(21)))
    await delivered(target, ids)
    assert sorted(target.ids(PATH)) == sorted(ids)


async def test_ids_stay_above_those_of_a_process_whose_clock_was_ahead(gateway: Gateway, door: Door) -> None:
    last = await door.accepted(call(1))
    gateway.kill9()
    await gateway.ended()
    ahead = floor_id(id_time(last).replace(hour=23, minute=59))
    async with database(gateway) as connection:
        await connection.execute(
            "INSERT INTO events SELECT $1, shard, tenant_id, type, call_key, account_id, webhook_ids, occurred_at,"
            " payload FROM events WHERE id = $2",
            UUID(ahead),
            UUID(last),
        )
    await gateway.start()
    ids = [await door.accepted(call(number)) for number in range(3)]
    assert [ahead, *ids] == sorted([ahead, *ids])


async def test_a_fenced_process_commits_nothing_more_and_ends_with_an_error(gateway: Gateway, door: Door) -> None:
    async with database(gateway) as connection:
        await connection.execute("UPDATE shards SET epoch = epoch + 1, owner = 'other', expires_at = now()")
        before = await connection.fetchval("SELECT count(*) FROM events")
    statuses = set()
    while gateway.running:
        try:
            statuses.add((await door.push(call(1))).status)
        except (ClientError, OSError):
            await asyncio.sleep(0.05)
    assert 202 not in statuses and gateway.returncode not in (0, None)
    assert "another process owns the shards" in gateway.log.read_text()
    await gateway.start()
    async with database(gateway) as connection:
        assert await connection.fetchval("SELECT count(*) FROM events") == before


async def test_while_the_database_does_not_answer_a_push_is_told_503_and_when_to_come_again(
    gateway: Gateway, door: Door, target: CaptureTarget
) -> None:
    await add_webhook(gateway, target.url(PATH), events=["call.created"])
    ids = [await door.accepted(call(1))]
    with frozen(gateway):
        answers = await asyncio.gather(*(door.push(call(number), id=str(number)) for number in range(2, 7)))
        assert not await gateway.ready()
        answers.append(await door.push(call(7), id="7"))
    assert {answer.status for answer in answers} == {503}
    for answer in answers:
        assert int(answer.headers["Retry-After"]) >= 1 and answer.json["type"].endswith("/unavailable")
    for number in range(2, 8):
        answer = await until_accepted(door, number)
        ids.append(answer.json["id"])
    await delivered(target, ids)
    assert sorted(target.ids(PATH)) == sorted(ids), "pushed again under the same key: once"


async def test_a_database_that_is_killed_comes_back_and_so_does_the_gateway(
    gateway: Gateway, door: Door, target: CaptureTarget
) -> None:
    await add_webhook(gateway, target.url(PATH), events=["call.created"])
    ids = [await door.accepted(call(1))]
    postmaster = gateway.postmaster_pid()
    assert postmaster is not None
    os.kill(postmaster, signal.SIGKILL)
    for number in range(2, 10):
        answer = await until_accepted(door, number)
        ids.append(answer.json["id"])
    await delivered(target, ids)
    assert gateway.running


async def until_accepted(door: Door, number: int) -> Answer:
    """Pushed again under the same key as long as the answer is 503, as a switch does."""
    while (answer := await door.push(call(number), id=str(number))).status == 503:
        await asyncio.sleep(0.05)
    assert answer.status == 202, answer.body
    return answer


@contextmanager
def frozen(gateway: Gateway) -> Iterator[None]:
    """Every process of the embedded PostgreSQL stands still."""
    pid = gateway.postmaster_pid()
    assert pid is not None
    postmaster = psutil.Process(pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()
