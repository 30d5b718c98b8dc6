"""Target ports: a webhook on a closed one is blocked, says so, and delivers as soon as it is opened."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from gateway.egress.policy import EgressPolicy

from .conftest import HOOK, Api

ODD = {**HOOK, "url": "https://crm.example.com:8443/hooks"}


async def state_of(api: Api, hook: Any) -> str:
    return str((await api.call("GET", f"/webhooks/{hook['id']}")).json["state"])


async def ports(api: Api) -> list[tuple[int, str | None, str | None, str]]:
    items = (await api.call("GET", "/ports")).json["items"]
    return [(item["port"], item["host"], item["tenant"], item["state"]) for item in items]


async def test_a_webhook_on_a_closed_port_is_blocked_and_asks_for_it(api: Api) -> None:
    hook = await api.make("/webhooks", ODD)
    assert hook["state"] == "blocked"
    assert "port 8443 is not open" in hook["reason"] and "gateway port open 8443" in hook["reason"]
    assert await ports(api) == [(8443, "crm.example.com", "default", "asked")]


async def test_opening_what_was_asked_for_starts_delivery(api: Api) -> None:
    hook = await api.make("/webhooks", ODD)
    asked = (await api.call("GET", "/ports")).json["items"][0]
    assert (await api.call("PATCH", f"/ports/{asked['id']}", {"state": "open"})).json["state"] == "open"
    shown = (await api.call("GET", f"/webhooks/{hook['id']}")).json
    assert (shown["state"], shown["reason"]) == ("active", None)
    assert [webhook.state for webhook in api.heard.changed] == ["blocked", "active"]


async def test_opening_a_port_for_all_answers_every_question_about_it(api: Api) -> None:
    hooks = [await api.make("/webhooks", {**ODD, "url": f"https://h{n}.example.com:8443/"}) for n in range(3)]
    answer = await api.call("POST", "/ports", {"port": 8443})
    assert (answer.status, answer.json["state"]) == (201, "open")
    assert [await state_of(api, hook) for hook in hooks] == ["active"] * 3
    assert await ports(api) == [(8443, None, None, "open")]


async def test_opening_for_one_host_leaves_the_others_closed(api: Api) -> None:
    one = await api.make("/webhooks", ODD)
    other = await api.make("/webhooks", {**ODD, "url": "https://other.example.com:8443/"})
    await api.make("/ports", {"port": 8443, "host": "CRM.example.com"})
    assert (await state_of(api, one), await state_of(api, other)) == ("active", "blocked")


async def test_closing_a_port_blocks_again_and_asks_anew(api: Api) -> None:
    hook = await api.make("/webhooks", ODD)
    rule = await api.make("/ports", {"port": 8443})
    assert (await api.call("DELETE", f"/ports/{rule['id']}")).status == 204
    assert await state_of(api, hook) == "blocked"
    assert await ports(api) == [(8443, "crm.example.com", "default", "asked")]


async def test_a_denied_port_says_so(api: Api) -> None:
    hook = await api.make("/webhooks", ODD)
    asked = (await api.call("GET", "/ports")).json["items"][0]
    await api.call("PATCH", f"/ports/{asked['id']}", {"state": "denied"})
    shown = (await api.call("GET", f"/webhooks/{hook['id']}")).json
    assert shown["state"] == "blocked" and "has denied port 8443" in shown["reason"]


async def test_a_pause_outlives_the_closing_and_opening_of_its_port(api: Api) -> None:
    hook = await api.make("/webhooks", ODD)
    await api.call("PATCH", f"/webhooks/{hook['id']}", {"state": "paused"})
    await api.make("/ports", {"port": 8443})
    assert await state_of(api, hook) == "paused"
    await api.call("PATCH", f"/webhooks/{hook['id']}", {"state": "active"})
    assert await state_of(api, hook) == "active"


async def test_resuming_on_a_closed_port_stays_blocked(api: Api) -> None:
    hook = await api.make("/webhooks", {**ODD, "state": "paused"})
    answer = await api.call("PATCH", f"/webhooks/{hook['id']}", {"state": "active"})
    assert answer.json["state"] == "blocked" and "8443" in answer.json["reason"]


async def test_moving_to_an_open_port_unblocks_and_withdraws_the_question(api: Api) -> None:
    hook = await api.make("/webhooks", ODD)
    answer = await api.call("PATCH", f"/webhooks/{hook['id']}", {"url": "https://crm.example.com/hooks"})
    assert (answer.json["state"], answer.json["reason"]) == ("active", None)
    assert await ports(api) == []


async def test_deleting_the_last_webhook_on_a_port_withdraws_the_question(api: Api) -> None:
    hook = await api.make("/webhooks", ODD)
    await api.call("DELETE", f"/webhooks/{hook['id']}")
    assert await ports(api) == []


async def test_a_port_opened_before_the_webhook_is_open_for_it(api: Api) -> None:
    await api.make("/ports", {"port": 8443})
    assert (await api.make("/webhooks", ODD))["state"] == "active"


async def test_a_port_that_the_settings_open_is_open_after_the_restart(api: Api) -> None:
    hook = await api.make("/webhooks", ODD)
    opened = api.new_registry(EgressPolicy(ports=[80, 443, 8443]))
    await opened.load()
    webhook = opened.webhook(hook["id"])
    assert webhook is not None and (webhook.state, webhook.reason) == ("active", None)
    assert opened.ports() == []
    closed = api.new_registry()
    await closed.load()
    webhook = closed.webhook(hook["id"])
    assert webhook is not None and webhook.state == "blocked"
    assert [rule.state for rule in closed.ports()] == ["asked"]


async def test_a_webhook_whose_address_is_refused_since_the_restart_can_still_be_paused(api: Api) -> None:
    lax = api.new_registry(EgressPolicy(allow=[ip_network("10.0.0.0/8")]))
    hook = await api.make("/webhooks", HOOK)
    await lax.load()
    await lax.change_webhook(hook["id"], {"url": "https://10.1.2.3/"}, by="test")
    await api.registry.load()
    path = f"/webhooks/{hook['id']}"
    assert (await api.call("PATCH", path, {"state": "paused"})).json["state"] == "paused"
    assert (await api.call("PATCH", path, {"url": "https://10.1.2.4/"})).json["type"] == "/problems/egress-refused"


async def test_opening_twice_is_one_entry(api: Api) -> None:
    first = await api.make("/ports", {"port": 8443, "tenant": "default"})
    second = await api.make("/ports", {"port": 8443, "tenant": "default"})
    assert first == second and len(await ports(api)) == 1


@pytest.mark.parametrize(
    "body", [{"port": 0}, {"port": 65536}, {"port": "8443"}, {"port": 1, "host": "a b"}, {"port": 1, "host": "\x00"}]
)
async def test_what_is_no_port_is_refused(api: Api, body: dict[str, object]) -> None:
    assert (await api.call("POST", "/ports", body)).status == 422


async def test_only_an_unbound_operator_decides(api: Api) -> None:
    bound = await api.token_for("operator", "acme")
    await api.make("/webhooks", {**ODD, "tenant": "acme"})
    asked = (await api.call("GET", "/ports", token=bound)).json["items"][0]
    assert (await api.call("POST", "/ports", {"port": 8443}, token=bound)).status == 403
    assert (await api.call("PATCH", f"/ports/{asked['id']}", {"state": "open"}, token=bound)).status == 403
    assert (await api.call("POST", "/ports", {"port": 8443}, token=await api.token_for("viewer"))).status == 403
    unbound = await api.token_for("operator")
    assert (await api.call("PATCH", f"/ports/{asked['id']}", {"state": "open"}, token=unbound)).status == 200
