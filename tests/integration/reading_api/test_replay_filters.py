"""Replays of what a filter finds, and what they leave alone: each with the number that is said before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.ids import id_time
from gateway.model import DeliveryState, Role, Webhook
from gateway.replay import Replayer
from gateway.store.replays import Part

from .conftest import Api
from .test_replays import SPAN, replaying, settle

ALL: dict[str, Any] = {**SPAN, "only": "all"}
SHOWN: dict[str, Any] = {**ALL, "period_of": "attempts"}


@pytest.fixture(autouse=True)
async def settled(api: Api) -> None:
    """The engine has seen everything through: what has no row is not on its way."""
    await api.pool.execute("UPDATE shards SET watermark = 'ffffffff-ffff-ffff-ffff-ffffffffffff'")


async def replayed(api: Api, body: dict[str, Any], *, walk: int = 3) -> set[tuple[str, str]]:
    """What a replay puts, as (webhook id, event id); it must be as many as it says before, and each once."""
    answer = await api.call("POST", "/replays", body)
    assert answer.status == 202, answer.text
    put = 0
    while parts := await api.replays.parts():
        for part in parts:
            step = await api.replays.advance(part, walk=walk, open_limit=1_000)
            put += step.put if step is not None else 0
    rows = await api.pool.fetch("DELETE FROM deliveries WHERE replay_id = $1 RETURNING *", answer.json["id"])
    assert put == len(rows) == answer.json["total"]
    return {(str(row["webhook_id"]), str(row["event_id"])) for row in rows}


async def test_a_filter_like_the_logs_limits_what_is_replayed(api: Api) -> None:
    one, two = await api.webhook(), await api.webhook()
    created, ended = await api.event(one, two), await api.event(one, type="call.ended")
    for event, hook, status in ((created, one, 503), (created, one, 200), (created, two, 200), (ended, one, 404)):
        await api.attempt(event, hook, status=status)
    a, b, c = (one.id, created.id), (two.id, created.id), (one.id, ended.id)
    assert await replayed(api, SHOWN) == {a, b, c}
    assert await replayed(api, {**SHOWN, "webhook_id": one.id}) == {a, c}
    assert await replayed(api, {**SHOWN, "event": "call.created"}) == {a, b}
    assert await replayed(api, {**SHOWN, "outcome": "failure"}) == {a, c}
    assert await replayed(api, {**SHOWN, "status": "5xx"}) == {a}
    assert await replayed(api, {**SHOWN, "status": "503", "event": "call.ended"}) == set()
    assert await replayed(api, {**SHOWN, "call_id": "11142"}) == {a, b, c}
    assert await replayed(api, {**SHOWN, "call_id": "7"}) == set()
    assert await replayed(api, {**SHOWN, "account_id": created.account_id or ""}) == {a, b, c}
    assert await replayed(api, {**ALL, "status": "5xx"}) == {a}


async def test_a_delivery_that_was_attempted_many_times_is_replayed_once(api: Api) -> None:
    hook = await api.webhook()
    events = [await api.event(hook) for _ in range(5)]
    for number in range(1, 5):
        for event in events:
            await api.attempt(event, hook, status=503, number=number)
    assert await replayed(api, {**SHOWN, "status": "5xx"}) == {(hook.id, event.id) for event in events}


async def test_of_what_the_log_shows_only_the_failed_are_replayed_unless_all_are_asked_for(api: Api) -> None:
    hook = await api.webhook()
    failed, recovered = await api.event(hook), await api.event(hook)
    for event in (failed, recovered):
        await api.attempt(event, hook, status=503)
    await api.attempt(recovered, hook, number=2)
    await api.row(failed, hook, DeliveryState.FAILED)
    asked = {**SHOWN, "status": "503", "only": "failed"}
    assert await replayed(api, {**asked, "status": "404"}) == set()
    assert await replayed(api, asked) == {(hook.id, failed.id)}


async def test_a_period_of_attempts_has_old_events_that_were_attempted_in_it(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    later = datetime.now(UTC) + timedelta(milliseconds=5)
    while id_time(await api.attempt(event, hook, status=503)) <= later:
        pass
    span = {"from": later.isoformat(), "to": str(ALL["to"]), "only": "all"}
    assert await replayed(api, span) == set()
    assert await replayed(api, {**span, "period_of": "attempts"}) == {(hook.id, event.id)}


async def test_without_a_webhook_each_event_goes_where_it_went(api: Api) -> None:
    one, two = await api.webhook(), await api.webhook()
    first, second = await api.event(one), await api.event(two)
    await api.event()
    assert await replayed(api, ALL) == {(one.id, first.id), (two.id, second.id)}


async def test_a_webhook_that_is_behind_does_not_hold_up_another_one(api: Api) -> None:
    behind, well = await api.webhook(), await api.webhook()
    for _ in range(6):
        await api.event(behind, well)
    await api.call("POST", "/replays", ALL)
    async with replaying(api, walk_rows=2, open_limit=2) as nudges:
        while nudges.seen.count(well.id) < 3:
            await settle(api, well)
            await nudges.reach(len(nudges.seen) + 1)
    assert len([row for row in await api.rows() if str(row["webhook_id"]) == behind.id]) == 2


async def test_what_is_only_in_a_lanes_memory_is_left_alone_and_counted(api: Api) -> None:
    hook = await api.webhook()
    await api.pool.execute("UPDATE shards SET watermark = '00000000-0000-0000-0000-000000000000'")
    delivered, flying, queued, retrying = [await api.event(hook) for _ in range(4)]
    await api.attempt(delivered, hook)
    await api.row(queued, hook, DeliveryState.QUEUED)
    await api.row(retrying, hook, DeliveryState.RETRYING)
    answer = await api.call("POST", "/replays", {"event_id": flying.id})
    assert {name: answer.json[name] for name in ("state", "total", "done", "skipped")} == {
        "state": "done", "total": 1, "done": 1, "skipped": 1,
    }  # fmt: skip
    span = await api.call("POST", "/replays", {**ALL, "webhook_id": hook.id})
    async with replaying(api) as nudges:
        await nudges.reach(1)
    shown = await api.get(f"/replays/{span.json['id']}")
    assert (shown["total"], shown["done"], shown["skipped"]) == (4, 2, 2)
    put = {str(row["event_id"]) for row in await api.rows() if str(row["replay_id"]) == span.json["id"]}
    assert put == {delivered.id, retrying.id}


async def test_a_step_looks_at_no_more_rows_than_it_may_however_few_match(api: Api) -> None:
    hook = await api.webhook()
    for number in range(7):
        await api.attempt(await api.event(hook), hook, status=503 if number == 6 else 200)
    answer = await api.call("POST", "/replays", {**SHOWN, "status": "200"})
    steps = []
    while (step := await api.replays.advance(Part(answer.json["id"], hook.id), walk=3, open_limit=99)) is not None:
        steps.append(step.put)
    assert steps == [3, 3, 0]


async def test_a_replay_without_a_webhook_is_of_one_tenant_and_of_nobody_elses(api: Api) -> None:
    acme = await api.registry.add_tenant("acme", by="test")
    ours, theirs = await api.webhook(), await api.webhook(tenant_id=acme.id)
    mine, other = await api.event(ours), await api.event(theirs, tenant_id=acme.id)
    await api.attempt(mine, ours)
    await api.attempt(other, theirs)
    bound, put = await api.token_for(Role.OPERATOR, acme.id), {(theirs.id, other.id)}
    assert (await api.call("POST", "/replays", SHOWN)).json["errors"][0]["pointer"] == "/tenant"
    for body in (ALL, SHOWN, {**SHOWN, "account_id": mine.account_id}):
        assert await replayed(api, {**body, "tenant": "acme"}) == put
        answer = await api.call("POST", "/replays", body, token=bound)
        assert answer.json["total"] == 1
        async with replaying(api) as nudges:
            await nudges.reach(1)
        assert await _rows(api, ours) == 0 and await settle(api, theirs) == 1
    for tenant, status in (("default", 403), ("nobody", 403), ("acme", 202)):
        answer = await api.call("POST", "/replays", {**ALL, "tenant": tenant}, token=bound)
        assert answer.status == status
    mixed = {**ALL, "webhook_id": ours.id, "tenant": "acme"}
    assert (await api.call("POST", "/replays", mixed)).status == 422
    assert (await api.call("POST", "/replays", {**ALL, "webhook_id": ours.id}, token=bound)).status == 422


async def _rows(api: Api, webhook: Webhook) -> int:
    return len([row for row in await api.rows() if str(row["webhook_id"]) == webhook.id])


async def test_a_replay_of_a_tenant_without_webhooks_is_done_at_once(api: Api) -> None:
    answer = await api.call("POST", "/replays", ALL)
    assert (answer.json["state"], answer.json["total"]) == ("done", 0)
    replayer = Replayer(api.replays, nudge=lambda _: None)
    assert await replayer._round() == (False, False)
