"""No question that a page asks reads the log from end to end, whatever it filters by."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from asyncpg.connection import LoggedQuery

from bench.filled_log import DENSE_ACCOUNT, FilledLog, fill
from gateway.ids import IdSource
from gateway.store import attempt_log
from gateway.store.attempt_log import AttemptFilter, AttemptLog
from gateway.store.minutes import MinuteStore
from gateway.store.reading import Database
from gateway.store.timeline import Timeline

ATTEMPTS = 60_000
"""Enough that reading all of them costs more than an index does, on every day."""
LIMIT = re.compile(r"Limit +\(cost=[\d.]+\.\.([\d.]+)")
WHOLE = re.compile(r"Seq Scan on ((?:attempts|events|minutes)\w*) .*?\(cost=[\d.]+\.\.([\d.]+)")


class Asked:
    """A database that remembers what it was asked, to have it explained."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], log: FilledLog, queries: list[LoggedQuery]) -> None:
        self.pool = pool
        self.log = log
        self.database = Database(pool)
        self.queries = queries

    async def read_whole(self) -> list[str]:
        """Of what was asked since the last time, the plans that read a table that is not empty from end to end."""
        plans = []
        async with self.pool.acquire() as connection:
            await connection.execute("SET plan_cache_mode = force_custom_plan")
            for query in list(self.queries):
                if query.query.lstrip().startswith("SELECT") and "FROM" in query.query:
                    rows = await connection.fetch(f"EXPLAIN {query.query}", *query.args)
                    plans.append("\n".join(row[0] for row in rows))
            self.queries.clear()
        assert plans, "nothing was asked"
        return [
            plan for plan in plans if any(float(cost) > max(1, 4 * _limited(plan)) for _, cost in WHOLE.findall(plan))
        ]


def _limited(plan: str) -> float:
    """What a plan costs that a limit ends early: to read on until enough is found is not to read all."""
    limit = LIMIT.match(plan)
    return float(limit[1]) if limit else 0.0


@asynccontextmanager
async def filled(database: str, attempts: int) -> AsyncIterator[Asked]:
    ids = IdSource()
    log = await fill(database, [ids.next() for _ in range(10)], attempts)
    queries: list[LoggedQuery] = []

    async def listen(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        connection.add_query_logger(queries.append)

    async with asyncpg.create_pool(database, min_size=1, max_size=1, init=listen) as pool:
        yield Asked(pool, log, queries)


@pytest.fixture
async def asked(database: str) -> AsyncIterator[Asked]:
    async with filled(database, ATTEMPTS) as found:
        yield found


def filters(log: FilledLog) -> dict[str, AttemptFilter]:
    hook = log.webhook_ids[3]
    return {
        "nothing": AttemptFilter(),
        "a tenant": AttemptFilter(tenant_id=1),
        "an event": AttemptFilter(event_type="call.ended"),
        "a rare event": AttemptFilter(event_type="reg_f.declined"),
        "a rare event that failed": AttemptFilter(event_type="reg_f.declined", ok=False),
        "a webhook": AttemptFilter(webhook_id=hook),
        "a webhook and an event": AttemptFilter(webhook_id=hook, event_type="reg_f.declined"),
        "failures": AttemptFilter(ok=False),
        "failures of a webhook": AttemptFilter(ok=False, webhook_id=hook),
        "successes of a webhook": AttemptFilter(ok=True, webhook_id=log.webhook_ids[0]),
        "a status": AttemptFilter(statuses=(418, 418)),
        "a status of success": AttemptFilter(statuses=(204, 204)),
        "a call": AttemptFilter(call_key=log.call_id),
        "an account": AttemptFilter(account_id=log.account_id),
        "an account that calls all day": AttemptFilter(account_id=DENSE_ACCOUNT),
    }


async def test_no_filter_of_the_log_reads_all_of_it(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_log, "WALKS", (100, 1_000))  # as small beside this log as they are beside a real one
    monkeypatch.setattr(attempt_log, "FEW_EVENTS", 100)
    log = AttemptLog(asked.database)
    read_whole = {}
    for name, wanted in filters(asked.log).items():
        await log.search(wanted, 50)
        if plans := await asked.read_whole():
            read_whole[name] = plans[0]
    assert not read_whole


async def test_an_event_a_call_and_their_attempts_are_found_by_index(asked: Asked) -> None:
    timeline = Timeline(asked.database)
    (event, *_) = await timeline.call(asked.log.call_id, None)
    assert await timeline.event(event.id, None)
    assert not await asked.read_whole()


async def test_figures_come_from_the_minutes_by_their_key_and_the_newest_attempts_by_theirs(asked: Asked) -> None:
    store, since = MinuteStore(asked.database), datetime.now(UTC) - timedelta(hours=2)
    hooks = asked.log.webhook_ids[:5]
    assert await store.totals(900, since, [1])
    assert await store.history(3_600, since, hooks)
    assert await store.sums(60, since, hooks)
    assert await store.latest(hooks)
    assert not await asked.read_whole()


async def test_a_search_that_goes_on_finds_what_one_question_finds(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_log, "WALKS", (100, 700))
    monkeypatch.setattr(attempt_log, "FEW_EVENTS", 100)
    async with filled(database, 9_000) as asked:
        log = AttemptLog(asked.database)
        for name, wanted in filters(asked.log).items():
            whole = [each.id for each in await log.page(wanted, 10_000)]
            found, page = [], await log.search(wanted, 500)
            found += page.attempts
            while page.next_id is not None:
                page = await log.search(replace(wanted, before_id=page.next_id), 500)
                found += page.attempts
            assert [each.id for each in found] == whole, name
