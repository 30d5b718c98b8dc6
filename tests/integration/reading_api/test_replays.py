"""Replays: one event, a span, its progress, its end before the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from gateway.model import DeliveryState, Event, Role, Webhook, WebhookState
from gateway.replay import Replayer
from gateway.store.replays import Part

from .conftest import Answer, Api

TODAY = datetime.now(UTC).date()
SPAN = {"from": str(TODAY - timedelta(days=1)), "to": str(TODAY + timedelta(days=1))}


@pytest.fixture(autouse=True)
async def settled(api: Api) -> None:
    """The engine has seen everything through: what has no row is not on its way."""
    await api.pool.execute("UPDATE shards SET watermark = 'ffffffff-ffff-ffff-ffff-ffffffffffff'")


async def started(api: Api, body: object) -> str:
    answer = await api.call("POST", "/replays", body)
    assert answer.status == 202, answer.text
    assert answer.headers["Location"] == f"/api/v1/replays/{answer.json['id']}"
    return str(answer.json["id"])


class Nudges:
    """What the loop told the lanes, and a way to wait for it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._changed = asyncio.Event()

    def __call__(self, webhook_ids: Sequence[str]) -> None:
        self.seen.extend(webhook_ids)
        self._changed.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.seen) < count:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def replaying(api: Api, *, walk_rows: int = 500, open_limit: int = 2_000) -> AsyncIterator[Nudges]:
    nudges = Nudges()
    replayer = Replayer(api.replays, nudge=nudges, walk_rows=walk_rows, open_limit=open_limit, pause_s=0.01)
    task = asyncio.create_task(replayer.run())
    try:
        yield nudges
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def settle(api: Api, webhook: Webhook) -> int:
    """Do the lane's work: every row of the webhook has succeeded and goes."""
    rows = await api.pool.fetch("DELETE FROM deliveries WHERE webhook_id = $1 RETURNING 1", webhook.id)
    return len(rows)


async def shown(api: Api, replay_id: str) -> tuple[str, int, int]:
    replay = await api.get(f"/replays/{replay_id}")
    return replay["state"], replay["total"], replay["done"]


async def test_an_event_is_replayed_to_every_webhook_that_it_matched(api: Api) -> None:
    one, two = await api.webhook(), await api.webhook(order_wait_s=None)
    event = await api.event(one, two)
    await api.attempt(event, one, number=3)
    replay_id = await started(api, {"event_id": event.id})
    first, second = await api.rows()
    assert (str(first["webhook_id"]), first["state"], first["attempts"], first["tries"]) == (one.id, "queued", 3, 0)
    assert (first["call_key"], second["call_key"]) == ("11142", None)
    assert first["next_at"] <= datetime.now(UTC) + timedelta(minutes=1)
    assert first["wait_until"] > first["next_at"]
    assert api.nudged == [one.id, two.id]
    assert await shown(api, replay_id) == ("running", 2, 0)
    await settle(api, one)
    assert await shown(api, replay_id) == ("running", 2, 1)
    await settle(api, two)
    assert await shown(api, replay_id) == ("done", 2, 2)


async def test_an_event_is_replayed_to_the_webhook_named_even_if_it_never_matched(api: Api) -> None:
    later = await api.webhook()
    event = await api.event(await api.webhook())
    await started(api, {"event_id": event.id, "webhook_id": later.id})
    assert [str(row["webhook_id"]) for row in await api.rows()] == [later.id]


async def test_a_replay_makes_a_retry_due_without_losing_its_place_and_revives_a_failed_one(api: Api) -> None:
    hook = await api.webhook()
    retrying, failed = await api.event(hook), await api.event(hook)
    await api.row(retrying, hook, DeliveryState.RETRYING, tries=4)
    await api.row(failed, hook, DeliveryState.FAILED, tries=9)
    for event in (retrying, failed):
        await started(api, {"event_id": event.id})
    first, second = await api.rows()
    assert (first["state"], first["tries"]) == ("retrying", 4)
    assert (second["state"], second["tries"]) == ("queued", 0)
    assert max(first["next_at"], second["next_at"]) <= datetime.now(UTC) + timedelta(minutes=1)


async def test_a_span_of_failed_deliveries_is_replayed_and_nothing_else(api: Api) -> None:
    hook, other = await api.webhook(), await api.webhook()
    events = [await api.event(hook, other) for _ in range(4)]
    for event in events[:2]:
        await api.row(event, hook, DeliveryState.FAILED)
    await api.row(events[2], hook, DeliveryState.RETRYING)
    await api.row(events[3], other, DeliveryState.FAILED)
    replay_id = await started(api, {"webhook_id": hook.id, **SPAN, "only": "failed"})
    assert await shown(api, replay_id) == ("running", 2, 0)
    assert api.woken == 1
    async with replaying(api) as nudges:
        await nudges.reach(1)
    states = {str(row["event_id"]): row["state"] for row in await api.rows() if str(row["webhook_id"]) == hook.id}
    assert states == {events[0].id: "queued", events[1].id: "queued", events[2].id: "retrying"}


async def test_a_span_of_all_events_has_those_that_the_webhook_would_match_now(api: Api) -> None:
    early = await api.webhook(events=frozenset({"call.created"}))
    matched, unmatched = await api.event(early), await api.event(early, type="call.ended")
    late = await api.webhook(events=frozenset({"call.ended"}))
    for hook, expected in ((early, [matched.id, unmatched.id]), (late, [unmatched.id])):
        await started(api, {"webhook_id": hook.id, **SPAN, "only": "all"})
        async with replaying(api) as nudges:
            await nudges.reach(1)
        rows = [str(row["event_id"]) for row in await api.rows() if str(row["webhook_id"]) == hook.id]
        assert rows == expected


async def test_a_span_ends_before_its_end(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    yesterday = str(TODAY - timedelta(days=1))
    replay_id = await started(api, {"webhook_id": hook.id, "from": yesterday, "to": yesterday, "only": "all"})
    assert (await api.get(f"/replays/{replay_id}"))["total"] == 0
    assert event.id not in [str(row["event_id"]) for row in await api.rows()]


async def test_a_long_span_goes_chunk_by_chunk_and_never_has_too_much_under_way(api: Api) -> None:
    hook = await api.webhook()
    for _ in range(7):
        await api.event(hook)
    replay_id = await started(api, {"webhook_id": hook.id, **SPAN, "only": "all"})
    async with replaying(api, walk_rows=2, open_limit=4) as nudges:
        await nudges.reach(2)
        assert await shown(api, replay_id) == ("running", 7, 0)
        assert len(await api.rows()) == 4
        assert await settle(api, hook) == 4
        await nudges.reach(4)
        assert len(await api.rows()) == 3
        await settle(api, hook)
    assert await shown(api, replay_id) == ("done", 7, 7)


async def test_a_replay_goes_on_after_a_restart_where_it_was(api: Api) -> None:
    hook = await api.webhook()
    events = [await api.event(hook) for _ in range(6)]
    await started(api, {"webhook_id": hook.id, **SPAN, "only": "all"})
    async with replaying(api, walk_rows=2, open_limit=2) as nudges:
        await nudges.reach(1)
    await settle(api, hook)
    async with replaying(api, walk_rows=2) as nudges:
        await nudges.reach(2)
    assert [str(row["event_id"]) for row in await api.rows()] == [event.id for event in events[2:]]


async def test_a_new_replay_wakes_the_loop(api: Api) -> None:
    hook = await api.webhook()
    await api.event(hook)
    nudges = Nudges()
    replayer = Replayer(api.replays, nudge=nudges)
    task = asyncio.create_task(replayer.run())
    await asyncio.sleep(0)
    await started(api, {"webhook_id": hook.id, **SPAN, "only": "all"})
    replayer.wake()
    await nudges.reach(1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_cancelling_withdraws_what_has_not_begun_and_leaves_each_as_it_was(api: Api) -> None:
    hook = await api.webhook(state=WebhookState.PAUSED)
    delivered, failed, owed = await api.event(hook), await api.event(hook), await api.event(hook)
    unmatched = await api.event()
    await api.attempt(delivered, hook)
    await api.attempt(failed, hook, status=500)
    await api.row(failed, hook, DeliveryState.FAILED)
    await api.row(owed, hook, DeliveryState.QUEUED, attempts=0, tries=0)
    replay_id = await started(api, {"webhook_id": hook.id, **SPAN, "only": "all"})
    async with replaying(api) as nudges:
        await nudges.reach(1)
    assert len(await api.rows()) == 4
    assert (await api.call("DELETE", f"/replays/{replay_id}")).status == 204
    assert {str(row["event_id"]): row["state"] for row in await api.rows()} == {failed.id: "failed", owed.id: "queued"}
    shown = await api.get(f"/replays/{replay_id}")
    assert (shown["state"], shown["done"], shown["skipped"]) == ("cancelled", 1, 1)
    assert unmatched.id != delivered.id
    assert api.nudged[-1] == hook.id


async def test_a_cancelled_replay_puts_nothing_more_and_a_finished_one_cannot_be_cancelled(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    cancelled = await started(api, {"webhook_id": hook.id, **SPAN, "only": "all"})
    await api.call("DELETE", f"/replays/{cancelled}")
    assert await api.replays.advance(Part(cancelled, hook.id), walk=10, open_limit=10) is None
    finished = await started(api, {"event_id": event.id})
    await settle(api, hook)
    assert (await api.call("DELETE", f"/replays/{finished}")).status == 409


async def refused(api: Api, body: object) -> tuple[int, list[str]]:
    answer: Answer = await api.call("POST", "/replays", body)
    return answer.status, [error["pointer"] for error in answer.json["errors"]]


async def test_a_replay_of_what_does_not_exist_says_what(api: Api) -> None:
    hook = await api.webhook()
    gone = await api.webhook()
    orphan = await api.event(gone)
    await api.registry.remove_webhook(gone.id, by="test")
    nobody = api.ids.next()
    assert await refused(api, {"event_id": nobody}) == (422, ["/event_id"])
    assert await refused(api, {"event_id": orphan.id}) == (422, ["/event_id"])
    assert await refused(api, {"event_id": orphan.id, "webhook_id": nobody}) == (422, ["/webhook_id"])
    assert await refused(api, {"webhook_id": nobody, **SPAN}) == (422, ["/webhook_id"])
    backwards = {"webhook_id": hook.id, "from": "2026-02-01", "to": "2026-01-01"}
    assert await refused(api, backwards) == (422, ["/from"])
    assert await refused(api, {"webhook_id": hook.id, "from": "monday", "to": "2026-01-01"}) == (422, ["/from"])
    assert await refused(api, {"webhook_id": hook.id, **SPAN, "only": "some"}) == (422, ["/only"])
    assert (await refused(api, {}))[0] == 422
    assert await api.items("/replays") == []


@pytest.mark.parametrize("role", [Role.VIEWER, Role.INGEST])
async def test_replaying_takes_an_operator(api: Api, role: Role) -> None:
    token = await api.token_for(role)
    assert (await api.call("POST", "/replays", {"event_id": api.ids.next()}, token=token)).status == 403


async def test_a_bound_operator_replays_nothing_of_another_tenant(api: Api) -> None:
    other = await api.registry.add_tenant("acme", by="test")
    hook = await api.webhook()
    event: Event = await api.event(hook)
    replay_id = await started(api, {"event_id": event.id})
    bound = await api.token_for(Role.OPERATOR, other.id)
    for body in (
        {"event_id": event.id},
        {"event_id": event.id, "webhook_id": hook.id},
        {"webhook_id": hook.id, **SPAN},
    ):
        assert (await api.call("POST", "/replays", body, token=bound)).status == 422
    assert (await api.call("GET", f"/replays/{replay_id}", token=bound)).status == 404
    assert await api.items("/replays", token=bound) == []
    assert len(await api.items("/replays")) == 1
