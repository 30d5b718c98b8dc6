"""Webhooks Logs: what a filter finds, an entry with everything, hostile content, and files to keep."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from gateway.console.log_export import cell, csv_text
from gateway.ids import floor_id
from gateway.model import DeliveryState, ErrorKind, Role
from tests.integration.console.site import Site

HOSTILE = b"<script>alert(1)</script>\x00\x1b[31m\xe2\x80\xaegnp.exe <img src=x onerror=alert(1)>"
ROW = re.compile(r'<tr data-id="([0-9a-f-]{36})"')


async def shown_ids(site: Site, query: str) -> list[str]:
    return ROW.findall((await site.get(f"/reports/logs?{query}")).html)


async def test_the_newest_attempt_stands_first_and_leads_to_its_entry(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    event = await site.event(hook)
    ids = [await site.attempt(event, hook, number=number) for number in (1, 2)]
    page = await site.get("/reports/logs")
    assert ROW.findall(page.html) == ids[::-1]
    assert f'href="/reports/logs/{ids[1]}"' in page.html
    assert "Call Created" in page.text and "crm" in page.text


async def test_filters_narrow_the_list_and_stay_in_the_form(site: Site) -> None:
    await site.sign_in()
    crm, erp = await site.webhook(), await site.webhook(name="erp")
    created, ended = await site.event(crm, erp), await site.event(crm, type="call.ended")
    ok = await site.attempt(created, crm)
    failed = await site.attempt(created, erp, status=503)
    later = await site.attempt(ended, crm, status=404)
    assert await shown_ids(site, "event=call.ended") == [later]
    assert await shown_ids(site, f"webhook_id={erp.id}") == [failed]
    assert await shown_ids(site, "outcome=success") == [ok]
    assert await shown_ids(site, "status=5xx") == [failed]
    assert await shown_ids(site, f"call_id={created.call_key}&status=503") == [failed]
    assert await shown_ids(site, f"account_id={created.account_id}") == [later, failed, ok]
    page = await site.get("/reports/logs?event=call.ended&call_id=12")
    assert '<option value="call.ended" selected>' in page.html and 'value="12"' in page.html


async def test_a_filter_that_is_wrong_says_so_at_its_field_and_shows_nothing(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    await site.attempt(await site.event(hook), hook)
    page = await site.get("/reports/logs?status=999")
    assert page.status == 200 and ROW.findall(page.html) == []
    assert 'id="status-error"' in page.html and "This filter cannot be used" in page.text


async def test_a_range_is_of_the_viewers_clock_and_the_zone_is_named(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    event = await site.event(hook)
    now = datetime.now(UTC)
    attempt_id = await site.attempt(event, hook)
    site.client.session.cookie_jar.update_cookies({"gateway-zone": "Asia/Tokyo"}, site.client.make_url("/"))
    tokyo = now + timedelta(hours=9)
    begin, end = (f"{tokyo + timedelta(minutes=n):%Y-%m-%dT%H:%M}" for n in (-2, 2))
    page = await site.get(f"/reports/logs?period=range&from={begin}&to={end}")
    assert ROW.findall(page.html) == [attempt_id]
    assert "Asia/Tokyo, UTC+9" in page.text
    assert await shown_ids(site, f"period=range&to={begin}") == []


async def test_a_zone_that_is_not_known_here_is_utc(site: Site) -> None:
    await site.sign_in()
    for name in ("../../etc/passwd", "Mars/Olympus", "x" * 500):
        site.client.session.cookie_jar.update_cookies({"gateway-zone": name}, site.client.make_url("/"))
        assert "Times in UTC" in (await site.get("/reports/logs")).text


async def test_older_pages_neither_skip_nor_repeat_while_new_attempts_come_in(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    event = await site.event(hook)
    ids = [await site.attempt(event, hook, number=n) for n in range(1, 71)]
    first = await site.get("/reports/logs")
    await site.attempt(event, hook, number=99)
    found = re.search(r'href="(/reports/logs\?[^"]*before=[^"]*)"', first.html)
    assert found is not None
    second = await site.get(found[1].replace("&amp;", "&"))
    assert [*ROW.findall(first.html), *ROW.findall(second.html)] == ids[::-1]


async def test_the_live_tail_has_what_began_a_moment_ago_and_nothing_older(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    event = await site.event(hook)
    long_ago = floor_id(datetime.now(UTC) - timedelta(minutes=10))
    await site.attempt(event, hook, id=long_ago[:-1] + "1")
    fresh = await site.attempt(event, hook, number=2)
    assert ROW.findall((await site.get("/reports/logs/tail?", part=True)).html) == [fresh]


async def test_an_entry_shows_request_response_diagnosis_and_the_other_attempts(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    event = await site.event(hook)
    first = await site.attempt(event, hook, status=503, response_body=b'{"error": "busy"}')
    second = await site.attempt(event, hook, number=2)
    page = await site.get(f"/reports/logs/{first}")
    assert "The target answered 503 Service Unavailable" in page.text and "What to do:" in page.text
    assert '"x-api-key"' in page.text and "test123****" in page.text and '"call_id"' in page.text
    assert "busy" in page.text and "content-type" in page.text
    assert f'href="/reports/logs/{second}"' in page.html
    assert f'href="/reports/calls/{event.call_key}"' in page.html


async def test_the_command_to_send_it_again_has_a_placeholder_for_the_credential(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook(url="https://crm.example.com/it's")
    page = await site.get(f"/reports/logs/{await site.attempt(await site.event(hook), hook)}")
    command = page.text[page.text.index("curl -X") :]
    assert "x-api-key: YOUR-CREDENTIAL" in command
    assert "****" not in command.split("Response")[0]
    assert """'https://crm.example.com/it'"'"'s'""" in command


async def test_hostile_answers_are_shown_as_text_and_leave_as_attachments(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook(name="<b>crm</b>")
    event = await site.event(hook)
    attempt_id = await site.attempt(event, hook, status=500, response_body=HOSTILE, response_headers=b"x: <i>\x1b\r\n")
    page = await site.get(f"/reports/logs/{attempt_id}")
    assert "<script>alert" not in page.html and "<img src=x" not in page.html and "<b>crm" not in page.html
    assert "⟨U+202E⟩gnp.exe" in page.text and "⟨U+001B⟩[31m" in page.text
    assert not set("\x00\x1b\u202e") & set(page.html)
    file = await site.get(f"/reports/logs/{attempt_id}/response")
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert file.headers["Content-Type"].startswith("text/plain")


async def test_a_viewer_sees_no_phone_number_and_cannot_replay(site: Site) -> None:
    await site.sign_in(Role.VIEWER)
    hook = await site.webhook()
    event = await site.event(hook)
    phone = json.loads(event.payload)["phone"]
    attempt_id = await site.attempt(event, hook, response_body=f"known: {phone}".encode())
    page = await site.get(f"/reports/logs/{attempt_id}")
    files = [await site.get(f"/reports/logs/{attempt_id}/{part}") for part in ("request", "response")]
    assert len(phone) == 10 and all(phone not in each.html for each in [page, *files])
    assert f"{attempt_id}/replay" not in page.html
    assert (await site.submit_form(f"/reports/logs/{attempt_id}/replay")).status == 403


async def test_another_tenants_attempts_are_not_there(site: Site) -> None:
    tenant = await site.registry.add_tenant("other", by="test")
    hook = await site.webhook()
    attempt_id = await site.attempt(await site.event(hook), hook)
    await site.sign_in(tenant_id=tenant.id)
    assert await shown_ids(site, "period=all") == []
    assert (await site.get(f"/reports/logs/{attempt_id}")).status == 404
    assert (await site.get("/reports/logs.jsonl?period=all")).html == ""


async def test_the_csv_has_every_row_and_the_jsonl_the_apis_items(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    event = await site.event(hook)
    ids = [await site.attempt(event, hook, number=n, status=503 if n % 2 else 200) for n in range(1, 8)]
    table = await site.get("/reports/logs.csv?outcome=failure")
    assert table.headers["Content-Disposition"].startswith("attachment; filename=")
    assert table.headers["X-Content-Type-Options"] == "nosniff"
    rows = list(csv.DictReader(io.StringIO(table.html)))
    assert [row["id"] for row in rows] == ids[::-2] and rows[0]["status_code"] == "503"
    lines = (await site.get("/reports/logs.jsonl?outcome=success")).html.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids[-2::-2]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_never_begins_as_a_formula(start: str) -> None:
    assert csv_text([[cell(start + "SUM(A1)")]]).lstrip(b'"').startswith(b"'")


async def test_replaying_an_entry_puts_its_delivery_and_shows_how_far_it_is(site: Site) -> None:
    await site.sign_in(Role.OPERATOR)
    hook = await site.webhook()
    event = await site.event(hook)
    attempt_id = await site.attempt(event, hook, status=503)
    await site.row(event, hook, DeliveryState.FAILED)
    went = await site.submit_form(f"/reports/logs/{attempt_id}/replay")
    assert went.status == 303
    page = await site.get(went.location)
    assert "0 of 1 deliveries" in page.text and "Running" in page.text
    assert await site.pool.fetchval("SELECT count(*) FROM deliveries WHERE event_id = $1", event.id) == 1


async def test_what_a_filter_shows_is_replayed_after_saying_what_and_how_much(site: Site) -> None:
    await site.sign_in(Role.OPERATOR)
    hook = await site.webhook()
    failed, other = await site.event(hook), await site.event(hook)
    for event, status in ((failed, 503), (other, 404)):
        await site.attempt(event, hook, status=status)
        await site.row(event, hook, DeliveryState.FAILED)
    asked = await site.get("/reports/replays/new?outcome=failure&status=5xx&event=call.created")
    assert "All to which the events went" in asked.text and "5xx" in asked.text
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', asked.html)) | {"only": "failed"}
    counted = await site.get("/reports/replays/count?" + urlencode(form))
    assert "1 delivery" in counted.text
    went = await site.submit_form("/reports/replays", form)
    assert went.status == 303 and "0 of 1 deliveries" in (await site.get(went.location)).text
    cancelled = await site.submit_form(f"{went.location}/cancel")
    assert cancelled.status == 303 and "Cancelled" in (await site.get(went.location)).text


async def test_an_attempt_without_an_answer_says_why_in_plain_words(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    event = await site.event(hook)
    attempt_id = await site.attempt(
        event, hook, status=None, ok=False, error=ErrorKind.CONNECT_REFUSED, detail="errno 111"
    )
    page = await site.get(f"/reports/logs/{attempt_id}")
    assert "nothing accepts connections there" in page.text and "No complete answer came" in page.text


async def test_an_entry_says_in_words_and_in_a_bar_where_its_time_went(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    event = await site.event(hook)
    phases_ms = (("dns", 1.5), ("connect", 20.0), ("wait", 178.5))
    answered = await site.attempt(event, hook, phases_ms=(*phases_ms, ("read", 0.25)))
    failed = await site.attempt(
        event, hook, number=2, status=None, ok=False, error=ErrorKind.TIMEOUT, phases_ms=phases_ms
    )
    page = await site.get(f"/reports/logs/{answered}")
    assert "Looking the name up 1.5 ms Connecting 20 ms Waiting for the answer 178 ms Reading the answer 0.25 ms" in (
        page.text
    )
    assert page.html.count("<rect") == 4
    assert "Waiting for the answer 178 ms, where it ended" in (await site.get(f"/reports/logs/{failed}")).text
