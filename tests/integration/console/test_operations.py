"""Operations: ports, rejected events, tokens and the audit."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from gateway.catalog import BY_NAME
from gateway.errors import FieldError
from gateway.ids import id_time
from gateway.model import PortState, Role, WebhookState
from tests.integration.console.site import Site

PORTS = "/operations/ports"
REJECTED = "/operations/rejected"
TOKENS = "/operations/tokens"
AUDIT = "/operations/audit"
BODY = b'{"call_id": "x",\r\n "phone": "5551234567"}'


async def test_a_port_that_a_webhook_asks_for_is_opened_with_one_click(site: Site) -> None:
    webhook = await site.webhook(url="https://crm.example.com:8443/")
    await site.sign_in(Role.OPERATOR)
    shown = await site.get(PORTS)
    assert "8443" in shown.text and "Asked for" in shown.text and f"/webhooks/settings/{webhook.id}" in shown.html
    (rule,) = site.registry.ports()
    await site.submit_form(f"{PORTS}/{rule.id}", {"state": "open"})
    changed = site.registry.webhook(webhook.id)
    assert changed is not None and changed.state is WebhookState.ACTIVE


async def test_closing_a_port_says_whom_it_concerns_and_blocks_them(site: Site) -> None:
    await site.registry.decide_port(8443, PortState.OPEN, by="test")
    webhook = await site.webhook(url="https://crm.example.com:8443/")
    await site.sign_in(Role.OPERATOR)
    assert "1 webhook stops delivering" in (await site.get(PORTS)).text
    (rule,) = site.registry.ports()
    await site.submit_form(f"{PORTS}/{rule.id}/close")
    changed = site.registry.webhook(webhook.id)
    assert changed is not None and changed.state is WebhookState.BLOCKED


async def test_a_port_is_opened_for_one_host_and_a_wrong_one_refused(site: Site) -> None:
    await site.sign_in(Role.OPERATOR)
    await site.submit_form(PORTS, {"port": "9443", "host": "CRM.example.com"})
    (rule,) = site.registry.ports()
    assert (rule.port, rule.host, rule.state) == (9443, "crm.example.com", PortState.OPEN)
    for port in ("", "0", "99999", "web"):
        assert (await site.submit_form(PORTS, {"port": port})).status == 422


async def test_a_customers_operator_asks_for_ports_and_does_not_decide(site: Site) -> None:
    await site.webhook(url="https://crm.example.com:8443/")
    (rule,) = site.registry.ports()
    await site.sign_in(Role.OPERATOR, tenant_id=1)
    assert "Open a port" not in (await site.get(PORTS)).text
    assert (await site.submit_form(PORTS, {"port": "9443"})).status == 422
    assert (await site.submit_form(f"{PORTS}/{rule.id}", {"state": "open"})).status == 403
    assert (await site.submit_form(f"{PORTS}/{rule.id}/close")).status == 403
    assert site.registry.ports() == [rule]


async def keep(site: Site, body: bytes = BODY, type: str | None = "call.created") -> str:
    return await site.rejected.keep(1, type, [FieldError("/call_id", "call_id must be an integer, not <b>x</b>")], body)


async def test_a_rejected_event_is_seen_with_what_is_wrong_mended_and_pushed_again(site: Site) -> None:
    rejection_id = await keep(site)
    await site.sign_in(Role.OPERATOR)
    assert "call_id must be an integer, not <b>x</b>" in (await site.get(REJECTED)).text
    shown = await site.get(f"{REJECTED}/{rejection_id}")
    assert "5551234567" in shown.text and "<b>x</b>" not in shown.html
    mended = '{"call_id": 7,\r\n "phone": "5551234567"}'
    assert (await site.submit_form(f"{REJECTED}/{rejection_id}/push", {"body": mended})).status == 303
    assert site.submitted == [(1, "call.created", b'{"call_id": 7,\n "phone": "5551234567"}')]
    assert "Nothing was rejected" in (await site.get(REJECTED)).text


async def test_text_that_nobody_touched_is_pushed_as_the_bytes_that_came(site: Site) -> None:
    body = BY_NAME["call.created"].sample.replace(b"\n", b"\r\n") + b"\r\n \n"
    rejection_id = await keep(site, body)
    await site.sign_in(Role.OPERATOR)
    shown = await site.get(f"{REJECTED}/{rejection_id}")
    text = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", shown.html, re.DOTALL)
    assert text is not None
    typed = text[1].replace("&#34;", '"').replace("\n", "\r\n")
    assert (await site.submit_form(f"{REJECTED}/{rejection_id}/push", {"body": typed})).status == 303
    assert site.submitted == [(1, "call.created", body)]


async def test_what_is_still_wrong_is_said_and_nothing_typed_is_lost(site: Site) -> None:
    rejection_id = await keep(site)
    await site.sign_in(Role.OPERATOR)
    shown = await site.submit_form(f"{REJECTED}/{rejection_id}/push", {"body": '{"call_id": "</textarea><b>"}'})
    assert shown.status == 422 and site.submitted == []
    assert "&lt;/textarea&gt;&lt;b&gt;" in shown.html and "call_id must be" in shown.text


async def test_an_event_of_unknown_type_is_pushed_as_the_one_that_is_chosen(site: Site) -> None:
    rejection_id = await keep(site, b'{"call_id": 7}', type="call.moved")
    await site.sign_in(Role.OPERATOR)
    assert 'name="type"' in (await site.get(f"{REJECTED}/{rejection_id}")).html
    fields = {"type": "call.ended", "body": '{"call_id": 7}'}
    await site.submit_form(f"{REJECTED}/{rejection_id}/push", fields)
    assert site.submitted == [(1, "call.ended", b'{"call_id": 7}')]


async def test_a_rejected_event_is_discarded(site: Site) -> None:
    rejection_id = await keep(site)
    await site.sign_in(Role.OPERATOR)
    await site.submit_form(f"{REJECTED}/{rejection_id}/discard")
    assert (await site.get(f"{REJECTED}/{rejection_id}")).status == 404
    assert "discarded the rejected event" in (await site.get(AUDIT)).text


async def test_a_viewer_sees_rejected_events_without_phone_numbers_and_changes_none(site: Site) -> None:
    rejection_id = await keep(site)
    await site.sign_in(Role.VIEWER)
    shown = await site.get(f"{REJECTED}/{rejection_id}")
    assert shown.status == 200 and "5551234567" not in shown.html and "Push it again" not in shown.text
    for what in ("push", "discard"):
        assert (await site.submit_form(f"{REJECTED}/{rejection_id}/{what}", {"body": "{}"})).status == 403


async def test_the_list_of_rejected_events_goes_on_to_older_ones(site: Site) -> None:
    for number in range(51):
        await site.rejected.keep(1, f"type {number:02}", [], b"{}")
    await site.sign_in(Role.VIEWER)
    first = await site.get(REJECTED)
    assert "type 50" in first.text and "type 00" not in first.text
    older = re.search(r'href="(/operations/rejected\?cursor=[^"]+)"', first.html)
    assert older is not None
    assert "type 00" in (await site.get(older[1])).text


async def test_a_token_is_shown_once_when_it_is_made(site: Site) -> None:
    await site.sign_in()
    shown = await site.submit_form(TOKENS + "/new", {"name": "switch", "role": "ingest", "expires_in": "90d"})
    found = re.search(r"gw_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", shown.text)
    assert found is not None and shown.headers["Cache-Control"] == "no-store"
    assert found[0] not in (await site.get(TOKENS)).html + (await site.get(AUDIT)).html
    (token,) = (each for each in site.registry.tokens() if each.name == "switch")
    assert token.role is Role.INGEST and token.expires_at is not None


async def test_a_token_without_a_role_is_refused(site: Site) -> None:
    await site.sign_in()
    count = len(site.registry.tokens())
    assert (await site.submit_form(TOKENS + "/new", {"name": "x"})).status == 422
    assert (await site.submit_form(TOKENS + "/new", {"role": "root"})).status == 422
    assert len(site.registry.tokens()) == count


async def test_revoking_ones_own_token_signs_out(site: Site) -> None:
    await site.sign_in()
    mine = max(site.registry.tokens(), key=lambda token: token.id)
    await site.submit_form(f"{TOKENS}/{mine.id}/revoke")
    assert (await site.get("/")).status == 303


async def test_the_last_admin_token_stays(site: Site) -> None:
    await site.sign_in_with(site.admin_token)
    (token,) = site.registry.tokens()
    shown = await site.submit_form(f"{TOKENS}/{token.id}/revoke")
    assert shown.status == 409 and "last admin token" in shown.text
    assert site.registry.tokens() == [token]


async def test_a_bound_admin_sees_and_makes_only_their_own_tokens(site: Site) -> None:
    other = await site.registry.add_tenant("other", by="test")
    await site.sign_in(Role.ADMIN, tenant_id=other.id)
    await site.submit_form(TOKENS + "/new", {"name": "theirs", "role": "viewer"})
    (made,) = (token for token in site.registry.tokens() if token.name == "theirs")
    assert made.tenant_id == other.id
    admin = next(token for token in site.registry.tokens() if token.tenant_id is None)
    assert (await site.submit_form(f"{TOKENS}/{admin.id}/revoke")).status == 404


async def test_the_audit_tells_who_changed_what(site: Site) -> None:
    await site.sign_in()
    webhook = await site.webhook(name="<i>crm</i>")
    await site.submit_form(f"/webhooks/settings/{webhook.id}/state", {"state": "paused"})
    shown = await site.get(AUDIT)
    assert "changed the webhook <i>crm</i>" in shown.text and "state active → paused" in shown.text
    assert f'href="/webhooks/settings/{webhook.id}"' in shown.html and "<i>" not in shown.html


async def test_a_cursor_that_is_not_ours_is_refused_in_words(site: Site) -> None:
    await site.sign_in()
    for path in (AUDIT, REJECTED):
        shown = await site.get(f"{path}?cursor=x")
        assert shown.status == 422 and "not a cursor of this list" in shown.text


async def test_operations_are_timed_by_the_viewers_clock_and_name_its_zone(site: Site) -> None:
    await site.sign_in(Role.ADMIN)
    await site.token_for(Role.VIEWER, expires_at=datetime(2099, 1, 31, 20, 0, tzinfo=UTC))
    site.client.session.cookie_jar.update_cookies({"gateway-zone": "Asia/Tokyo"}, site.client.make_url("/"))
    kept = await keep(site)
    tokyo = f"{id_time(kept) + timedelta(hours=9):%d %b %Y, %H:%M:%S}".removeprefix("0")
    for path in (REJECTED, f"{REJECTED}/{kept}"):
        page = await site.get(path)
        assert tokyo in page.text and "Times in Asia/Tokyo, UTC+9" in page.text
    tokens = await site.get(TOKENS)
    assert "until 1 Feb 2099, 05:00:00" in tokens.text and "Times in Asia/Tokyo" in tokens.text
    assert "Times in Asia/Tokyo" in (await site.get(AUDIT)).text
