"""The pictures in docs/console: `make pictures` takes them anew, of every page, from one made-up morning.

Reduced to a palette of 128 colours, as those in the repository are, they take a third of the room: any PNG tool does
that. Invariant: the pages are those of the router, so one that was added has its picture the next time.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.async_api import Page, ViewportSize

from gateway.errors import FieldError
from gateway.ids import floor_id
from gateway.ingress.tokens import mint
from gateway.model import Access, AccessType, KeyLocation, Role, Token, Webhook, WebhookState
from gateway.store.audit import AuditEntry
from gateway.store.maintenance import Unsettled
from gateway.store.replay_range import ReplayRange
from gateway.telemetry.metrics import LaneSample
from tests.browser.conftest import Viewer
from tests.browser.morning import Morning
from tests.browser.places import pages
from tests.integration.console.site import Site

FOLDER = Path(__file__).parent.parent.parent / "docs" / "console"
BY = "Dana Reyes"
DARK = ("/", "/reports/logs", "/reports/calls/{call_id}")
EMPTY = ("/", "/webhooks/access", "/webhooks/settings", "/reports/logs", "/operations/rejected")
LOW_PX, TALL_PX = 700, 1100
"""What is longer is cut off at the foot: a log of fifty rows needs no picture of fifty rows."""


async def test_every_page_has_its_picture(viewer: Viewer) -> None:
    await asyncio.to_thread(FOLDER.mkdir, exist_ok=True)
    page = await viewer.open()
    for path in EMPTY:
        await _take(page, path, f"empty-{_name(path)}")
    examples = await _fill(viewer.site)
    for phone in (False, True):
        page = await viewer.open(phone=phone)
        for path in pages(viewer.site):
            await _take(page, examples.get(path, path), _name(path) + ("-phone" if phone else ""))
    page = await viewer.open(dark=True)
    for path in DARK:
        await _take(page, examples.get(path, path), f"{_name(path)}-dark")
    page = await viewer.open(signed_in=False)
    await _take(page, "/sign-in", "sign-in")
    assert viewer.complaints == []


async def _take(page: Page, path: str, name: str) -> None:
    await page.goto(path)
    await page.wait_for_load_state("networkidle")
    screen = page.viewport_size
    assert screen is not None
    tall_px = min(await page.evaluate("document.documentElement.scrollHeight"), TALL_PX)
    await page.set_viewport_size(ViewportSize(width=screen["width"], height=max(tall_px, LOW_PX)))
    await page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")
    await page.set_viewport_size(ViewportSize(width=screen["width"], height=LOW_PX))


async def _fill(site: Site) -> dict[str, str]:
    """What the morning left; an address for each page of a single thing."""
    crm_access = await site.registry.add_access(
        Access(site.ids.next(), 1, "CRM", AccessType.BASIC, "Authorization", client_id="hcc", client_secret="s" * 20),
        by=BY,
    )
    board_access = await site.registry.add_access(
        Access(
            site.ids.next(), 1, "Wallboard key", AccessType.API_KEY, "x-api-key", KeyLocation.BODY, api_key="k" * 20
        ),
        by=BY,
    )
    calls = frozenset({"call.created", "call.ended", "call.saved"})
    crm = await _webhook(site, name="CRM", events=calls, access=crm_access, url="https://crm.example.com/hooks/calls")
    warehouse = await _webhook(
        site, name="Data warehouse", events=frozenset({"call.saved"}), url="https://ingest.example.com/v2/calls"
    )
    wallboard = await _webhook(
        site,
        name="Wallboard",
        events=frozenset({"call.created"}),
        access=board_access,
        url="https://board.example.com/feed",
    )
    await _webhook(
        site,
        name="Collections",
        events=frozenset({"call.saved", "reg_f.declined"}),
        url="https://collect.example.com:8443/in",
    )
    await _webhook(
        site, name="Old CRM", events=calls, url="https://old-crm.example.com/calls",
        paused="the target answered 410 Gone: it does not want these events any more",
    )  # fmt: skip
    await _add_tokens(site)
    morning = Morning(site, datetime.now(UTC), crm, warehouse, wallboard)
    await morning.write()
    site.unsettled = [Unsettled(wallboard.id, "failed", 19, floor_id(morning.now - timedelta(minutes=21)))]
    site.lanes = [LaneSample(webhook_id=wallboard.id, depth=3, oldest_age_s=95, in_flight=0, breaker_open=True)]
    late = b'{"type": "call.saved", "data": {"call_id": "48211907", "agent_disp": 51, "call_type": "Outbound"}}'
    rejected = await site.rejected.keep(1, "call.saved", [FieldError("/call_id", "has to be a whole number")], late)
    return {
        "/webhooks/access/{id}": f"/webhooks/access/{crm_access.id}",
        "/webhooks/settings/{id}": f"/webhooks/settings/{wallboard.id}",
        "/webhooks/settings/{id}/edit": f"/webhooks/settings/{crm.id}/edit",
        "/reports/logs/{id}": f"/reports/logs/{morning.failed_id}",
        "/reports/calls/{call_id}": f"/reports/calls/{morning.call_id}",
        "/reports/replays/{id}": f"/reports/replays/{await _replay(site, crm.id)}",
        "/operations/rejected/{id}": f"/operations/rejected/{rejected}",
    }


async def _webhook(
    site: Site, *, name: str, url: str, events: frozenset[str], access: Access | None = None, paused: str | None = None
) -> Webhook:
    state = WebhookState.PAUSED if paused else WebhookState.ACTIVE
    webhook = Webhook(site.ids.next(), 1, name, events, "POST", url, access, state, paused, (b"k" * 32,))
    return await site.registry.add_webhook(webhook, by=BY)


async def _add_tokens(site: Site) -> None:
    for name, role in (("switch", Role.INGEST), ("Sam Okafor", Role.OPERATOR), ("reporting", Role.VIEWER)):
        made, now = mint(), datetime.now(UTC)
        token = Token(site.ids.next(), name, role, None, made.prefix, made.digest, now, now + timedelta(days=90))
        await site.registry.add_token(token, by=BY)


async def _replay(site: Site, webhook_id: str) -> str:
    replay_id, now = site.ids.next(), datetime.now(UTC)
    await site.parts.replays.start_range(
        replay_id,
        ReplayRange(
            tenant_id=1,
            webhook_id=webhook_id,
            from_id=floor_id(now - timedelta(hours=1)),
            before_id=floor_id(now),
            only_failed=True,
        ),
        total=2,
        entry=AuditEntry(site.ids.next(), 1, BY, "replay.create", replay_id),
    )
    return replay_id


def _name(path: str) -> str:
    return re.sub(r"[^a-z]+", "-", re.sub(r"\{[^}]*\}", "one", path)).strip("-") or "overview"
