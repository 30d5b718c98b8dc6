"""What an attacker would put wherever something can be put: markup, script, turned writing, controls, long words.

Invariant: what runs or takes effect changes the page's title or speaks up in the browser's console.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.errors import FieldError
from gateway.ids import floor_id
from gateway.ingress.tokens import mint
from gateway.model import Access, AccessType, DeliveryState, ErrorKind, Event, PortState, Role, Token, Webhook
from gateway.store.audit import AuditEntry
from gateway.store.replay_range import ReplayRange
from tests.integration.console.site import Site

MARKUP = """</code></pre><script>document.title='owned'</script><img src=x onerror="document.title='owned'">"""
TURNED = "\u202e\u2066\u200fمرحبا"
CONTROLS = "\x00\x01\x08\x1b[31m\x7f\x85"
WORD = "w" * 10_000
NAME = (f"<b onmouseover=x()>'\"{{{{7*7}}}}{TURNED}" + "w" * 200)[:200]
"""As long as a name may be."""
PAYLOAD = (
    '{"call_id": 77, "account_id": "<i>", "phone": "<svg onload=document.title=1>", "agent": "' + WORD + '", '
    '"note": "\\u202e\\u0001\\u001b[31m </script><script>x()</script>", "\u202e<i>key": "' + TURNED + '"}'
).encode()
BODY = f"{MARKUP}{TURNED}{CONTROLS}{WORD}".encode()
HEADERS = f"x-bad: {MARKUP}\r\nx-long: {WORD}\r\nx-turned: {TURNED}\r\n".encode()


async def fill_with_hostility(site: Site) -> dict[str, str]:
    """An address for each page of a single thing, all of them as hostile as they may be."""
    access = await site.registry.add_access(
        Access(site.ids.next(), 1, NAME, AccessType.BASIC, "Authorization", client_id=NAME, client_secret="s" * 30),
        by=NAME,
    )
    webhook = await site.webhook(name=NAME, access=access, url="https://crm.example.com/" + "p" * 1900)
    other = await site.webhook(name=TURNED + "x" * 150, url="https://crm.example.com:8443/?q=%3Cscript%3E")
    await site.registry.decide_port(9443, PortState.DENIED, by=MARKUP, host="crm.example.com")
    made = mint()
    await site.registry.add_token(
        Token(site.ids.next(), NAME, Role.VIEWER, None, made.prefix, made.digest, datetime.now(UTC), None),
        by=MARKUP,
    )
    event, attempt_id = await _failed_call(site, webhook, other)
    rejected = await site.rejected.keep(1, MARKUP, [FieldError("/" + WORD[:500], MARKUP + TURNED)], BODY)
    return {
        "/webhooks/access/{id}": f"/webhooks/access/{access.id}",
        "/webhooks/settings/{id}": f"/webhooks/settings/{webhook.id}",
        "/webhooks/settings/{id}/edit": f"/webhooks/settings/{webhook.id}/edit",
        "/reports/logs/{id}": f"/reports/logs/{attempt_id}",
        "/reports/calls/{call_id}": "/reports/calls/77",
        "/reports/replays/{id}": f"/reports/replays/{await _replays(site, event, webhook)}",
        "/operations/rejected/{id}": f"/operations/rejected/{rejected}",
    }


async def _failed_call(site: Site, webhook: Webhook, other: Webhook) -> tuple[Event, str]:
    """An event of a call that failed at one webhook and waits for another; one attempt at it."""
    event = await site.event(webhook, other, payload=PAYLOAD)
    await site.attempt(event, webhook, status=None, error=ErrorKind.TLS_NAME, detail=MARKUP + TURNED)
    attempt_id = await site.attempt(event, webhook, number=2, status=500, response_body=BODY, response_headers=HEADERS)
    await site.row(event, webhook, DeliveryState.FAILED)
    await site.row(event, other, DeliveryState.RETRYING)
    return event, attempt_id


async def _replays(site: Site, event: Event, webhook: Webhook) -> str:
    """One of the event and one of the webhook, which runs on; the id of that."""
    store, now = site.parts.replays, datetime.now(UTC)

    def entry() -> AuditEntry:
        return AuditEntry(site.ids.next(), 1, NAME, "replay.create", NAME, {"note": MARKUP})

    await store.start_event(site.ids.next(), event_id=event.id, webhook_id=webhook.id, tenant_id=1, entry=entry())
    replay_id = site.ids.next()
    await store.start_range(
        replay_id,
        ReplayRange(
            tenant_id=1,
            webhook_id=webhook.id,
            from_id=floor_id(now - timedelta(hours=1)),
            before_id=floor_id(now + timedelta(hours=1)),
            only_failed=True,
        ),
        total=1,
        entry=entry(),
    )
    return replay_id
