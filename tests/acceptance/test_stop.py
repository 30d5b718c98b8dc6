"""A polite stop ends what is under way and doubles nothing; a second signal does not wait."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientError

from tests.acceptance.capture import CaptureTarget, Door, call
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, add_webhook

PATH = "/t/crm"


@pytest.fixture
async def target() -> AsyncIterator[CaptureTarget]:
    async with CaptureTarget() as target:
        yield target


@pytest.fixture
async def gateway(new_data_dir: NewDataDir, target: CaptureTarget) -> AsyncIterator[Gateway]:
    async with Gateway(new_data_dir(), egress_ports=[target.port]) as gateway:
        await add_webhook(gateway, target.url(PATH), events=["call.created"])
        yield gateway


@pytest.fixture
async def door(gateway: Gateway) -> AsyncIterator[Door]:
    async with Door(gateway) as door:
        yield door


async def test_what_is_in_flight_ends_before_the_gateway_does_and_is_not_sent_again(
    gateway: Gateway, door: Door, target: CaptureTarget
) -> None:
    target.held[PATH] = asyncio.Event()
    ids = [await door.accepted(call(number)) for number in range(5)]
    await target.arrived(PATH, 5)
    os.kill(gateway.pid, signal.SIGTERM)
    while await gateway.ready():
        await asyncio.sleep(0.02)
    assert gateway.running
    target.held.pop(PATH).set()
    assert await gateway.ended() == 0
    await gateway.start()
    ids.append(await door.accepted(call(9)))
    await target.arrived(PATH, 6)
    assert sorted(target.ids(PATH)) == sorted(ids)


async def test_a_target_that_hangs_delays_the_stop_only_to_its_deadline_and_gets_the_event_again(
    gateway: Gateway, door: Door, target: CaptureTarget
) -> None:
    target.held[PATH] = asyncio.Event()
    event_id = await door.accepted(call(1))
    await target.arrived(PATH)
    assert await gateway.term(timeout_s=12) == 0
    target.held.pop(PATH).set()
    await gateway.start()
    again = (await target.arrived(PATH, 2))[1]
    assert again.event_id == event_id


async def test_a_second_signal_forces_the_end(gateway: Gateway, door: Door, target: CaptureTarget) -> None:
    target.held[PATH] = asyncio.Event()
    event_id = await door.accepted(call(1))
    await target.arrived(PATH)
    os.kill(gateway.pid, signal.SIGTERM)
    while '"stopping"' not in gateway.log.read_text():
        await asyncio.sleep(0.01)
    os.kill(gateway.pid, signal.SIGTERM)
    assert await gateway.ended(2) == -signal.SIGTERM
    target.held.pop(PATH).set()
    await gateway.start()
    assert (await target.arrived(PATH, 2))[1].event_id == event_id


async def test_pushes_during_a_stop_are_answered_202_or_told_to_come_again_and_none_is_lost(
    gateway: Gateway, door: Door, target: CaptureTarget
) -> None:
    accepted: list[str] = []

    async def push() -> None:
        while True:
            try:
                answer = await door.push(call(len(accepted)))
            except (ClientError, OSError):
                return
            assert answer.status in (202, 503), answer.body
            if answer.status == 202:
                accepted.append(answer.json["id"])

    pushing = [asyncio.create_task(push()) for _ in range(8)]
    await target.arrived(PATH, 50)
    assert await gateway.term() == 0
    await asyncio.gather(*pushing)
    await gateway.start()
    while not set(accepted) <= set(target.ids(PATH)):
        await target.arrived(PATH, len(target.at(PATH)) + 1)
    assert len(target.ids(PATH)) == len(set(target.ids(PATH))), "doubled"
