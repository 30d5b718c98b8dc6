"""What became of an event, and the timeline of a call."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.model import DeliveryState, Event, WebhookState

from .conftest import Api


async def delivery(api: Api, event: Event) -> Any:
    (shown,) = (await api.get(f"/events/{event.id}"))["deliveries"]
    return shown


async def test_an_event_shows_its_payload_byte_for_byte_and_when_it_was_received(api: Api) -> None:
    payload = b'{"call_id":7,  "revenue":1.50,"new":[1e2,"\\u00e9"]}'
    event = await api.event(await api.webhook(), payload=payload)
    answer = await api.call("GET", f"/events/{event.id}")
    assert answer.text.encode().count(b'"data":' + payload) == 1
    assert (answer.json["type"], answer.json["tenant"]) == ("call.created", "default")
    received = datetime.fromisoformat(answer.json["received_at"])
    assert abs((datetime.now(UTC) - received).total_seconds()) < 60


async def test_an_event_that_was_just_accepted_is_queued(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    assert await delivery(api, event) == {"webhook_id": hook.id, "state": "queued", "next_at": None, "attempts": []}


async def test_a_success_is_delivered_and_a_test_never_counts(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    await api.attempt(event, hook, test=True)
    assert (await delivery(api, event))["state"] == "queued"
    await api.attempt(event, hook, status=500)
    await api.attempt(event, hook, number=2)
    shown = await delivery(api, event)
    assert shown["state"] == "delivered"
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["failure", "success"]


async def test_a_retry_shows_when_it_is_due_and_a_failed_one_does_not(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    await api.attempt(event, hook, status=500)
    await api.row(event, hook, DeliveryState.RETRYING)
    shown = await delivery(api, event)
    assert (shown["state"], shown["next_at"]) == ("retrying", "2030-01-01T00:00:00Z")
    await api.row(event, hook, DeliveryState.FAILED)
    shown = await delivery(api, event)
    assert (shown["state"], shown["next_at"]) == ("failed", None)


async def test_a_replayed_delivery_is_queued_again_although_it_succeeded_before(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    await api.attempt(event, hook)
    await api.row(event, hook, DeliveryState.QUEUED)
    assert (await delivery(api, event))["state"] == "queued"


@pytest.mark.parametrize("stored", [None, DeliveryState.QUEUED, DeliveryState.RETRYING])
async def test_what_waits_for_a_paused_webhook_is_held(api: Api, stored: DeliveryState | None) -> None:
    hook = await api.webhook(state=WebhookState.PAUSED)
    event = await api.event(hook)
    if stored is not None:
        await api.row(event, hook, stored)
    assert (await delivery(api, event))["state"] == "held"


async def test_a_delivery_to_a_deleted_webhook_is_failed_unless_it_was_made(api: Api) -> None:
    made, owed = await api.webhook(), await api.webhook()
    event = await api.event(made, owed)
    await api.attempt(event, made)
    for hook in (made, owed):
        await api.registry.remove_webhook(hook.id, by="test")
    shown = (await api.get(f"/events/{event.id}"))["deliveries"]
    assert {each["webhook_id"]: each["state"] for each in shown} == {made.id: "delivered", owed.id: "failed"}


async def test_a_webhook_that_only_a_replay_brought_in_is_listed_too(api: Api) -> None:
    matched, later = await api.webhook(), await api.webhook()
    event = await api.event(matched)
    await api.row(event, later, DeliveryState.QUEUED, attempts=0, tries=0)
    shown = (await api.get(f"/events/{event.id}"))["deliveries"]
    assert {each["webhook_id"] for each in shown} == {matched.id, later.id}


async def test_a_calls_timeline_has_its_events_in_the_order_of_their_acceptance(api: Api) -> None:
    hook = await api.webhook()
    types = ["call.created", "call.ended", "call.saved"]
    events = [await api.event(hook, type=type) for type in types]
    await api.event(hook, payload=b'{"call_id": 2}')
    for event in reversed(events):
        await api.attempt(event, hook)
    shown = await api.get("/calls/11142")
    assert shown["call_id"] == "11142"
    assert [event["type"] for event in shown["events"]] == types
    assert {event["deliveries"][0]["state"] for event in shown["events"]} == {"delivered"}


async def test_two_tenants_may_have_calls_of_one_number_and_each_sees_its_own(api: Api) -> None:
    other = await api.registry.add_tenant("acme", by="test")
    await api.event()
    theirs = await api.event(tenant_id=other.id)
    (shown,) = (await api.get("/calls/11142?tenant=acme"))["events"]
    assert (shown["id"], shown["tenant"]) == (theirs.id, "acme")
    assert len((await api.get("/calls/11142"))["events"]) == 2
