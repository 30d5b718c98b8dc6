"""The database freezes, loses connections in the middle of commits, runs full; the owner freezes. Nothing is lost.

The switch keeps its own ledger: what it was answered 202. The target keeps the other one. `--long` makes it last.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.acceptance.capture import Door, call
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, RecordTarget, Switch, add_webhook

PATH = "/t/crm"
LINES, RATE_PER_S = 16, 150.0
ANSWER_S = 2.0
"""Within this every push is answered, whatever the database does."""
BACK_S = 5.0
MACHINE_S = 1.0
"""What a busy machine may add to either."""
DRAIN_S = 30.0
LEASE_S = 10.0
FULL_MB = 300
OTHER_CALL = 999_999_999
"""None of the switch's calls: their steps are compared."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
async def target() -> AsyncIterator[RecordTarget]:
    async with RecordTarget() as target:
        yield target


@asynccontextmanager
async def pushing(gateway: Gateway) -> AsyncIterator[Switch]:
    """A switch at work; it has stopped, with every event accepted, when the block is left."""
    switch = Switch(gateway, lines=LINES, rate_per_s=RATE_PER_S)
    work = asyncio.create_task(switch.run())
    while len(switch.accepted) < LINES:
        await asyncio.sleep(0.01)
    try:
        yield switch
        switch.stop()
        await asyncio.wait_for(work, DRAIN_S)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def database_pids(gateway: Gateway) -> list[int]:
    """The server and all of its processes."""
    pid = gateway.postmaster_pid()
    assert pid is not None
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


async def assert_refused_in_time(gateway: Gateway) -> None:
    async with Door(gateway) as door:
        began = time.monotonic()
        answer = await door.push(call(OTHER_CALL))
        assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1
        assert time.monotonic() - began < ANSWER_S + MACHINE_S


async def assert_back(gateway: Gateway, within_s: float = BACK_S) -> None:
    await gateway.wait_ready(within_s + MACHINE_S)
    async with Door(gateway) as door:
        await door.accepted(call(OTHER_CALL))


async def turned(gateway: Gateway, *, ready: bool, within_s: float) -> bool:
    """Whether `/readyz`, asked with nothing pushed, came to say so in time."""
    deadline = time.monotonic() + within_s + MACHINE_S
    while await gateway.ready() is not ready:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def assert_honest(switch: Switch, target: RecordTarget) -> None:
    """What was answered 202 arrived, in order; and there was no other answer than 202 and 503."""
    assert await target.delivered(PATH, set(switch.accepted), timeout_s=DRAIN_S) == set()
    assert target.record(PATH).overtaken == 0
    assert set(switch.statuses) <= {202, 503}, switch.statuses


async def test_a_frozen_database_costs_time_and_no_event(tmp_path: Path, target: RecordTarget, long: bool) -> None:
    async with Gateway(tmp_path / "data", egress_ports=[target.port]) as gateway:
        await add_webhook(gateway, target.url(PATH))
        async with pushing(gateway) as switch:
            with frozen(*database_pids(gateway)):
                for _ in range(3):
                    await assert_refused_in_time(gateway)
                await asyncio.sleep(60.0 if long else 6.0)
                assert gateway.running
            await assert_back(gateway)
        await assert_honest(switch, target)
        assert switch.statuses[503] > 0 and switch.unanswered == 0


async def test_without_a_push_readiness_follows_a_database_that_freezes_and_one_that_is_killed(
    new_data_dir: NewDataDir,
) -> None:
    async with Gateway(new_data_dir()) as gateway:
        with frozen(*database_pids(gateway)):
            assert await turned(gateway, ready=False, within_s=ANSWER_S)
            await asyncio.sleep(LEASE_S / 4)
            assert not await gateway.ready(), "it does not come and go while the database is frozen"
        assert await turned(gateway, ready=True, within_s=BACK_S)
        killed = gateway.postmaster_pid()
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        while gateway.postmaster_pid() in (killed, None):
            await asyncio.sleep(0.02)
        assert await turned(gateway, ready=True, within_s=BACK_S)


async def test_deliveries_in_memory_go_on_while_the_database_is_frozen_and_end_with_the_lease(
    tmp_path: Path, target: RecordTarget, long: bool
) -> None:
    """They are safe while no other process can own the shards, which is until the lease has run out."""
    async with Gateway(tmp_path / "data", egress_ports=[target.port]) as gateway:
        await add_webhook(gateway, target.url(PATH), rate_per_s=10.0)
        async with Door(gateway) as door:
            ids = {await door.accepted(call(number)) for number in range(200)}
        before = len(target.record(PATH).ids)
        with frozen(*database_pids(gateway)):
            assert await target.arrived(PATH, before + 30, timeout_s=LEASE_S)
            if long:
                await asyncio.sleep(LEASE_S)
                when_shut = len(target.record(PATH).ids)
                await asyncio.sleep(LEASE_S)
                assert len(target.record(PATH).ids) == when_shut
        assert await target.delivered(PATH, ids, timeout_s=DRAIN_S) == set()
        assert not target.record(PATH).doubled


async def test_connections_that_are_cut_again_and_again_lose_and_double_nothing(
    tmp_path: Path, target: RecordTarget, long: bool
) -> None:
    async with Gateway(tmp_path / "data", egress_ports=[target.port]) as gateway:
        await add_webhook(gateway, target.url(PATH))
        async with pushing(gateway) as switch:
            cut = 0
            for _ in range(600 if long else 60):
                rows = await gateway.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'gateway %' AND state <> 'idle' AND pid <> pg_backend_pid()"
                )
                cut += len(rows)
                await asyncio.sleep(0.03)
            assert cut > 0 and gateway.running
            await assert_back(gateway)
        await assert_honest(switch, target)
        assert not target.record(PATH).doubled, "no process ended, so nothing was sent twice"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, that a test can fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={FULL_MB}m,mode=0755", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_is_answered_503_and_once_there_is_room_nothing_is_missing(
    small_disk: Path, target: RecordTarget, long: bool
) -> None:
    async with Gateway(small_disk / "data", egress_ports=[target.port]) as gateway:
        gateway.log = small_disk.parent / "gateway.log"
        await add_webhook(gateway, target.url(PATH))
        filler = small_disk / "filler"
        async with pushing(gateway) as switch:
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(64 * 1024))
                except OSError:
                    pass
            async with asyncio.timeout(DRAIN_S):
                while not switch.statuses[503]:
                    await fill_up(gateway)
            await asyncio.sleep(30.0 if long else 2.0)
            filler.unlink()
            await assert_back(gateway, within_s=2 * BACK_S)
        await assert_honest(switch, target)


async def fill_up(gateway: Gateway) -> None:
    """Large events, so that what little room is left is used up; whether one is accepted is the gateway's to say."""
    noise = os.urandom(200_000).hex()
    async with Door(gateway) as door:
        answer = await door.push(call(OTHER_CALL, noise=noise))
        assert answer.status in (202, 503), answer.body


async def test_a_frozen_owner_is_replaced_when_its_lease_ends_and_changes_nothing_when_it_wakes(
    tmp_path: Path, target: RecordTarget
) -> None:
    second = Gateway(tmp_path / "data", egress_ports=[target.port])
    second.log = tmp_path / "second.log"
    async with Gateway(tmp_path / "data", egress_ports=[target.port]) as first:
        await add_webhook(first, target.url(PATH), rate_per_s=20.0)
        async with Door(first) as door:
            ids = {await door.accepted(call(number)) for number in range(100)}
        starting = asyncio.create_task(second.start())
        try:
            with frozen(first.pid):
                await asyncio.wait_for(starting, LEASE_S + 3 * BACK_S)
                assert await target.delivered(PATH, ids, timeout_s=DRAIN_S) == set()
                arrived = sum(target.record(PATH).deliveries.values())
                rows = await second.sql("SELECT owner, epoch FROM shards WHERE id = 0")
            assert await first.ended() != 0
            assert sum(target.record(PATH).deliveries.values()) == arrived, "what it woke up to do was not its any more"
            assert await second.sql("SELECT owner, epoch FROM shards WHERE id = 0") == rows
            await assert_back(second)
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            if second.running:
                await second.term()
    await second.close()
