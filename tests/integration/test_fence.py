"""What a process that does not own the shards any more still writes through its pool: nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.egress.policy import EgressPolicy
from gateway.errors import Unavailable
from gateway.ids import IdSource
from gateway.ingress.tokens import TokenBook
from gateway.registry.registry import Registry
from gateway.store.config import ConfigStore
from gateway.store.ownership import Ownership
from gateway.store.pool import open_pool
from gateway.store.reading import Database, Pool
from gateway.store.secrets import SecretBox


class Pair:
    """`first` owns the shards, and has a pool; `replace` makes the second the owner, as after a freeze."""

    def __init__(self, dsn: str) -> None:
        self.first = Ownership(dsn, owner="one")
        self._second = Ownership(dsn, owner="two")
        self._dsn = dsn

    async def replace(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        await connection.execute("UPDATE shards SET expires_at = now() - interval '1 second'")
        await connection.close()
        await self._second.own()

    async def close(self) -> None:
        for each in (self.first, self._second):
            await each.release()


@pytest.fixture
async def pair(database: str) -> AsyncIterator[Pair]:
    pair = Pair(database)
    await pair.first.own()
    yield pair
    await pair.close()


@pytest.fixture
async def pool(database: str, pair: Pair) -> AsyncIterator[Pool]:
    async with open_pool(database, owner=pair.first.fence.owner) as pool:
        yield pool


async def tenants(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    names = [row["name"] for row in await connection.fetch("SELECT name FROM tenants ORDER BY id")]
    await connection.close()
    return names


async def test_a_change_that_begins_after_the_take_over_is_refused(pair: Pair, pool: Pool, database: str) -> None:
    store = Database(pool, fence=pair.first.fence)

    async def add(name: str) -> None:
        async with store.writing() as connection:
            await connection.execute("INSERT INTO tenants (name) VALUES ($1)", name)

    await add("before")
    await pair.replace()
    with pytest.raises(Unavailable):  # its connection was ended
        await add("after")
    with pytest.raises(Unavailable, match="another process has taken over"):
        await add("after")
    assert await tenants(database) == ["default", "before"]


async def test_a_change_that_passed_the_fence_before_the_take_over_is_undone_by_it(
    pair: Pair, pool: Pool, database: str
) -> None:
    async def change() -> None:
        async with Database(pool, fence=pair.first.fence).writing() as connection:
            await connection.execute("INSERT INTO tenants (name) VALUES ('late')")
            await pair.replace()

    with pytest.raises(Unavailable):
        await change()
    assert await tenants(database) == ["default"]


async def test_a_replaced_owner_changes_neither_the_configuration_nor_its_own_view_of_it(
    pair: Pair, pool: Pool, database: str
) -> None:
    store = ConfigStore(pool, SecretBox([bytes(32)]), fence=pair.first.fence)
    registry = Registry(store, policy=EgressPolicy(), tokens=TokenBook(), ids=IdSource())
    await registry.load()
    await registry.add_tenant("before", by="test")
    await pair.replace()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await registry.add_tenant("after", by="test")
    assert [tenant.name for tenant in registry.tenants()] == await tenants(database) == ["default", "before"]
