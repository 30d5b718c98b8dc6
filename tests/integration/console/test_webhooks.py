"""Webhook Settings: adding, trying out, pausing, deleting, and what is said of a URL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.model import PortState, Role, WebhookState
from tests.integration.console.site import Site

PATH = "/webhooks/settings"
NEW = PATH + "/new"
TRY = PATH + "/try"
FORM: dict[str, str | list[str]] = {
    "method": "POST",
    "events": ["call.created", "call.saved"],
    "url": "https://crm.example.com/hooks",
    "timeout_s": "10",
    "max_in_flight": "32",
    "ordered": "on",
    "order_wait_s": "1h",
}
HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
async def target(site: Site) -> AsyncIterator[TestServer]:
    """Somebody's system, which echoes, on a port that is open."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=f"<b>{HOSTILE}</b>", status=int(request.query.get("status", "200")))

    app = web.Application()
    app.router.add_post("/", echo)
    server = TestServer(app)
    async with server:
        assert server.port is not None
        await site.registry.decide_port(server.port, PortState.OPEN, by="test")
        yield server


async def test_an_empty_list_says_what_a_webhook_is_and_how_to_add_one(site: Site) -> None:
    await site.sign_in()
    shown = await site.get(PATH)
    assert "No webhook yet" in shown.text and f'href="{NEW}"' in shown.html
    assert f"{site.origin}/api/v1/webhooks" in shown.text


async def test_a_webhook_is_added_as_the_form_says(site: Site) -> None:
    await site.sign_in()
    fields = {**FORM, "name": "crm", "retry_schedule": "5s, 2h", "rate_per_s": "2.5", "order_wait_s": "90m"}
    shown = await site.submit_form(NEW, fields)
    (webhook,) = site.registry.webhooks()
    assert shown.location == f"{PATH}/{webhook.id}"
    assert (webhook.name, webhook.method, webhook.events) == ("crm", "POST", frozenset(("call.created", "call.saved")))
    assert (webhook.retry_schedule_s, webhook.rate_per_s, webhook.order_wait_s) == ((5, 7200), 2.5, 5400)


async def test_the_form_as_it_comes_makes_a_webhook_with_the_usual_settings(site: Site) -> None:
    await site.sign_in()
    await site.submit_form(NEW, FORM)
    (webhook,) = site.registry.webhooks()
    assert (webhook.timeout_s, webhook.max_in_flight, webhook.rate_per_s) == (10, 32, None)
    assert (webhook.retry_schedule_s, webhook.order_wait_s) == (None, 3600)


@pytest.mark.parametrize(
    "settings",
    [
        {"retry_schedule_s": (0.25, 90.5, 5400.0, 86_400.0), "order_wait_s": None, "rate_per_s": 0.1},
        {"retry_schedule_s": (), "timeout_s": 0.5, "max_in_flight": 1, "order_wait_s": 0.0},
        {"name": HOSTILE, "method": "PUT", "url": "https://crm.example.com/?a=b&c=%22"},
    ],
)
async def test_saving_a_form_that_nobody_touched_changes_nothing(site: Site, settings: dict[str, object]) -> None:
    await site.sign_in()
    webhook = await site.webhook(**settings)
    fields = await site.fields(f"{PATH}/{webhook.id}/edit")
    assert (await site.send(f"{PATH}/{webhook.id}/edit", fields)).status == 303
    assert site.registry.webhook(webhook.id) == webhook


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("url", "https://10.0.0.1/", "10.0.0.1"),
        ("url", "ftp://crm.example.com", "http:// or https://"),
        ("events", "", "Choose at least one"),
        ("timeout_s", "soon", "valid number"),
        ("timeout_s", "61", "60"),
        ("retry_schedule", "5s, later", "30s, 5m, 2h"),
        ("order_wait_s", "forever", "30s, 5m, 2h"),
        ("method", "TRACE", "POST"),
        ("access_id", "00000000-0000-0000-0000-000000000000", "no access with this id"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field(site: Site, field: str, text: str, said: str) -> None:
    await site.sign_in()
    shown = await site.submit_form(NEW, {**FORM, field: text})
    assert shown.status == 422 and site.registry.webhooks() == []
    error = shown.html.partition(f'id="{field}-error"')[2].partition("</p>")[0]
    assert said in error
    if field in ("timeout_s", "retry_schedule", "order_wait_s"):
        assert '<details class="more-fields" open>' in shown.html


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://crm.example.com/", "not encrypted"),
        ("https://192.168.1.5/x", "192.168.1.5"),
        ("https://crm.example.com:8443/", "Port 8443 is not open"),
        ("https://crm.example.com/", "Events will go to crm.example.com"),
        ("crm", "http:// or https://"),
    ],
)
async def test_a_url_is_checked_while_it_is_typed(site: Site, url: str, said: str) -> None:
    await site.sign_in(Role.OPERATOR)
    shown = await site.submit_form(PATH + "/check-url", {"url": url}, part=True)
    assert shown.status == 200 and said in shown.text and "<html" not in shown.html


async def test_a_webhook_whose_port_is_not_open_is_saved_and_says_so(site: Site) -> None:
    await site.sign_in()
    shown = await site.submit_form(NEW, {**FORM, "url": "https://crm.example.com:8443/"})
    page = await site.get(shown.location)
    assert "does not deliver yet" in page.text and "Blocked" in page.text
    assert [rule.port for rule in site.registry.ports()] == [8443]


async def test_send_test_shows_request_and_response_as_text(site: Site, target: TestServer) -> None:
    await site.sign_in()
    webhook = await site.webhook(url=str(target.make_url("/")))
    for part in (True, False):
        shown = await site.submit_form(f"{PATH}/{webhook.id}/test", {"type": "call.created"}, part=part)
        assert shown.status == 200 and ("<html" in shown.html) is not part
        assert f"<b>{HOSTILE}</b>" in shown.text and "<script>alert" not in shown.html
        assert "webhook-signature" in shown.text and "call_id" in shown.text


async def test_a_form_is_tried_before_it_is_saved_and_nothing_is_stored(site: Site, target: TestServer) -> None:
    await site.sign_in()
    fields = {**FORM, "url": str(target.make_url("/")), "sample": "call.saved"}
    for part in (True, False):
        shown = await site.send(TRY, {**fields, "csrf": await site.csrf()}, part=part)
        assert shown.status == 200 and "Nothing was saved" in shown.text and HOSTILE in shown.text
        assert '"webhook-event"' in shown.text and "call.saved" in shown.text and "Waiting for the answer" in shown.text
        assert "Open in the log" not in shown.text
    assert site.registry.webhooks() == []
    assert "No request matches" in (await site.get("/reports/logs?period=all")).text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://crm.example.com:8443/", "port 8443 is not open"),
        ("https://10.0.0.1/", "Nothing was sent"),
        ("crm", "http:// or https://"),
    ],
)
async def test_a_form_goes_nowhere_that_a_webhook_may_not(site: Site, url: str, said: str) -> None:
    await site.sign_in()
    shown = await site.send(TRY, {**FORM, "url": url, "csrf": await site.csrf()}, part=True)
    assert "Nothing was sent" in shown.text and said.casefold() in shown.text.casefold()
    assert site.registry.ports() == []


async def test_a_port_that_is_open_for_another_customer_is_not_tried(site: Site, target: TestServer) -> None:
    acme = await site.registry.add_tenant("acme", by="test")
    (rule,) = site.registry.ports()
    await site.registry.remove_port(rule.id, by="test")
    assert target.port is not None
    await site.registry.decide_port(target.port, PortState.OPEN, tenant_id=acme.id, by="test")
    await site.sign_in()
    fields = {**FORM, "url": str(target.make_url("/")), "tenant": "default"}
    shown = await site.send(TRY, {**fields, "csrf": await site.csrf()}, part=True)
    assert "Nothing was sent" in shown.text and f"Port {target.port} is not open" in shown.text


async def test_a_viewer_tries_no_form(site: Site) -> None:
    await site.sign_in(Role.VIEWER)
    assert (await site.send(TRY, {**FORM, "csrf": await site.csrf()}, part=True)).status == 403


async def test_send_test_explains_a_failure(site: Site, target: TestServer) -> None:
    await site.sign_in()
    webhook = await site.webhook(url=str(target.make_url("/?status=401")))
    shown = await site.submit_form(f"{PATH}/{webhook.id}/test", {"type": "call.created"}, part=True)
    assert "401 Unauthorized" in shown.text and "What to do:" in shown.text


async def test_a_webhook_is_paused_and_resumed(site: Site) -> None:
    await site.sign_in(Role.OPERATOR)
    webhook = await site.webhook()
    for state in (WebhookState.PAUSED, WebhookState.ACTIVE):
        await site.submit_form(f"{PATH}/{webhook.id}/state", {"state": state})
        changed = site.registry.webhook(webhook.id)
        assert changed is not None and changed.state is state
    assert (await site.get(f"{PATH}/{webhook.id}")).text.count("was resumed") == 1


async def test_the_signing_secret_is_shown_only_when_asked_for_and_that_is_audited(site: Site) -> None:
    await site.sign_in(Role.OPERATOR)
    webhook = await site.webhook()
    assert "whsec_" not in (await site.get(f"{PATH}/{webhook.id}")).html
    shown = await site.submit_form(f"{PATH}/{webhook.id}/secret", part=True)
    assert "whsec_a2tra2" in shown.text and shown.headers["Cache-Control"] == "no-store"
    entries = await site.config.audit(tenant_id=None, before_id=None, limit=1)
    assert (entries[0].action, entries[0].resource) == ("webhook.read_secret", webhook.id)


async def test_rotating_shows_the_new_secret_and_keeps_the_old_one_for_a_day(site: Site) -> None:
    await site.sign_in(Role.OPERATOR)
    webhook = await site.webhook()
    shown = await site.submit_form(f"{PATH}/{webhook.id}/secret/rotate", part=True)
    assert "whsec_" in shown.text and "whsec_a2tra2" not in shown.text and "still signs beside it" in shown.text
    rotated = site.registry.webhook(webhook.id)
    assert rotated is not None and rotated.signing_secrets[1] == webhook.signing_secrets[0]


async def test_a_webhook_is_deleted(site: Site) -> None:
    await site.sign_in(Role.OPERATOR)
    webhook = await site.webhook()
    assert (await site.submit_form(f"{PATH}/{webhook.id}/delete")).location == PATH
    assert site.registry.webhooks() == []
    assert (await site.get(f"{PATH}/{webhook.id}")).status == 404


async def test_hostile_names_are_shown_as_text(site: Site) -> None:
    await site.sign_in()
    webhook = await site.webhook(name=HOSTILE, url="https://crm.example.com/?q='>\"<b>")
    for path in (PATH, f"{PATH}/{webhook.id}", f"{PATH}/{webhook.id}/edit"):
        shown = await site.get(path)
        assert HOSTILE in shown.text or "value=" in shown.html
        assert "<script>alert" not in shown.html and "<b>" not in shown.html


async def test_a_viewer_sees_webhooks_and_changes_none(site: Site) -> None:
    webhook = await site.webhook(url="https://crm.example.com/hook?key=abc")
    await site.sign_in(Role.VIEWER)
    one = f"{PATH}/{webhook.id}"
    for path in (PATH, one):
        shown = await site.get(path)
        assert shown.status == 200 and "Delete" not in shown.text and "key=abc" not in shown.html
    assert (await site.get(one + "/edit")).status == 403
    for path in (NEW, one + "/edit", one + "/state", one + "/test", one + "/secret", one + "/delete"):
        assert (await site.submit_form(path, FORM)).status == 403
    assert site.registry.webhook(webhook.id) == webhook


async def test_another_customers_webhook_does_not_exist(site: Site) -> None:
    webhook = await site.webhook()
    other = await site.registry.add_tenant("other", by="test")
    await site.sign_in(Role.ADMIN, tenant_id=other.id)
    assert "No webhook yet" in (await site.get(PATH)).text
    one = f"{PATH}/{webhook.id}"
    for path in (one, one + "/edit"):
        assert (await site.get(path)).status == 404
    for path in (
        one + "/edit",
        one + "/state",
        one + "/test",
        one + "/secret",
        one + "/secret/rotate",
        one + "/delete",
    ):
        assert (await site.submit_form(path, {**FORM, "type": "call.created"})).status == 404


async def test_the_list_finds_by_name_url_and_event_and_pages(site: Site) -> None:
    await site.sign_in()
    for number in range(53):
        await site.webhook(name=f"hook {number:02}", url=f"https://t{number}.example.com/")
    first, second = await site.get(PATH), await site.get(PATH + "?page=2")
    assert "hook 49" in first.text and "hook 50" not in first.text and "1–50 of 53" in first.text
    assert "hook 52" in second.text and "hook 49" not in second.text
    assert "hook 07" in (await site.get(PATH + "?q=T7.example")).text
    assert "No webhook matches" in (await site.get(PATH + "?q=call.ended")).text
    assert (await site.get(PATH + "?page=-1&state=x")).status == 200
