"""Two processes on one database: one delivers, the other waits, says so, and takes over at once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiohttp import ClientSession

from bench.process import free_port
from tests.acceptance.capture import CaptureTarget, Door, call
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, add_webhook

PATH = "/t/crm"
AT_ONCE_S = 6.0
"""A take-over waits for no lease (10 s)."""


@pytest.fixture
async def target() -> AsyncIterator[CaptureTarget]:
    async with CaptureTarget() as target:
        yield target


class Pair:
    """`first` delivers; `second` is a process on the same database whose `ready` is pending."""

    def __init__(self, first: Gateway, second: Gateway) -> None:
        self.first = first
        self.second = second
        self.ready = asyncio.create_task(second.start())

    async def stands_by(self) -> None:
        async with ClientSession() as session:
            while True:
                assert not self.ready.done()
                try:
                    async with session.get(f"{self.second.url}/readyz") as response:
                        assert response.status == 503 and response.headers["Retry-After"]
                        assert "standby" in (await response.json(content_type=None))["detail"]
                    async with session.get(f"{self.second.url}/livez") as response:
                        assert response.status == 200
                    async with session.post(f"{self.second.url}/v1/events", data=b"{}") as response:
                        assert response.status == 503
                    return
                except OSError:
                    await asyncio.sleep(0.02)


@pytest.fixture
async def pair(new_data_dir: NewDataDir, target: CaptureTarget) -> AsyncIterator[Pair]:
    data_dir = new_data_dir()
    second = Gateway(data_dir, egress_ports=[target.port])
    second.log = data_dir.parent / "second.log"
    async with Gateway(data_dir, egress_ports=[target.port]) as first:
        pair = Pair(first, second)
        try:
            await pair.stands_by()
            yield pair
        finally:
            pair.ready.cancel()
            await asyncio.gather(pair.ready, return_exceptions=True)
            if second.running:
                await second.term()
    await second.close()


async def test_a_standby_says_what_it_waits_for_and_takes_over_when_the_first_is_killed(
    pair: Pair, target: CaptureTarget
) -> None:
    while '"message":"standby"' not in pair.second.log.read_text():
        await asyncio.sleep(0.02)
    await add_webhook(pair.first, target.url(PATH), events=["call.created"])
    target.held[PATH] = asyncio.Event()
    async with Door(pair.first) as door:
        ids = [await door.accepted(call(number)) for number in range(3)]
    await target.arrived(PATH, 3)
    pair.first.kill9()
    killed = time.monotonic()
    target.held.pop(PATH).set()
    await pair.ready
    assert time.monotonic() - killed < AT_ONCE_S
    async with Door(pair.second) as door:
        ids.append(await door.accepted(call(9)))
    while set(target.ids(PATH)) != set(ids):
        await target.arrived(PATH, len(target.at(PATH)) + 1)


async def test_a_standby_takes_over_when_the_first_is_stopped_and_delivers_nothing_again(
    pair: Pair, target: CaptureTarget
) -> None:
    await add_webhook(pair.first, target.url(PATH), events=["call.created"])
    async with Door(pair.first) as door:
        ids = [await door.accepted(call(number)) for number in range(3)]
    await target.arrived(PATH, 3)
    assert await pair.first.term() == 0
    stopped = time.monotonic()
    await pair.ready
    assert time.monotonic() - stopped < AT_ONCE_S
    async with Door(pair.second) as door:
        ids.append(await door.accepted(call(9)))
    await target.arrived(PATH, 4)
    assert sorted(target.ids(PATH)) == sorted(ids)


async def test_a_process_that_was_frozen_is_replaced_and_ends_with_an_error_when_it_wakes_up(
    pair: Pair, target: CaptureTarget
) -> None:
    await add_webhook(pair.first, target.url(PATH), events=["call.created"])
    async with Door(pair.first) as door:
        ids = [await door.accepted(call(1))]
    while not (await pair.first.api("GET", "/logs"))["items"]:
        await asyncio.sleep(0.02)
    os.kill(pair.first.pid, signal.SIGSTOP)
    try:
        connection = await asyncpg.connect(pair.first.dsn)
        await connection.execute("UPDATE shards SET expires_at = now()")  # as if it had been frozen for so long
        await connection.close()
        await pair.ready
        async with Door(pair.second) as door:
            ids.append(await door.accepted(call(2)))
    finally:
        os.kill(pair.first.pid, signal.SIGCONT)
    assert await pair.first.ended(15) not in (0, None)
    await target.arrived(PATH, 2)
    assert target.ids(PATH) == ids and await pair.second.ready()


async def test_a_standby_that_is_told_to_stop_ends_at_once_and_without_an_error(pair: Pair) -> None:
    os.kill(pair.second.pid, signal.SIGTERM)
    assert await pair.second.ended(5) == 0
    assert await pair.first.ready()


async def test_two_processes_that_are_given_the_same_port_do_not_fight_over_it(new_data_dir: NewDataDir) -> None:
    port, data_dir = free_port(), new_data_dir()
    first, second = (Gateway(data_dir, environment={"GATEWAY_PORT": str(port)}) for _ in range(2))
    for gateway in (first, second):
        gateway.port, gateway.url = port, f"http://127.0.0.1:{port}"
    second.log = data_dir.parent / "second.log"
    async with first:
        starting = asyncio.create_task(second.start())
        while not second.log.exists() or "standby" not in second.log.read_text():
            await asyncio.sleep(0.02)
        await starting  # the first one answers for both
        assert await first.term() == 0
        await second.wait_ready()
        assert await second.term() == 0
    await second.close()
