"""What every log must do: the one on PostgreSQL, the same on the simulated one, and the one in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.errors import Fenced
from gateway.ids import ZERO_ID, IdSource
from gateway.log import BEGINNING, EARLIER_MOST, AttemptRecord, DeliveryRow, Due, Duplicate, EventLog, NewEvent, Page
from gateway.model import DeliveryState, Event, shard_of
from gateway.store.log import PostgresLog
from gateway.store.ownership import Ownership
from gateway.store.partitions import make_partitions
from gateway.store.session import Connect, Session
from tests.memory_log import MemoryLog
from tests.simulation.live import LivePostgres

HOOK, OTHER = "00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-00000000000b"
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
IDS = IdSource()


@dataclass(slots=True)
class Subject:
    """A log, and how another process takes it over."""

    log: EventLog
    fence: Callable[[], Awaitable[None]]


@pytest.fixture(params=["memory", "simulated", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str:
    """A database for the log that needs one, and a word for each that does not."""
    return str(request.getfixturevalue("database") if request.param == "postgres" else request.param)


@pytest.fixture
async def subject(dsn: str) -> AsyncIterator[Subject]:
    if dsn == "memory":
        memory = MemoryLog()

        async def fence_memory() -> None:
            memory.is_fenced = True

        yield Subject(memory, fence_memory)
        return
    connect: Connect = asyncpg.connect
    if dsn == "simulated":
        connect = LivePostgres().connect
    else:
        tables = Session(dsn, name="test", timeout_s=5)
        await make_partitions(tables, NOW.date())
        await tables.close()
    ownership, successor = (Ownership(dsn, owner=owner, connect=connect) for owner in ("one", "two"))
    await ownership.own()
    log = PostgresLog(dsn, fence=ownership.fence, write_timeout_s=5, connect=connect)

    async def fence_postgres() -> None:
        await ownership.release()
        await successor.own()

    yield Subject(log, fence_postgres)
    await log.close()
    await ownership.release()
    await successor.release()


@pytest.fixture
def log(subject: Subject) -> EventLog:
    return subject.log


def event(call_key: str | None = None, *webhook_ids: str, payload: bytes = b'{"a":1}') -> Event:
    return Event(IDS.next(), 1, "call.created", call_key, "0042", payload, webhook_ids or (HOOK,), NOW)


def new(event: Event, key: str | None = None, digest: bytes | None = None) -> NewEvent:
    return NewEvent(event, shard_of(event), key, digest)


def attempt(event: Event, *, ok: bool = True, webhook_id: str = HOOK, **changes: Any) -> AttemptRecord:
    made = AttemptRecord(
        id=IDS.next(), event_id=event.id, webhook_id=webhook_id, tenant_id=1, event_type=event.type, number=1,
        test=False, ok=ok, status=200 if ok else 500, error=None if ok else "http_status", detail=None,
        duration_us=1, method="POST", url="https://crm.example.com/", request_headers=b"a: b\r\n", body_key=None,
        response_headers=b"", response_body=b"\xff\x00", truncated=False,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def row(event: Event, **changes: Any) -> DeliveryRow:
    made = DeliveryRow(
        webhook_id=HOOK, event_id=event.id, shard=shard_of(event), call_key=event.call_key,
        state=DeliveryState.QUEUED, attempts=0, tries=0, next_at=NOW, wait_until=NOW + timedelta(hours=1),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


async def appended(log: EventLog, *events: Event) -> None:
    assert await log.append([new(each) for each in events]) == [None] * len(events)


async def load(
    log: EventLog, now: datetime = NOW, state: DeliveryState = DeliveryState.QUEUED, *, rows: int = 10
) -> list[Due]:
    """The first page of what is due."""
    (page,), _ = await log.load_due([Page(HOOK, state, BEGINNING, rows)], [], now)
    return page


async def due(log: EventLog, now: datetime = NOW, state: DeliveryState = DeliveryState.QUEUED) -> list[str]:
    return [each.row.event_id for each in await load(log, now, state)]


# --- append ----------------------------------------------------------------------------------------------------


async def test_an_appended_event_is_read_back_as_it_was(log: EventLog) -> None:
    events = [event("1", HOOK, OTHER, payload=b'{"\xc3\xa9": 1.000e2 }'), event(None), event("1")]
    await appended(log, *events)
    unsettled = await log.read_unsettled(ZERO_ID, 10)
    assert [each.event for each in unsettled] == events
    assert [each.webhook_ids for each in unsettled] == [each.webhook_ids for each in events]


async def test_appending_the_same_ids_again_adds_nothing_and_is_no_duplicate(log: EventLog) -> None:
    plain, keyed = event("1"), event("2")
    for _ in range(2):
        assert await log.append([new(plain), new(keyed, "k", b"d")]) == [None, None]
    assert await log.append([new(plain)]) == [None]
    assert len(await log.read_unsettled(ZERO_ID, 10)) == 2


async def test_a_key_that_was_used_is_told_with_its_event_and_whether_the_bytes_are_the_same(log: EventLog) -> None:
    first, again, other, beside = event(), event(), event(), event()
    await log.append([new(first, "k", b"d")])
    answers = await log.append([new(again, "k", b"d"), new(other, "k", b"e"), new(beside)])
    assert answers == [Duplicate(first.id, True), Duplicate(first.id, False), None]
    assert {each.event.id for each in await log.read_unsettled(ZERO_ID, 10)} == {first.id, beside.id}


async def test_a_key_used_twice_within_a_batch_is_the_first_ones(log: EventLog) -> None:
    first, second, third = event(), event(), event()
    answers = await log.append([new(first, "k", b"d"), new(second, "k", b"d"), new(third, "k", b"e")])
    assert answers == [None, Duplicate(first.id, True), Duplicate(first.id, False)]


async def test_a_key_is_its_tenants_own(log: EventLog) -> None:
    first = event()
    second = msgspec.structs.replace(event(), tenant_id=2)
    assert await log.append([new(first, "k", b"d"), new(second, "k", b"d")]) == [None, None]


async def test_existing_tells_which_events_are_committed(log: EventLog) -> None:
    there, not_there = event(), event()
    await appended(log, there)
    assert await log.existing([there.id, not_there.id]) == {there.id}
    assert await log.existing([]) == set()
    await appended(log, not_there)


# --- what recovery reads ---------------------------------------------------------------------------------------


async def test_a_success_settles_one_webhook_and_a_failure_a_test_and_another_webhooks_none(log: EventLog) -> None:
    done, failed, tested, half = (event(None, HOOK, OTHER) for _ in range(4))
    await appended(log, done, failed, tested, half)
    await log.record(
        [
            attempt(done),
            attempt(done, webhook_id=OTHER),
            attempt(failed, ok=False),
            attempt(tested, test=True),
            attempt(half),
        ]
    )
    left = {each.event.id: each.webhook_ids for each in await log.read_unsettled(ZERO_ID, 10)}
    both = (HOOK, OTHER)
    assert {id: ids for id, ids in left.items() if ids} == {failed.id: both, tested.id: both, half.id: (OTHER,)}


@pytest.mark.parametrize("state", [DeliveryState.QUEUED, DeliveryState.RETRYING, DeliveryState.FAILED])
async def test_an_event_with_a_row_is_not_read_by_recovery(log: EventLog, state: DeliveryState) -> None:
    stored = event()
    await appended(log, stored)
    await log.record([], changed=[row(stored, state=state)])
    assert [each.webhook_ids for each in await log.read_unsettled(ZERO_ID, 10)] in ([], [()])


async def test_unsettled_events_come_in_pages_above_an_id_and_the_end_is_reached(log: EventLog) -> None:
    events = [event() for _ in range(5)]
    await appended(log, *events)
    seen: list[str] = []
    after = events[0].id
    while page := await log.read_unsettled(after, 2):
        seen += [each.event.id for each in page]
        after = page[-1].event.id
    assert seen == [each.id for each in events[1:]]


# --- deliveries ------------------------------------------------------------------------------------------------


async def test_due_rows_come_in_pages_in_the_order_in_which_they_came_due(log: EventLog) -> None:
    events = [event() for _ in range(5)]
    await appended(log, *events)
    rows = [row(each, next_at=NOW - timedelta(seconds=place)) for place, each in enumerate(events)]
    await log.record([], changed=rows)
    first = await load(log, rows=2)
    assert [each.row for each in first] == [rows[4], rows[3]]
    after = Page(HOOK, DeliveryState.QUEUED, (rows[3].next_at, rows[3].event_id), 2)
    (second,), _ = await log.load_due([after], [], NOW)
    assert [each.row for each in second] == [rows[2], rows[1]]


async def test_each_page_is_of_one_webhook_and_one_state(log: EventLog) -> None:
    fresh, again, foreign = event(), event(), event()
    await appended(log, fresh, again, foreign)
    retrying = row(again, state=DeliveryState.RETRYING)
    await log.record([], changed=[row(fresh), retrying, row(foreign, webhook_id=OTHER)])
    pages = [
        Page(HOOK, DeliveryState.RETRYING, BEGINNING, 9),
        Page(OTHER, DeliveryState.QUEUED, BEGINNING, 9),
        Page(HOOK, DeliveryState.QUEUED, BEGINNING, 9),
    ]
    found, _ = await log.load_due(pages, [], NOW)
    assert [[each.row.event_id for each in page] for page in found] == [[again.id], [foreign.id], [fresh.id]]


async def test_events_are_read_by_their_ids_and_what_is_gone_is_left_out(log: EventLog) -> None:
    events = [event("1", payload=b'{"a": 1.0}'), event()]
    await appended(log, *events)
    assert await log.read_events([events[0].id, IDS.next()]) == {events[0].id: events[0]}


async def test_one_that_is_fenced_is_not_told_of_what_another_delivers(subject: Subject) -> None:
    """Found by the simulation: cut off, and its lock lost, it read what its successor had accepted, and sent it too."""
    stored, unsettled = event(), event()
    await appended(subject.log, stored, unsettled)
    await subject.log.record([], changed=[row(stored)])
    await subject.fence()
    with pytest.raises(Fenced):
        await due(subject.log)
    with pytest.raises(Fenced):
        await subject.log.read_unsettled(ZERO_ID, 10)


async def test_what_is_not_due_failed_or_anothers_is_not_loaded(log: EventLog) -> None:
    later, failed, foreign = event(), event(), event()
    await appended(log, later, failed, foreign)
    rows = [
        row(later, next_at=NOW + timedelta(seconds=5)),
        row(failed, state=DeliveryState.FAILED),
        row(foreign, webhook_id=OTHER),
    ]
    await log.record([], changed=rows)
    assert await due(log) == []
    assert await due(log, now=NOW + timedelta(seconds=5)) == [later.id]


async def test_each_is_told_with_the_first_unsettled_ones_before_it_of_its_call(log: EventLog) -> None:
    events = [event("1") for _ in range(EARLIER_MOST + 2)]
    other = event("2")
    await appended(log, *events, other)
    await log.record([], changed=[row(each) for each in (*events, other)])
    ids = [each.id for each in events]
    told = {each.row.event_id: list(each.earlier) for each in await load(log)}
    assert told == {id: ids[:place][:EARLIER_MOST] for place, id in enumerate(ids)} | {other.id: []}


async def test_one_that_has_failed_for_good_is_before_nothing_and_one_that_is_retried_is(log: EventLog) -> None:
    created, ended = event("1"), event("1")
    await appended(log, created, ended)
    await log.record([], changed=[row(created, next_at=NOW + HOUR, state=DeliveryState.RETRYING), row(ended)])
    assert [each.earlier for each in await load(log)] == [(created.id,)]
    await log.record([], changed=[row(created, state=DeliveryState.FAILED)])
    assert [each.earlier for each in await load(log)] == [()]


async def test_of_a_call_the_first_rows_are_told_that_are_due_whatever_their_state(log: EventLog) -> None:
    created, ended, saved, other = event("1"), event("1"), event("1"), event("2")
    await appended(log, created, ended, saved, other)
    retrying = row(created, state=DeliveryState.RETRYING)
    await log.record([], changed=[retrying, row(ended), row(saved, next_at=NOW + HOUR), row(other)])
    _, found = await log.load_due([], [(HOOK, "1"), (OTHER, "1"), (HOOK, "9")], NOW)
    assert [(each.row.event_id, each.earlier) for each in found] == [(created.id, ()), (ended.id, (created.id,))]


async def test_a_row_is_changed_in_place_and_keeps_when_its_wait_ends(log: EventLog) -> None:
    stored = event("1")
    await appended(log, stored)
    await log.record([], changed=[row(stored)])
    changed = row(stored, attempts=2, tries=1, state=DeliveryState.RETRYING, wait_until=NOW + timedelta(days=9))
    await log.record([attempt(stored, ok=False)], changed=[changed])
    (found,) = await load(log, state=DeliveryState.RETRYING)
    assert found.row == msgspec.structs.replace(changed, wait_until=row(stored).wait_until)


async def test_removing_a_row_settles_it_and_may_be_repeated(log: EventLog) -> None:
    stored, other = event(), event()
    await appended(log, stored, other)
    await log.record([], changed=[row(stored), row(other)])
    success = attempt(stored)
    for _ in range(2):
        await log.record([success], removed=[(HOOK, stored.id)])
    assert await due(log) == [other.id]
    assert await log.remaining(HOOK, 10) == [(other.id, None)]


async def test_remaining_and_backlog_tell_what_is_stored_and_not_failed(log: EventLog) -> None:
    events = [event("1"), event(None), event("2")]
    await appended(log, *events)
    assert await log.with_backlog([HOOK, OTHER]) == set()
    failed = row(events[2], state=DeliveryState.FAILED)
    await log.record([], changed=[row(events[0]), row(events[1]), failed])
    assert set(await log.remaining(HOOK, 10)) == {(events[0].id, "1"), (events[1].id, None)}
    assert len(await log.remaining(HOOK, 1)) == 1
    assert await log.with_backlog([HOOK, OTHER]) == {HOOK}


# --- the fence -------------------------------------------------------------------------------------------------


async def test_who_was_replaced_can_append_and_change_nothing(subject: Subject) -> None:
    log, before, after = subject.log, event(), event()
    await appended(log, before)
    await subject.fence()
    with pytest.raises(Fenced):
        await log.append([new(after)])
    with pytest.raises(Fenced):
        await log.append([new(after, "k", b"d")])
    with pytest.raises(Fenced):
        await log.record([], changed=[row(before)])
    with pytest.raises(Fenced):
        await log.record([], removed=[(HOOK, before.id)])
    assert await log.existing([before.id, after.id]) == {before.id}
    assert await log.with_backlog([HOOK]) == set()
