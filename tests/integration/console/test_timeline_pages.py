"""A call's timeline: all its events at all webhooks on one picture."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from gateway.model import DeliveryState, Role
from tests.integration.console.site import Site

CALLS = ("call.created", "call.ended", "call.saved")


async def test_a_call_shows_every_event_at_every_webhook_with_its_attempts(site: Site) -> None:
    await site.sign_in()
    crm, erp = await site.webhook(events=frozenset(CALLS)), await site.webhook(name="erp", events=frozenset(CALLS))
    events = [await site.event(crm, erp, type=type) for type in CALLS]
    attempts = [await site.attempt(event, hook) for event in events for hook in (crm, erp)]
    page = await site.get(f"/reports/calls/{events[0].call_key}")
    assert page.status == 200
    assert all(page.html.count(f'href="/reports/logs/{attempt}"') == 2 for attempt in attempts)  # picture and list
    assert page.text.index("Call Created") < page.text.index("Call Ended") < page.text.index("Call Saved")
    assert page.text.count("Delivered") == 6


async def test_a_retry_stands_right_of_what_failed_and_the_next_one_is_announced(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    event = await site.event(hook)
    for number in (1, 2):
        await site.attempt(event, hook, status=503, number=number, id=site.ids.next())
    await site.row(event, hook, DeliveryState.RETRYING, next_at=datetime.now(UTC) + timedelta(hours=2))
    page = await site.get(f"/reports/calls/{event.call_key}")
    places = [float(x) for x in re.findall(r'<rect class="attempt bad" x="([\d.]+)%"', page.html)]
    assert len(places) == 2 and places == sorted(places)
    assert "Retrying" in page.text and 'class="due"' in page.html and "next attempt" in page.text


async def test_a_call_that_no_webhook_matched_says_so(site: Site) -> None:
    await site.sign_in()
    event = await site.event()
    assert "No webhook matched" in (await site.get(f"/reports/calls/{event.call_key}")).text


async def test_a_call_that_is_not_known_or_no_number_is_not_found(site: Site) -> None:
    await site.sign_in()
    for call_id in ("404", "abc", "9" * 40, "%00", "١٢"):
        assert (await site.get(f"/reports/calls/{call_id}")).status == 404


async def test_a_call_is_found_by_its_id_as_it_was_typed(site: Site) -> None:
    await site.sign_in()
    assert (await site.get("/reports/calls?call_id=%20077%20")).location == "/reports/calls/77"


async def test_a_viewer_gets_masked_payloads_and_no_tenant_anothers_call(site: Site) -> None:
    hook = await site.webhook()
    payload = b'{"call_id": 77, "phone": "5551230000", "note": "<script>"}'
    await site.event(hook, payload=payload)
    await site.sign_in(Role.VIEWER)
    page = await site.get("/reports/calls/77")
    assert "5551230000" not in page.html and "<script>&" not in page.html and "&lt;script&gt;" in page.html
    tenant = await site.registry.add_tenant("other", by="test")
    await site.sign_in(tenant_id=tenant.id)
    assert (await site.get("/reports/calls/77")).status == 404
