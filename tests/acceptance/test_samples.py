"""Each published sample, through each door, to each kind of target: byte for byte, signed, with its credential."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from gateway.catalog import BY_NAME
from tests.acceptance.capture import Captured, CaptureTarget, Door, call
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, add_webhook

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPES = ["call.created", "call.ended", "call.saved", "reg_f.declined"]
ACCESSES: dict[str, dict[str, Any]] = {
    "basic": {"type": "basic", "key_name": "Authorization", "client_id": "hcc", "client_secret": "s3cret"},
    "header": {"type": "api_key", "key_name": "x-api-key", "api_key": "k3y", "location": "header"},
    "body": {"type": "api_key", "key_name": "token", "api_key": 'k"3\\y é', "location": "body"},
}


class Sink:
    """A gateway with one webhook for each kind of access, at `/t/<name>`, and their signing secrets."""

    def __init__(self, gateway: Gateway, target: CaptureTarget, door: Door) -> None:
        self.gateway = gateway
        self.target = target
        self.door = door
        self.secrets: dict[str, str] = {}

    async def add(self, name: str, **settings: Any) -> None:
        webhook_id = await add_webhook(self.gateway, self.target.url(f"/t/{name}"), events=TYPES, **settings)
        self.secrets[name] = (await self.gateway.api("GET", f"/webhooks/{webhook_id}/secret"))["secret"]

    async def received(self, name: str, event_id: str) -> Captured:
        path = f"/t/{name}"
        while event_id not in self.target.ids(path):
            await self.target.arrived(path, len(self.target.at(path)) + 1)
        return next(each for each in self.target.at(path) if each.event_id == event_id)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sink(new_data_dir: NewDataDir) -> AsyncIterator[Sink]:
    async with (
        CaptureTarget() as target,
        Gateway(new_data_dir(), egress_ports=[target.port]) as gateway,
        Door(gateway) as door,
    ):
        sink = Sink(gateway, target, door)
        for name, access in ACCESSES.items():
            made = await gateway.api("POST", "/access", {"name": name, **access})
            await sink.add(name, access_id=made["id"])
        await sink.add("get", method="GET")
        await sink.add("delete", method="DELETE")
        await sink.add("put", method="PUT")
        yield sink


async def through(door: Door, way: str, type: str) -> str:
    """Push a type's sample through one of the three calls; the event's id."""
    sample = BY_NAME[type].sample
    envelope = b'{"type": "%b", "data": %b}' % (BY_NAME[type].title.encode(), sample)
    if way == "raw":
        answer = await door.post(f"/v1/events/{type}", sample)
    elif way == "envelope":
        answer = await door.post("/v1/events", envelope)
    else:
        answer = await door.post("/v1/events/batch", b"[" + envelope + b"]")
    assert answer.status == 202, answer.body
    return str(answer.json["results"][0]["id"] if way == "batch" else answer.json["id"])


@pytest.mark.parametrize("way", ["raw", "envelope", "batch"])
@pytest.mark.parametrize("type", TYPES)
async def test_a_sample_arrives_byte_for_byte_with_its_credential_and_verifies(sink: Sink, type: str, way: str) -> None:
    sample = BY_NAME[type].sample if way == "raw" else BY_NAME[type].sample.strip()
    event_id = await through(sink.door, way, type)
    received = {name: await sink.received(name, event_id) for name in ACCESSES}
    assert received["basic"].body == received["header"].body == sample
    assert received["basic"].headers["authorization"] == "Basic " + base64.b64encode(b"hcc:s3cret").decode()
    assert received["header"].headers["x-api-key"] == "k3y"
    with_key = received["body"].body
    assert json.loads(with_key) == json.loads(sample) | {"token": 'k"3\\y é'}
    assert with_key.startswith(sample.strip()[:-1].rstrip()), "nothing but the key is added"
    for name, request in received.items():
        assert request.method == "POST" and request.headers["content-type"] == "application/json"
        assert request.headers["webhook-event"] == type and request.attempt == 1
        Webhook(sink.secrets[name]).verify(request.body, dict(request.headers))


@pytest.mark.parametrize("name", ["get", "delete"])
async def test_get_and_delete_carry_the_scalar_members_in_the_query_and_no_body(sink: Sink, name: str) -> None:
    data = (
        b'{"call_id": 12, "phone": "a b&c=\\u00e9/\\"", "revenue": 1.50, "note": null, "ok": true, "x": [1], "y": {}}'
    )
    event_id = await sink.door.accepted(data)
    request = await sink.received(name, event_id)
    assert request.method == name.upper() and request.body == b""
    assert request.query == {
        "call_id": "12", "phone": 'a b&c=é/"', "revenue": "1.50", "note": "", "ok": "true",
    }  # fmt: skip
    sent_at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    signed = Webhook(sink.secrets[name]).sign(event_id, sent_at, "")  # its `verify` insists on JSON
    assert request.headers["webhook-signature"] == signed


async def test_a_put_carries_the_body(sink: Sink) -> None:
    event_id = await sink.door.accepted(call(13))
    request = await sink.received("put", event_id)
    assert request.method == "PUT" and request.body == call(13)


async def test_a_rotated_secret_signs_beside_the_old_one(sink: Sink) -> None:
    webhooks = (await sink.gateway.api("GET", "/webhooks?limit=100"))["items"]
    webhook_id = next(each["id"] for each in webhooks if each["url"].endswith("/t/header"))
    new = (await sink.gateway.api("POST", f"/webhooks/{webhook_id}/secret"))["secret"]
    request = await sink.received("header", await sink.door.accepted(call(14)))
    assert len(request.headers["webhook-signature"].split()) == 2
    for secret in (sink.secrets["header"], new):
        Webhook(secret).verify(request.body, dict(request.headers))
    sink.secrets["header"] = new


async def test_the_log_shows_what_was_sent_and_no_secret(sink: Sink) -> None:
    event_id = await sink.door.accepted(call(15))
    for name in ACCESSES:
        await sink.received(name, event_id)
    shown: list[str] = []
    while len(shown) < len(sink.secrets):
        items = (await sink.gateway.api("GET", "/logs?call_id=15"))["items"]
        shown = [item["id"] for item in items if item["event_id"] == event_id]
    details = json.dumps([await sink.gateway.api("GET", f"/logs/{id}") for id in shown], ensure_ascii=False)
    for secret in ("s3cret", "aGNjOnMzY3JldA", "k3y", 'k\\"3'):
        assert secret not in details
    assert event_id in details
