"""The log of attempts: filters, pages, and one attempt with its request and response."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.ids import id_time
from gateway.model import ErrorKind, Role

from .conftest import Api


async def test_a_log_item_has_the_shape_that_scripts_rely_on(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    attempt_id = await api.attempt(event, hook, status=503)
    (item,) = await api.items("/logs")
    assert item["diagnosis"].startswith("The target answered 503 Service Unavailable.")
    assert item | {"diagnosis": ""} == {
        "id": attempt_id,
        "event_id": event.id,
        "event_type": "call.created",
        "webhook_id": hook.id,
        "attempt": 1,
        "started_at": id_time(attempt_id).isoformat().replace("+00:00", "Z"),
        "duration_ms": 1.5,
        "outcome": "failure",
        "status_code": 503,
        "error": "http_status",
        "diagnosis": "",
        "test": False,
    }


async def test_the_newest_attempt_comes_first_and_a_cursor_leads_through_all_of_them_once(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    made = [await api.attempt(event, hook, number=number) for number in range(7)]
    seen, cursor = [], ""
    while cursor is not None:
        page = await api.get(f"/logs?limit=3{cursor and f'&cursor={cursor}'}")
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]


async def test_each_filter_keeps_what_it_names_and_nothing_else(api: Api) -> None:
    one, two = await api.webhook(), await api.webhook()
    created = await api.event(one, two, payload=b'{"call_id": 7, "account_id": "a-7"}')
    declined = await api.event(one, type="reg_f.declined")
    fine = await api.attempt(created, one)
    busy = await api.attempt(created, two, status=503)
    bad = await api.attempt(declined, one, status=500)
    lost = await api.attempt(declined, one, status=None, error=ErrorKind.DNS)
    everything = {fine, busy, bad, lost}
    for query, kept in {
        "event=call.created": {fine, busy},
        "event=Regulation%20F%20Declined": {bad, lost},
        f"webhook_id={two.id}": {busy},
        f"webhook_id={two.id.upper()}": {busy},
        f"event_id={declined.id}": {bad, lost},
        "outcome=success": {fine},
        "outcome=failure": {busy, bad, lost},
        "status=503": {busy},
        "status=5xx": {busy, bad},
        "status=2XX": {fine},
        "call_id=7": {fine, busy},
        "call_id=007": {fine, busy},
        "call_id=8": set(),
        "account_id=a-7": {fine, busy},
        "account_id=1234": {bad, lost},
        f"outcome=failure&webhook_id={one.id}&status=500": {bad},
        "": everything,
    }.items():
        assert {item["id"] for item in await api.items(f"/logs?{query}")} == kept, query


async def test_a_period_includes_its_beginning_but_not_its_end_and_a_date_is_a_whole_day(api: Api) -> None:
    hook = await api.webhook()
    attempt_id = await api.attempt(await api.event(hook), hook)
    at = id_time(attempt_id)
    day, spelled = at.date(), at.isoformat()
    later = (at + timedelta(milliseconds=1)).isoformat()
    for query, found in {
        f"from={day}&to={day}": 1,
        f"from={day + timedelta(days=1)}": 0,
        f"to={day - timedelta(days=1)}": 0,
        f"from={spelled.replace('+', '%2B')}": 1,
        f"from={spelled}": 1,  # the plus, unescaped, arrives as a space
        f"to={spelled}": 0,
        f"from={spelled}&to={later}": 1,
        f"from={later}": 0,
    }.items():
        assert len(await api.items(f"/logs?{query}")) == found, query


@pytest.mark.parametrize(
    ("query", "place", "words"),
    [
        ("from=2026-02-01&to=2026-01-01", "from", "before to"),
        ("from=yesterday", "from", "2026-01-31"),
        ("from=2026-02-30", "from", "date"),
        ("to=2026-01-31T12:00:00", "to", "zone"),
        ("event=call.deleted", "event", "call.created"),
        ("outcome=maybe", "outcome", "success"),
        ("status=6xx", "status", ""),
        ("status=5x", "status", ""),
        ("webhook_id=7", "webhook_id", ""),
        ("call_id=seven", "call_id", ""),
        ("account_id=%00", "account_id", ""),
        ("limit=0", "limit", "1"),
        ("limit=501", "limit", "500"),
        ("limit=ten", "limit", "integer"),
        ("cursor=nonsense", "cursor", "next_cursor"),
        ("tenant=nobody", "tenant", "no tenant"),
        ("colour=red", "colour", ""),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused_with_its_name(
    api: Api, query: str, place: str, words: str
) -> None:
    answer = await api.call("GET", f"/logs?{query}")
    assert answer.status == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert [error["pointer"] for error in answer.json["errors"]] == [place]
    assert words in answer.json["errors"][0]["detail"]


async def test_one_attempt_shows_request_and_response(api: Api) -> None:
    hook = await api.webhook(url="https://crm.example.com/in?token=abcdefghijklmnop&list=7")
    event = await api.event(hook, payload=b'{"call_id": 7, "revenue": 1.50, "account_id": "\\u00e9"}')
    headers = b"authorization: Basic dXNl****\r\ncontent-type: application/json\r\n"
    attempt_id = await api.attempt(event, hook, request_headers=headers, response_body=b"saved\xff", truncated=True)
    answer = await api.call("GET", f"/logs/{attempt_id}")
    assert answer.json["request"] == {
        "method": "POST",
        "url": "https://crm.example.com/in?token=abcd****&list=7",
        "headers": {"authorization": "Basic dXNl****", "content-type": "application/json"},
        "json": {"call_id": 7, "revenue": 1.5, "account_id": "é"},
    }
    assert '"json":{"call_id": 7, "revenue": 1.50, "account_id": "\\u00e9"}' in answer.text
    assert answer.json["response"] == {
        "status": 200,
        "headers": {"content-type": "text/plain"},
        "body": "saved�",
        "truncated": True,
    }


async def test_an_attempt_tells_where_its_time_went_in_the_order_of_the_time(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    phases_ms = (("queued", 0.125), ("dns", 1.5), ("connect", 20.0), ("tls", 24.5), ("wait", 180.25), ("read", 0.5))
    kept = await api.attempt(event, hook, phases_ms=phases_ms)
    not_kept = await api.attempt(event, hook)
    answer = await api.call("GET", f"/logs/{kept}")
    assert tuple(answer.json["phases_ms"].items()) == phases_ms
    assert (await api.call("GET", f"/logs/{not_kept}")).json["phases_ms"] == {}


async def test_an_api_key_in_the_body_is_shown_as_a_mask_and_a_missing_answer_as_null(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook, payload=b'{"call_id": 7}')
    attempt_id = await api.attempt(
        event, hook, status=None, error=ErrorKind.CONNECT_REFUSED, body_key="x-key", url="https://crm.example.com:8443/"
    )
    shown = await api.get(f"/logs/{attempt_id}")
    assert shown["request"]["json"] == {"call_id": 7, "x-key": "****"}
    assert shown["response"] is None
    assert shown["diagnosis"].startswith("crm.example.com:8443 is reachable, but nothing accepts connections there.")


async def test_a_request_without_a_body_shows_the_event_in_its_url(api: Api) -> None:
    hook = await api.webhook(method="GET", url="https://crm.example.com/in?list=7")
    event = await api.event(hook, payload=b'{"call_id": 7, "revenue": 1.50, "phone": "9725550138", "new": [1]}')
    attempt_id = await api.attempt(event, hook, body_key="key")
    shown = (await api.get(f"/logs/{attempt_id}"))["request"]
    query = "list=7&call_id=7&revenue=1.50&phone=9725550138&key=****"
    assert (shown["url"], shown["json"]) == (f"https://crm.example.com/in?{query}", None)
    viewer = await api.token_for(Role.VIEWER)
    masked = (await api.get(f"/logs/{attempt_id}", token=viewer))["request"]["url"]
    assert masked.endswith("&phone=********38&key=****")


async def test_a_test_attempt_shows_the_sample_and_is_marked(api: Api) -> None:
    hook = await api.webhook()
    event = await api.event(hook)
    attempt_id = await api.attempt(event, hook, test=True, event_id=api.ids.next(), event_type="call.saved")
    shown = await api.get(f"/logs/{attempt_id}")
    assert shown["test"] is True
    assert shown["request"]["json"]["agent_disp"] == 51


async def test_a_viewer_sees_no_phone_number_anywhere(api: Api) -> None:
    hook = await api.webhook(url="https://crm.example.com/lead/9725550138")
    event = await api.event(hook)
    attempt_id = await api.attempt(
        event,
        hook,
        response_headers=b"x-echo: 9725550106\r\n",
        response_body=b'{"phone": "9725550138"}',
    )
    viewer = await api.token_for(Role.VIEWER)
    for path in (f"/logs/{attempt_id}", f"/events/{event.id}", "/calls/11142"):
        assert "97255501" in (await api.call("GET", path)).text
        masked = await api.call("GET", path, token=viewer)
        assert masked.status == 200
        assert "97255501" not in masked.text
    assert (await api.get(f"/logs/{attempt_id}", token=viewer))["request"]["json"]["phone"] == "********38"


async def test_a_bound_token_sees_its_own_tenant_alone(api: Api) -> None:
    other = await api.registry.add_tenant("acme", by="test")
    ours, theirs = await api.webhook(), await api.webhook(tenant_id=other.id)
    mine = await api.attempt(await api.event(ours), ours)
    yours = await api.attempt(await api.event(theirs, tenant_id=other.id), theirs)
    bound = await api.token_for(Role.VIEWER, other.id)
    assert [item["id"] for item in await api.items("/logs", token=bound)] == [yours]
    assert [item["id"] for item in await api.items("/logs?call_id=11142", token=bound)] == [yours]
    assert [item["id"] for item in await api.items("/logs?account_id=12345678", token=bound)] == [yours]
    assert [item["id"] for item in await api.items("/logs?tenant=default")] == [mine]
    assert (await api.call("GET", f"/logs/{mine}", token=bound)).status == 404
    assert (await api.call("GET", "/logs?tenant=default", token=bound)).status == 403


@pytest.mark.parametrize("path", ["/logs/7", "/logs/00000000-0000-0000-0000-000000000000", "/events/x", "/calls/x"])
async def test_what_does_not_exist_is_a_404_problem(api: Api, path: str) -> None:
    answer = await api.call("GET", path)
    assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")


async def test_an_ingest_token_reads_nothing_and_no_token_is_a_401(api: Api) -> None:
    ingest = await api.token_for(Role.INGEST)
    for path in ("/logs", "/rejected", "/replays", "/event-types", "/calls/1"):
        assert (await api.call("GET", path, token=ingest)).status == 403
        assert (await api.call("GET", path, token="")).status == 401


async def test_an_account_with_more_events_than_are_read_one_by_one_is_still_filtered_exactly(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.attempt_log.FEW_EVENTS", 2)
    hook = await api.webhook()
    busy = [await api.attempt(await api.event(hook), hook) for _ in range(4)]
    await api.attempt(await api.event(hook, payload=b'{"call_id": 1, "account_id": "rare"}'), hook)
    assert [item["id"] for item in await api.items("/logs?account_id=12345678")] == busy[::-1]
