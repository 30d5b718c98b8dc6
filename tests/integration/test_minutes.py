"""What was counted reaches the store once, in every span, and goes when it is old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from gateway.clock import Clock
from gateway.errors import Unavailable
from gateway.ids import ZERO_ID, IdSource
from gateway.minutes import Minutes
from gateway.model import Webhook, WebhookState
from gateway.store.minutes import MinuteStore, Sums
from gateway.store.reading import Database
from gateway.telemetry.rollup import Rollup, Tally

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOOK = Webhook(
    id=IdSource().next(), tenant_id=1, name="crm", events=frozenset(), method="POST", url="https://crm.example.com/",
    access=None, state=WebhookState.ACTIVE, reason=None, signing_secrets=(),
)  # fmt: skip


@dataclass(slots=True)
class Kept:
    rollup: Rollup
    store: MinuteStore
    minutes: Minutes

    def happens(self, ok: int, failed: int = 0) -> None:
        for number in range(ok + failed):
            self.rollup.started(HOOK, 0.004)
            self.rollup.attempted(HOOK, number < ok, 1_500)

    async def hours(self) -> dict[datetime, int]:
        tallies = await self.store.history(3_600, NOON - timedelta(days=365), [HOOK.id])
        return {datetime.fromtimestamp(tally.at_s, UTC): tally.ok for tally in tallies}


@pytest.fixture
async def kept(database: str) -> AsyncIterator[Kept]:
    async with asyncpg.create_pool(database, min_size=1, max_size=2) as pool:
        rollup, store = Rollup(), MinuteStore(Database(pool))
        yield Kept(rollup, store, Minutes(rollup, store, clock=Clock(), retention=timedelta(days=30)))


def at_s(at: datetime) -> int:
    return int(at.timestamp())


async def test_minutes_add_up_to_the_quarters_and_hours_that_they_belong_to(kept: Kept) -> None:
    for minute in (0, 14, 15, 59, 60):
        kept.happens(ok=2, failed=1)
        await kept.minutes.store(at_s(NOON + timedelta(minutes=minute)))
    assert await kept.hours() == {NOON: 8, NOON + timedelta(hours=1): 2}
    quarters = await kept.store.totals(900, NOON, [1])
    assert [(tally.webhook_id, tally.ok, tally.failed, sum(tally.lag)) for tally in quarters][:2] == [
        (ZERO_ID, 4, 2, 6), (ZERO_ID, 2, 1, 3),
    ]  # fmt: skip
    assert await kept.store.sums(60, NOON, [HOOK.id]) == {HOOK.id: Sums(10, 5)}


async def test_what_could_not_be_stored_waits_and_is_shown_meanwhile(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(self: MinuteStore, tallies: list[Tally]) -> None:
        raise Unavailable("the database does not answer")

    kept.happens(ok=3)
    with monkeypatch.context() as patched:
        patched.setattr(MinuteStore, "add", away)
        await kept.minutes.store(at_s(NOON))
        assert sum(tally.ok for tally in kept.minutes.unstored() if tally.webhook_id == HOOK.id) == 3
    kept.happens(ok=1)
    await kept.minutes.store(at_s(NOON + timedelta(minutes=1)))
    assert await kept.hours() == {NOON: 4}
    assert kept.minutes.unstored() == []


async def test_fine_spans_go_first_and_the_hours_with_the_log(kept: Kept) -> None:
    kept.happens(ok=1)
    await kept.minutes.store(at_s(NOON))
    await kept.store.trim(NOON + timedelta(days=20), timedelta(days=30))
    assert await kept.store.sums(60, NOON, [HOOK.id]) == {} == await kept.store.sums(900, NOON, [HOOK.id])
    assert await kept.hours() == {NOON: 1}
    await kept.store.trim(NOON + timedelta(days=31), timedelta(days=30))
    assert await kept.hours() == {}


async def test_a_minute_in_which_nothing_happened_writes_nothing(kept: Kept) -> None:
    await kept.minutes.store(at_s(NOON))
    assert await kept.store.totals(60, NOON, [1]) == []
