"""A new secret key: everything that was stored under an older one opens with the new one alone, or nothing changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from gateway.errors import SettingsError
from gateway.store.pool import open_pool
from gateway.store.reading import Database, Pool
from gateway.store.reseal import reseal
from gateway.store.secrets import SecretBox

OLDEST, OLD, NEW = (bytes([number]) * 32 for number in (1, 2, 3))


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with open_pool(database, owner="test") as pool:
        yield pool


async def put_access(pool: Pool, key: bytes, secret: bytes = b"s3cr3t") -> UUID:
    id = uuid4()
    await pool.execute(
        "INSERT INTO accesses (id, tenant_id, name, type, key_name, location, secret)"
        " VALUES ($1, 1, gen_random_uuid()::text, 'basic', 'k', 'header', $2)",
        id, SecretBox([key]).seal(secret, row=f"access:{id}"),
    )  # fmt: skip
    return id


async def put_webhook(pool: Pool, key: bytes, *, old_key: bytes, old_until: datetime) -> UUID:
    id = uuid4()
    sealed = [SecretBox([each]).seal(b"whsec", row=f"webhook:{id}") for each in (key, old_key)]
    await pool.execute(
        "INSERT INTO webhooks (id, tenant_id, name, events, method, url, state, timeout_s, max_in_flight, secret,"
        " old_secret, old_secret_until) VALUES ($1, 1, 'w', '{}', 'POST', 'https://e.com', 'active', 1, 1, $2, $3, $4)",
        id, *sealed, old_until,
    )  # fmt: skip
    return id


async def test_after_a_start_with_the_new_key_before_the_old_ones_the_new_one_alone_opens_everything(
    pool: Pool,
) -> None:
    now = datetime.now(UTC)
    accesses = [await put_access(pool, key) for key in (OLDEST, OLD, NEW)]
    webhook = await put_webhook(pool, OLD, old_key=OLDEST, old_until=now + timedelta(hours=1))
    await reseal(Database(pool), SecretBox([NEW, OLD, OLDEST]))
    new = SecretBox([NEW])
    for row in await pool.fetch("SELECT id, secret FROM accesses"):
        assert new.open(row["secret"], row=f"access:{row['id']}") == b"s3cr3t" and row["id"] in accesses
    secrets = await pool.fetchrow("SELECT secret, old_secret FROM webhooks")
    assert secrets is not None
    assert [new.open(each, row=f"webhook:{webhook}") for each in secrets.values()] == [b"whsec", b"whsec"]


async def test_a_key_that_is_missing_is_named_and_nothing_is_changed(pool: Pool) -> None:
    await put_access(pool, OLD)
    await put_access(pool, OLDEST)
    before = await pool.fetch("SELECT id, secret FROM accesses ORDER BY id")
    with pytest.raises(SettingsError, match="GATEWAY_SECRET_KEY"):
        await reseal(Database(pool), SecretBox([NEW, OLD]))
    assert await pool.fetch("SELECT id, secret FROM accesses ORDER BY id") == before


async def test_a_signing_secret_whose_overlap_is_over_needs_no_key_any_more(pool: Pool) -> None:
    await put_webhook(pool, OLD, old_key=OLDEST, old_until=datetime.now(UTC) - timedelta(seconds=1))
    await reseal(Database(pool), SecretBox([NEW, OLD]))
    assert await pool.fetchval("SELECT old_secret FROM webhooks") is None


async def test_what_is_under_the_newest_key_is_left_alone(pool: Pool) -> None:
    await put_access(pool, NEW)
    before = await pool.fetch("SELECT secret, xmin FROM accesses")
    await reseal(Database(pool), SecretBox([NEW, OLD]))
    assert await pool.fetch("SELECT secret, xmin FROM accesses") == before
