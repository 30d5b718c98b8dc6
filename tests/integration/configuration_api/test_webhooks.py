"""Webhooks through the API: saved, blocked by ports, paused, with the accesses and secrets that they use."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from .conftest import CREDENTIAL, HOOK, KEY, Api


async def test_a_new_webhook_is_active_and_has_the_defaults(api: Api) -> None:
    answer = await api.call("POST", "/webhooks", HOOK)
    assert answer.status == 201
    assert answer.headers["Location"] == f"/api/v1/webhooks/{answer.json['id']}"
    assert answer.json == {
        "id": answer.json["id"],
        "name": None,
        "events": ["call.created", "call.saved"],
        "method": "POST",
        "url": "https://crm.example.com/hooks",
        "access_id": None,
        "state": "active",
        "reason": None,
        "timeout_s": 10.0,
        "max_in_flight": 32,
        "rate_per_s": None,
        "retry_schedule": None,
        "order_wait_s": 3600.0,
        "tenant": "default",
        "failing_since": None,
        "breaker": None,
        "delivering": None,
    }
    assert (await api.call("GET", f"/webhooks/{answer.json['id']}")).json == answer.json
    assert [webhook.id for webhook in api.heard.changed] == [answer.json["id"]]


async def test_everything_survives_a_restart(api: Api) -> None:
    access = await api.make("/access", CREDENTIAL)
    settings = {"method": "put", "timeout_s": 0.5, "max_in_flight": 3, "rate_per_s": 2.5, "order_wait_s": None}
    hook = await api.make(
        "/webhooks", {**HOOK, **settings, "name": "crm", "access_id": access["id"], "retry_schedule": ["5s", 60, "2h"]}
    )
    await api.call("POST", f"/webhooks/{hook['id']}/secret")
    again = api.new_registry()
    await again.load()
    assert again.webhook(hook["id"]) == api.registry.webhook(hook["id"])
    assert again.access(access["id"]) == api.registry.access(access["id"])
    assert hook["retry_schedule"] == [5.0, 60.0, 7200.0] and hook["method"] == "PUT"


async def test_events_are_known_by_title_too(api: Api) -> None:
    hook = await api.make("/webhooks", {**HOOK, "events": ["Call Created", "Regulation F Declined", "call.created"]})
    assert hook["events"] == ["call.created", "reg_f.declined"]


async def test_an_unknown_event_is_refused_with_those_that_are_known(api: Api) -> None:
    answer = await api.call("POST", "/webhooks", {**HOOK, "events": ["call.created", "call.deleted"]})
    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/events/1"
    assert "call.saved (Call Saved)" in answer.json["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("events", []),
        ("events", "call.created"),
        ("method", "TRACE"),
        ("url", ""),
        ("url", "https://crm.example.com/a\r\nX-Injected: 1"),
        ("url", "https://crm.example.com/\x00"),
        ("url", "ftp://crm.example.com/"),
        ("url", "https://127.0.0.1/"),
        ("url", "x" * 3000),
        ("access_id", "1"),
        ("access_id", "00000000-0000-0000-0000-000000000000"),
        ("state", "blocked"),
        ("timeout_s", 0.05),
        ("timeout_s", 61),
        ("timeout_s", True),
        ("timeout_s", "10"),
        ("max_in_flight", 0),
        ("max_in_flight", 1025),
        ("max_in_flight", 1.5),
        ("rate_per_s", 0),
        ("rate_per_s", -1),
        ("retry_schedule", ["soon"]),
        ("retry_schedule", [0]),
        ("retry_schedule", [5] * 101),
        ("order_wait_s", -1),
        ("name", "\x00"),
        ("name", " "),
        ("name", "safe\u202etxt.exe"),
        ("name", "n" * 201),
        ("tenant", "../etc"),
        ("tenant", 5),
        ("signing_secrets", ["x"]),
        ("id", "00000000-0000-0000-0000-000000000000"),
    ],
)
async def test_a_wrong_member_is_refused_at_its_place(api: Api, member: str, value: object) -> None:
    answer = await api.call("POST", "/webhooks", {**HOOK, member: value})
    assert answer.status == 422, answer.text
    assert all(error["pointer"].startswith(f"/{member}") for error in answer.json["errors"])
    assert (await api.call("GET", "/webhooks")).json["items"] == []


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"events": NaN}', b"[" * 5000])
async def test_a_body_that_is_no_json_object_is_refused(api: Api, raw: bytes) -> None:
    for method, path in (("POST", "/webhooks"), ("POST", "/access"), ("POST", "/tokens"), ("POST", "/ports")):
        answer = await api.call(method, path, raw=raw)
        assert answer.status in (400, 422)
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_body_beyond_the_limit_is_refused(api: Api) -> None:
    assert (await api.call("POST", "/webhooks", raw=b" " * 300_000)).status == 413


async def test_a_change_touches_only_what_it_names(api: Api) -> None:
    hook = await api.make("/webhooks", {**HOOK, "name": "crm", "rate_per_s": 5, "retry_schedule": "5s,5m"})
    answer = await api.call("PATCH", f"/webhooks/{hook['id']}", {"rate_per_s": None, "order_wait_s": None})
    assert answer.json == {**hook, "rate_per_s": None, "order_wait_s": None}
    answer = await api.call("PATCH", f"/webhooks/{hook['id']}", {"order_wait_s": "1h"})
    assert answer.json["order_wait_s"] == 3600.0
    answer = await api.call("PATCH", f"/webhooks/{hook['id']}", {"order_wait_s": "none"})
    assert answer.json["order_wait_s"] is None
    answer = await api.call("PATCH", f"/webhooks/{hook['id']}", {"order_wait_s": "never"})
    assert answer.status == 422 and "none or null for no ordering" in answer.json["detail"]
    assert (await api.call("PATCH", f"/webhooks/{hook['id']}", {"url": None})).status == 422
    assert (await api.call("PATCH", f"/webhooks/{hook['id']}", {})).status == 422


async def test_a_deleted_webhook_is_gone(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    answer = await api.call("DELETE", f"/webhooks/{hook['id']}")
    assert (answer.status, answer.text) == (204, "")
    assert (await api.call("GET", f"/webhooks/{hook['id']}")).status == 404
    assert (await api.call("DELETE", f"/webhooks/{hook['id']}")).status == 404
    assert api.heard.removed == [hook["id"]]


async def test_pausing_and_resuming_are_changes_of_state(api: Api) -> None:
    path = f"/webhooks/{(await api.make('/webhooks', HOOK))['id']}"
    assert (await api.call("PATCH", path, {"state": "paused"})).json["state"] == "paused"
    assert (await api.call("PATCH", path, {"state": "active"})).json["state"] == "active"


async def test_a_body_key_needs_a_method_with_a_body(api: Api) -> None:
    access = await api.make("/access", {**KEY, "location": "body"})
    answer = await api.call("POST", "/webhooks", {**HOOK, "method": "GET", "access_id": access["id"]})
    assert answer.status == 422
    assert "GET has no body" in answer.json["errors"][0]["detail"]
    hook = await api.make("/webhooks", {**HOOK, "access_id": access["id"]})
    assert (await api.call("PATCH", f"/webhooks/{hook['id']}", {"method": "DELETE"})).status == 422


async def test_a_body_key_may_not_be_a_member_of_the_payload(api: Api) -> None:
    access = await api.make("/access", {**KEY, "location": "body", "key_name": "call_id"})
    answer = await api.call("POST", "/webhooks", {**HOOK, "access_id": access["id"]})
    assert answer.status == 422
    assert "already has a member" in answer.json["detail"]
    declined = await api.make("/webhooks", {**HOOK, "events": ["reg_f.declined"], "access_id": access["id"]})
    assert (await api.call("PATCH", f"/webhooks/{declined['id']}", {"events": ["call.ended"]})).status == 422


async def test_the_signing_secret_is_shown_and_audited(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    answer = await api.call("GET", f"/webhooks/{hook['id']}/secret")
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(base64.b64decode(answer.json["secret"].removeprefix("whsec_"), validate=True)) == 32
    assert answer.json["previous_until"] is None
    assert (await api.audited())[0]["action"] == "webhook.read_secret"
    viewer = await api.token_for("viewer")
    assert (await api.call("GET", f"/webhooks/{hook['id']}/secret", token=viewer)).status == 403


async def test_after_a_rotation_both_secrets_sign_until_the_overlap_ends(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    old = api.heard.changed[-1].signing_secrets[0]
    answer = await api.call("POST", f"/webhooks/{hook['id']}/secret")
    until = datetime.fromisoformat(answer.json["previous_until"])
    assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(hours=24)
    new, before = api.heard.changed[-1].signing_secrets
    assert before == old and base64.b64decode(answer.json["secret"].removeprefix("whsec_")) == new
    await api.call("PATCH", f"/webhooks/{hook['id']}", {"name": "renamed"})
    assert api.heard.changed[-1].signing_secrets == (new, old)


async def test_the_older_secret_goes_when_its_time_is_over(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    await api.call("POST", f"/webhooks/{hook['id']}/secret")
    await api.pool.execute("UPDATE webhooks SET old_secret_until = now() - interval '1 second'")
    later = api.new_registry()
    await later.load()
    webhook = later.webhook(hook["id"])
    assert webhook is not None and len(webhook.signing_secrets) == 1


async def test_the_test_button_sends_what_was_asked_for(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    answer = await api.call("POST", f"/webhooks/{hook['id']}/test", {"type": "Call Saved"})
    assert answer.json == {"outcome": "success", "resumed": False}
    assert api.tested == [(hook["id"], "call.saved")]
    assert (await api.call("POST", f"/webhooks/{hook['id']}/test", {"type": "nope"})).status == 422


async def test_lists_page_without_gaps_or_repeats(api: Api) -> None:
    made = {(await api.make("/webhooks", {**HOOK, "name": f"hook {n}"}))["id"] for n in range(7)}
    seen: list[str] = []
    cursor = ""
    while True:
        answer = await api.call("GET", f"/webhooks?limit=3{cursor}")
        seen += [item["id"] for item in answer.json["items"]]
        if answer.json["next_cursor"] is None:
            break
        cursor = f"&cursor={answer.json['next_cursor']}"
    assert len(seen) == 7 and set(seen) == made


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "limit=5&limit=6", "cursor=abc", "cursor=%00", "colour=red", "tenant=nobody"],
)
async def test_a_wrong_parameter_is_refused_by_its_name(api: Api, query: str) -> None:
    answer = await api.call("GET", f"/webhooks?{query}")
    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == query.partition("=")[0]


async def test_a_cursor_of_another_list_is_refused(api: Api) -> None:
    for name in ("a", "b"):
        await api.make("/access", {**CREDENTIAL, "name": name})
    cursor = (await api.call("GET", "/access?limit=1")).json["next_cursor"]
    assert (await api.call("GET", f"/access?limit=1&cursor={cursor}")).status == 200
    assert (await api.call("GET", f"/webhooks?limit=1&cursor={cursor}")).status == 422
