"""A process that was frozen past its lease wakes up with calls of the API to answer: none may change anything."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from typing import TypeAlias

import asyncpg
import pytest

from bench.process import ADMIN_TOKEN
from tests.acceptance.capture import CaptureTarget, Door, call
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, add_webhook

PATH = "/t/crm"

Asked: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def target() -> AsyncIterator[CaptureTarget]:
    async with CaptureTarget() as target:
        yield target


async def ask(gateway: Gateway, path: str, body: Mapping[str, object]) -> Asked:
    """Send a call and do not wait: the kernel takes it for a process that is frozen."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    sent = json.dumps(body).encode()
    head = f"POST /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nConnection: close\r\n"
    writer.write(head.encode() + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(sent) + sent)
    await writer.drain()
    return reader, writer


async def status(asked: Asked) -> int:
    """0 where the process ended before it answered."""
    reader, writer = asked
    async with asyncio.timeout(20):
        line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1]) if line else 0


async def test_a_frozen_owner_that_wakes_up_refuses_the_changes_that_wait_for_it(
    new_data_dir: NewDataDir, target: CaptureTarget
) -> None:
    data_dir = new_data_dir()
    second = Gateway(data_dir, egress_ports=[target.port])
    second.log = data_dir.parent / "second.log"
    async with Gateway(data_dir, egress_ports=[target.port]) as first:
        webhook_id = await add_webhook(first, target.url(PATH), events=["call.created"])
        async with Door(first) as door:
            event_id = await door.accepted(call(1))
        while not (await first.api("GET", "/logs"))["items"]:
            await asyncio.sleep(0.02)
        ready = asyncio.create_task(second.start())
        os.kill(first.pid, signal.SIGSTOP)
        try:
            webhook = {"events": ["call.created"], "method": "POST", "url": target.url("/t/late")}
            span = {"webhook_id": webhook_id, "from": "2026-01-01", "to": "2036-01-01", "only": "all"}
            late = [
                await ask(first, *each)
                for each in (("/webhooks", webhook), ("/replays", {"event_id": event_id}), ("/replays", span))
            ]
            connection = await asyncpg.connect(first.dsn)
            await connection.execute("UPDATE shards SET expires_at = now()")  # as if it had been frozen for so long
            await ready
        finally:
            os.kill(first.pid, signal.SIGCONT)
        assert {await status(each) for each in late} <= {0, 503}
        assert await first.ended(15) not in (0, None)
        stored = await connection.fetchval("SELECT count(*) FROM webhooks")
        assert stored == len((await second.api("GET", "/webhooks"))["items"]) == 1
        assert (await second.api("GET", "/replays"))["items"] == []
        assert await connection.fetchval("SELECT count(*) FROM deliveries") == 0
        await connection.close()
        await second.term()
    await second.close()
    assert target.ids(PATH) == [event_id]
