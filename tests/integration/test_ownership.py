"""Who delivers: one process at a time, replaced at once when it dies and when its lease runs out, fenced for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import asyncpg
import pytest

from gateway.errors import Fenced, Unavailable
from gateway.ids import ZERO_ID, IdSource
from gateway.store.ownership import Ownership

Make = Callable[[str], Ownership]
SOON_S = 5.0


@pytest.fixture
async def make(database: str) -> AsyncIterator[Make]:
    made: list[Ownership] = []

    def make(owner: str) -> Ownership:
        made.append(Ownership(database, owner=owner))
        return made[-1]

    yield make
    for ownership in made:
        await ownership.release()


@pytest.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def test_the_first_owns_and_the_second_waits_until_it_lets_go(make: Make) -> None:
    first, second = make("one"), make("two")
    assert await first.own() == ZERO_ID and first.is_valid
    waiting = asyncio.create_task(second.own())
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert not done and not second.is_valid
    await first.release()
    await asyncio.wait_for(waiting, SOON_S)
    assert second.is_valid and second.fence.epoch == first.fence.epoch + 1


async def test_an_owner_whose_connection_is_gone_is_replaced_before_its_lease_runs_out(
    make: Make, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    first, second = make("one"), make("two")
    await first.own()
    waiting = asyncio.create_task(second.own())
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gateway one'")
    await asyncio.wait_for(waiting, SOON_S)
    with pytest.raises(Fenced):
        await first.renew(ZERO_ID)


async def test_a_frozen_owner_is_replaced_when_its_lease_has_run_out_and_is_fenced(
    make: Make, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    first, second = make("one"), make("two")
    await first.own()
    await admin.execute("UPDATE shards SET expires_at = now() - interval '1 second'")
    await asyncio.wait_for(second.own(), SOON_S)
    with pytest.raises(Fenced):
        await first.renew(ZERO_ID)
    assert await admin.fetchval("SELECT DISTINCT owner FROM shards") == "two"


@pytest.mark.parametrize("left", ["one", "two", "three", None])
async def test_a_take_over_ends_what_any_earlier_owner_has_under_way(
    make: Make, database: str, admin: asyncpg.Connection[asyncpg.Record], left: str | None
) -> None:
    """Found by the simulation: the epoch was raised, the answer lost (or its owner died), and on the second try the
    owner before was not the one whose statement was under way. It was committed, and nobody delivered it.
    """
    first, second = make("one"), make("two")
    await first.own()
    other = await asyncpg.connect(database, server_settings={"application_name": "gateway one log"})
    sleeping = asyncio.create_task(other.execute("SELECT pg_sleep(60)"))
    await first.release()
    await admin.execute("UPDATE shards SET owner = $1", left)
    await asyncio.wait_for(second.own(), SOON_S)
    with pytest.raises(asyncpg.PostgresError):
        await sleeping
    other.terminate()


async def test_the_watermark_is_kept_for_the_next_owner_and_never_goes_back(make: Make) -> None:
    first, second = make("one"), make("two")
    await first.own()
    ids = IdSource()
    low, high = ids.next(), ids.next()
    await first.renew(high)
    await first.renew(low)
    await first.release()
    assert await second.own() == high


async def test_an_owner_that_lost_only_its_connection_takes_its_lock_back(
    make: Make, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    first, second = make("one"), make("two")
    await first.own()
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gateway one'")
    with suppress(Unavailable):  # the first call finds the connection dead
        await first.renew(ZERO_ID)
    await first.renew(ZERO_ID)
    waiting = asyncio.create_task(second.own())
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert not done, "the lock is held again"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
