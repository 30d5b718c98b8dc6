"""Accesses through the API: what is taken, what is refused, and that a secret never comes out again."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import GatewayError

from .conftest import CREDENTIAL, HOOK, KEY, Api


async def test_a_basic_access_is_shown_without_its_secret(api: Api) -> None:
    answer = await api.call("POST", "/access", CREDENTIAL)
    assert answer.headers["Location"] == f"/api/v1/access/{answer.json['id']}"
    shown = {name: value for name, value in CREDENTIAL.items() if name != "client_secret"}
    assert answer.json == {**shown, "id": answer.json["id"], "location": "header", "tenant": "default"}


async def test_no_secret_is_in_any_answer_or_in_the_audit(api: Api) -> None:
    basic, key = await api.make("/access", CREDENTIAL), await api.make("/access", KEY)
    answers = [
        await api.call("PATCH", f"/access/{basic['id']}", {"client_secret": "n3w-s3cr3t"}),
        await api.call("PATCH", f"/access/{key['id']}", {"api_key": "n3w-k3y", "type": "basic"}),
        await api.call("PATCH", f"/access/{key['id']}", {"api_key": "n3w-k3y\r\n"}),
        await api.call("PATCH", f"/access/{key['id']}", {"api_kye": "n3w-k3y"}),
        await api.call("POST", "/access", {**KEY, "api_key": ["k3y-value"]}),
        await api.call("POST", "/access", {**KEY, "location": "k3y-value"}),
        await api.call("GET", "/access"),
        await api.call("GET", f"/access/{basic['id']}"),
        await api.call("GET", "/audit"),
    ]
    for answer in answers:
        for secret in ("s3cr3t", "k3y-value", "n3w-k3y"):
            assert secret not in answer.text


async def test_a_secret_is_sealed_to_its_row(api: Api) -> None:
    access = await api.make("/access", CREDENTIAL)
    other = await api.make("/access", KEY)
    stored = await api.pool.fetchval("SELECT secret FROM accesses WHERE id = $1", access["id"])
    assert b"s3cr3t!" not in stored
    await api.pool.execute("UPDATE accesses SET secret = $1 WHERE id = $2", stored, other["id"])
    with pytest.raises(GatewayError, match="belongs to another row"):
        await api.new_registry().load()


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"key_name": "Host"}, "/key_name"),
        ({"key_name": "content-length"}, "/key_name"),
        ({"key_name": "Transfer-Encoding"}, "/key_name"),
        ({"key_name": "Connection"}, "/key_name"),
        ({"key_name": "Webhook-Signature"}, "/key_name"),
        ({"key_name": "x key"}, "/key_name"),
        ({"key_name": "x-key:"}, "/key_name"),
        ({"key_name": "x-key\r\nEvil: 1"}, "/key_name"),
        ({"key_name": "schlüssel"}, "/key_name"),
        ({"key_name": ""}, "/key_name"),
        ({"api_key": ""}, "/api_key"),
        ({"api_key": " padded "}, "/api_key"),
        ({"api_key": "a\r\nEvil: 1"}, "/api_key"),
        ({"api_key": "schlüssel"}, "/api_key"),
        ({"api_key": None}, "/api_key"),
        ({"api_key": "x" * 5000}, "/api_key"),
        ({"client_id": "a"}, "/client_id"),
        ({"client_secret": "a"}, "/client_secret"),
        ({"location": "query"}, "/location"),
        ({"type": "oauth"}, "/type"),
        ({"name": ""}, "/name"),
        ({"name": "a\u0000b"}, "/name"),
        ({"location": "body", "key_name": "\u0000"}, "/key_name"),
    ],
)
async def test_an_api_key_that_could_not_be_sent_is_refused(api: Api, changes: dict[str, Any], pointer: str) -> None:
    answer = await api.call("POST", "/access", {**KEY, **changes})
    assert answer.status == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json["errors"]]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"client_id": "a:b"}, "/client_id"),
        ({"client_id": None}, "/client_id"),
        ({"client_secret": None}, "/client_secret"),
        ({"client_secret": "a\nb"}, "/client_secret"),
        ({"api_key": "k"}, "/api_key"),
        ({"location": "body"}, "/location"),
        ({"key_name": "Host"}, "/key_name"),
    ],
)
async def test_a_basic_access_that_could_not_be_sent_is_refused(
    api: Api, changes: dict[str, Any], pointer: str
) -> None:
    answer = await api.call("POST", "/access", {**CREDENTIAL, **changes})
    assert answer.status == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json["errors"]]


async def test_a_body_key_may_have_any_name_and_any_printable_value(api: Api) -> None:
    access = await api.make("/access", {**KEY, "location": "body", "key_name": "clé d'accès", "api_key": "пароль ✓"})
    assert access["key_name"] == "clé d'accès"


async def test_two_accesses_of_a_tenant_do_not_share_a_name(api: Api) -> None:
    await api.make("/access", CREDENTIAL)
    other = await api.make("/access", KEY)
    assert (await api.call("POST", "/access", CREDENTIAL)).status == 409
    assert (await api.call("PATCH", f"/access/{other['id']}", {"name": "crm"})).status == 409
    await api.make("/access", {**CREDENTIAL, "tenant": "acme"})


async def test_a_new_secret_reaches_the_webhooks_that_use_it_at_once(api: Api) -> None:
    access = await api.make("/access", CREDENTIAL)
    hook = await api.make("/webhooks", {**HOOK, "access_id": access["id"]})
    await api.call("PATCH", f"/access/{access['id']}", {"client_secret": "another"})
    told = api.heard.changed[-1]
    assert told.id == hook["id"] and told.access is not None and told.access.client_secret == "another"


async def test_the_type_cannot_change(api: Api) -> None:
    access = await api.make("/access", CREDENTIAL)
    answer = await api.call("PATCH", f"/access/{access['id']}", {"type": "api_key", "api_key": "k"})
    assert answer.status == 422 and answer.json["errors"][0]["pointer"] == "/type"
    assert (await api.call("PATCH", f"/access/{access['id']}", {"type": "basic", "name": "same"})).status == 200


async def test_moving_the_key_into_the_body_is_refused_while_a_get_uses_it(api: Api) -> None:
    access = await api.make("/access", KEY)
    await api.make("/webhooks", {**HOOK, "name": "poller", "method": "GET", "access_id": access["id"]})
    answer = await api.call("PATCH", f"/access/{access['id']}", {"location": "body"})
    assert answer.status == 422 and "poller" in answer.json["detail"]


async def test_renaming_a_body_key_to_a_member_of_the_payload_is_refused(api: Api) -> None:
    access = await api.make("/access", {**KEY, "location": "body"})
    await api.make("/webhooks", {**HOOK, "access_id": access["id"]})
    answer = await api.call("PATCH", f"/access/{access['id']}", {"key_name": "phone"})
    assert answer.status == 422 and answer.json["errors"][0]["pointer"] == "/key_name"


async def test_an_access_in_use_is_not_deleted_and_says_by_what(api: Api) -> None:
    access = await api.make("/access", KEY)
    hook = await api.make("/webhooks", {**HOOK, "name": "to the CRM", "access_id": access["id"]})
    answer = await api.call("DELETE", f"/access/{access['id']}")
    assert answer.status == 409 and "to the CRM" in answer.json["detail"]
    assert (await api.call("PATCH", f"/webhooks/{hook['id']}", {"access_id": None})).json["access_id"] is None
    assert (await api.call("DELETE", f"/access/{access['id']}")).status == 204
    assert (await api.call("GET", f"/access/{access['id']}")).status == 404
