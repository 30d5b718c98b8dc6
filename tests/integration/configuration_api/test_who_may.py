"""Tokens, roles and tenants: who may do what, and what a bound token never learns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from .conftest import CREDENTIAL, HOOK, KEY, Api

SOME_ID = "00000000-0000-7000-8000-000000000000"
READS = ["/access", "/webhooks", "/ports", "/tenants"]
CHANGES = [
    ("POST", "/access"),
    ("PATCH", f"/access/{SOME_ID}"),
    ("DELETE", f"/access/{SOME_ID}"),
    ("POST", "/webhooks"),
    ("PATCH", f"/webhooks/{SOME_ID}"),
    ("DELETE", f"/webhooks/{SOME_ID}"),
    ("GET", f"/webhooks/{SOME_ID}/secret"),
    ("POST", f"/webhooks/{SOME_ID}/secret"),
    ("POST", f"/webhooks/{SOME_ID}/test"),
    ("POST", "/ports"),
    ("PATCH", f"/ports/{SOME_ID}"),
    ("DELETE", f"/ports/{SOME_ID}"),
    ("GET", "/audit"),
]
DECISIONS = [
    ("GET", "/tokens"),
    ("POST", "/tokens"),
    ("DELETE", f"/tokens/{SOME_ID}"),
    ("POST", "/tenants"),
    ("PATCH", "/tenants/1"),
]


@pytest.mark.parametrize("token", ["wrong", "gw_abcdefgh_" + "A" * 43, "gw_", "\u00e9", "a b"])
async def test_without_a_known_token_nothing_is_shown(api: Api, token: str) -> None:
    for method, path in [("GET", path) for path in READS] + CHANGES + DECISIONS:
        answer = await api.call(method, path, token=token)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_each_role_may_what_it_says_and_no_more(api: Api) -> None:
    tokens = {role: await api.token_for(role) for role in ("ingest", "viewer", "operator", "admin")}
    for role, (reads, changes, decisions) in {
        "ingest": (False, False, False),
        "viewer": (True, False, False),
        "operator": (True, True, False),
        "admin": (True, True, True),
    }.items():
        for calls, may in (([("GET", path) for path in READS], reads), (CHANGES, changes), (DECISIONS, decisions)):
            for method, path in calls:
                answer = await api.call(method, path, raw=b"{}", token=tokens[role])
                assert (answer.status != 403) is may, (role, method, path)


async def test_a_token_is_shown_once(api: Api) -> None:
    made = await api.make("/tokens", {"role": "viewer", "name": "wall", "expires_in": "90d"})
    assert made["token"].startswith(f"gw_{made['prefix']}_")
    ends = datetime.fromisoformat(made["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)
    listed = await api.call("GET", "/tokens")
    assert made["token"] not in listed.text and "digest" not in listed.text
    assert made["token"] not in (await api.call("GET", "/audit")).text
    assert made["token"].encode() not in await api.pool.fetchval("SELECT digest FROM tokens WHERE id = $1", made["id"])


async def test_a_revoked_token_stops_working_at_once(api: Api) -> None:
    made = await api.make("/tokens", {"role": "viewer"})
    assert (await api.call("GET", "/webhooks", token=made["token"])).status == 200
    assert (await api.call("DELETE", f"/tokens/{made['id']}")).status == 204
    assert (await api.call("GET", "/webhooks", token=made["token"])).status == 401


async def test_an_expired_token_says_when_it_expired(api: Api) -> None:
    made = await api.make("/tokens", {"role": "viewer", "expires_in": 3600})
    await api.pool.execute("UPDATE tokens SET expires_at = '2020-02-02T00:00:00Z' WHERE id = $1", made["id"])
    await api.registry.load()
    answer = await api.call("GET", "/webhooks", token=made["token"])
    assert answer.status == 401 and "2020-02-02" in answer.json["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"role": "root"},
        {"role": "viewer", "expires_in": 0},
        {"role": "viewer", "expires_in": 1e300},
        {"role": "viewer", "expires_in": "never"},
        {"role": "viewer", "expires_at": "2020-01-01T00:00:00Z"},
        {"role": "viewer", "expires_at": "2099-01-01T00:00:00"},
        {"role": "viewer", "expires_at": "9999-12-31T23:59:59-14:00"},
        {"role": "viewer", "expires_at": 4102444800},
        {"role": "viewer", "expires_in": "1d", "expires_at": "2099-01-01T00:00:00Z"},
        {"role": "viewer", "tenant": "a b"},
        {"role": "viewer", "token": "gw_chosen"},
    ],
)
async def test_a_wrong_token_is_not_made(api: Api, body: dict[str, object]) -> None:
    assert (await api.call("POST", "/tokens", body)).status == 422
    assert len((await api.call("GET", "/tokens")).json["items"]) == 1


async def test_the_last_unbound_admin_token_stays(api: Api) -> None:
    first = (await api.call("GET", "/tokens")).json["items"][0]
    await api.token_for("admin", "acme")
    answer = await api.call("DELETE", f"/tokens/{first['id']}")
    assert answer.status == 409 and "last admin token" in answer.json["detail"]
    second = await api.token_for("admin")
    assert (await api.call("DELETE", f"/tokens/{first['id']}", token=second)).status == 204


async def test_a_bound_token_sees_its_own_tenant_alone(api: Api) -> None:
    theirs = await api.make("/webhooks", {**HOOK, "tenant": "globex"})
    mine = await api.make("/webhooks", {**HOOK, "tenant": "acme"})
    token = await api.token_for("operator", "acme")
    assert [item["id"] for item in (await api.call("GET", "/webhooks", token=token)).json["items"]] == [mine["id"]]
    assert [item["name"] for item in (await api.call("GET", "/tenants", token=token)).json["items"]] == ["acme"]
    unknown = await api.call("GET", f"/webhooks/{SOME_ID}", token=token)
    for method, body in (("GET", None), ("PATCH", {"state": "paused"}), ("DELETE", None)):
        answer = await api.call(method, f"/webhooks/{theirs['id']}", body, token=token)
        assert (answer.status, answer.json["detail"]) == (404, unknown.json["detail"])
    for path in ("secret", "test"):
        answer = await api.call("POST", f"/webhooks/{theirs['id']}/{path}", {"type": "call.saved"}, token=token)
        assert answer.status == 404


async def test_an_access_of_another_tenant_is_one_that_does_not_exist(api: Api) -> None:
    theirs = await api.make("/access", {**CREDENTIAL, "tenant": "globex"})
    token = await api.token_for("operator", "acme")
    refused = await api.call("POST", "/webhooks", {**HOOK, "access_id": theirs["id"]}, token=token)
    unknown = await api.call("POST", "/webhooks", {**HOOK, "access_id": SOME_ID}, token=token)
    assert refused.status == 422 and refused.json == unknown.json
    assert (await api.call("POST", "/webhooks", {**HOOK, "access_id": theirs["id"]})).status == 422
    assert (await api.call("GET", f"/access/{theirs['id']}", token=token)).status == 404


async def test_naming_another_tenant_with_a_bound_token_is_forbidden(api: Api) -> None:
    await api.make("/tenants", {"name": "globex"})
    token = await api.token_for("admin", "acme")
    assert (await api.call("GET", "/webhooks?tenant=globex", token=token)).status == 403
    assert (await api.call("GET", "/webhooks?tenant=no-such", token=token)).status == 403
    assert (await api.call("POST", "/access", {**KEY, "tenant": "globex"}, token=token)).status == 403
    assert (await api.call("POST", "/tokens", {"role": "viewer", "tenant": "globex"}, token=token)).status == 403
    assert (await api.call("POST", "/tenants", {"name": "initech"}, token=token)).status == 403
    assert (await api.call("GET", "/webhooks?tenant=acme", token=token)).status == 200


async def test_a_bound_admin_makes_bound_tokens_and_sees_no_others(api: Api) -> None:
    token = await api.token_for("admin", "acme")
    made = await api.make("/tokens", {"role": "admin"}, token=token)
    assert made["tenant"] == "acme"
    first = (await api.call("GET", "/tokens")).json["items"][0]
    assert (await api.call("DELETE", f"/tokens/{first['id']}", token=token)).status == 404
    assert {item["tenant"] for item in (await api.call("GET", "/tokens", token=token)).json["items"]} == {"acme"}
    assert {entry["tenant"] for entry in (await api.call("GET", "/audit", token=token)).json["items"]} == {"acme"}


async def test_an_unbound_admin_makes_a_tenant_by_naming_it_and_an_operator_does_not(api: Api) -> None:
    operator = await api.token_for("operator")
    assert (await api.call("POST", "/access", {**KEY, "tenant": "acme"}, token=operator)).status == 422
    assert (await api.make("/access", {**KEY, "tenant": "acme"}))["tenant"] == "acme"
    assert (await api.make("/access", {**CREDENTIAL, "tenant": "acme"}, token=operator))["tenant"] == "acme"
    assert [item["name"] for item in (await api.call("GET", "/tenants")).json["items"]] == ["default", "acme"]
    assert len((await api.call("GET", "/access?tenant=acme")).json["items"]) == 2
    assert (await api.call("POST", "/tenants", {"name": "acme"})).status == 409


async def test_the_audit_says_who_changed_what(api: Api) -> None:
    operator = await api.make("/tokens", {"role": "operator", "name": "Ada"})
    hook = await api.make(
        "/webhooks", {**HOOK, "url": "https://crm.example.com/h?key=t0psecret"}, token=operator["token"]
    )
    await api.call("PATCH", f"/webhooks/{hook['id']}", {"timeout_s": 5, "events": ["call.ended"]})
    changed, created, *_ = await api.audited()
    assert (created["action"], created["resource"]) == ("webhook.create", hook["id"])
    assert created["actor"] == f"Ada ({operator['prefix']})"
    assert created["detail"]["url"] == "https://crm.example.com/h?…"
    assert changed["detail"] == {"events": [["call.created", "call.saved"], ["call.ended"]], "timeout_s": [10.0, 5.0]}
    assert datetime.now(UTC) - datetime.fromisoformat(changed["at"]) < timedelta(minutes=1)


async def test_the_audit_pages_newest_first(api: Api) -> None:
    for n in range(5):
        await api.make("/tenants", {"name": f"t{n}"})
    first = (await api.call("GET", "/audit?limit=2")).json
    second = (await api.call("GET", f"/audit?limit=2&cursor={first['next_cursor']}")).json
    assert [entry["resource"] for entry in first["items"] + second["items"]] == ["t4", "t3", "t2", "t1"]


async def test_a_refused_change_leaves_no_audit_entry(api: Api) -> None:
    before = await api.audited()
    await api.call("POST", "/webhooks", {**HOOK, "url": "https://127.0.0.1/"})
    assert await api.audited() == before


async def test_an_unknown_address_and_a_wrong_method_are_problems_too(api: Api) -> None:
    lost = await api.call("GET", "/nothing")
    assert (lost.status, lost.json["type"], lost.json["instance"]) == (404, "/problems/not-found", "/api/v1/nothing")
    wrong = await api.call("PUT", "/webhooks", {})
    assert wrong.status == 405 and set(wrong.headers["Allow"].split(",")) == {"GET", "POST"}
