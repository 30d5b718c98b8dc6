"""The overview: what has been counted, stored or not, as figures and charts that all viewers share."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch

from gateway.ids import floor_id
from gateway.model import Event, Outcome, Response, Webhook
from gateway.store.maintenance import Unsettled
from gateway.store.minutes import MinuteStore
from gateway.telemetry.metrics import LaneSample
from tests.integration.console.site import Site


def happened(site: Site, hook: Webhook, *, ok: int = 0, failed: int = 0) -> None:
    """Count so many events of which each was attempted once."""
    event = Event("e", hook.tenant_id, "call.created", None, None, b"{}", (hook.id,))
    site.metrics.accepted([event] * (ok + failed))
    for status in [200] * ok + [503] * failed:
        site.metrics.started(hook, 0.004)
        site.metrics.attempted(hook, Outcome(2_000, Response(status, (), b"", truncated=False)))


async def test_without_a_webhook_the_first_steps_are_shown(site: Site) -> None:
    await site.sign_in()
    assert "Three steps to the first delivery" in (await site.get("/")).text


async def test_what_was_counted_shows_before_and_after_it_is_stored(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    happened(site, hook, ok=29, failed=11)
    before = await site.get("/")
    await site.minutes.store(site.minutes.unstored()[0].at_s)
    assert site.minutes.unstored() == []
    with patch("gateway.console.figures.FRESH_S", -1.0):
        after = await site.get("/")
    for page in (before, after):
        assert "Events accepted 40 Delivered 29 Successful attempts 72.5 %" in page.text
        assert "72.5 % of 40 succeeded" in page.text


async def test_pieces_of_one_minute_add_up_in_every_period(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    for _ in range(3):
        happened(site, hook, ok=5)
        await site.minutes.store(site.minutes.unstored()[0].at_s)
    for period in ("1h", "24h", "7d"):
        assert "Events accepted 15 Delivered 15" in (await site.get(f"/?period={period}")).text


async def test_what_waits_its_age_what_was_given_up_and_who_rests_are_shown(site: Site) -> None:
    await site.sign_in()
    hook = await site.webhook()
    long_ago = floor_id(datetime(2026, 1, 1, tzinfo=UTC))
    site.unsettled = [Unsettled(hook.id, "retrying", 7, site.ids.next()), Unsettled(hook.id, "failed", 2, long_ago)]
    site.lanes = [LaneSample(webhook_id=hook.id, depth=9, oldest_age_s=125, in_flight=1, breaker_open=True)]
    text = (await site.get("/")).text
    assert "Waiting 9 oldest 2 min" in text and "Given up 2" in text and "Resting" in text


async def test_a_bound_viewer_sees_the_figures_of_their_tenant_alone(site: Site) -> None:
    tenant = await site.registry.add_tenant("other", by="test")
    mine, theirs = await site.webhook(tenant_id=tenant.id, name="mine"), await site.webhook(name="theirs")
    happened(site, mine, ok=3)
    happened(site, theirs, failed=40)
    site.unsettled = [Unsettled(theirs.id, "retrying", 7, site.ids.next())]
    await site.sign_in(tenant_id=tenant.id)
    text = (await site.get("/")).text
    assert "Events accepted 3 Delivered 3" in text and "Waiting 0" in text and "theirs" not in text


async def test_many_viewers_ask_the_store_once(site: Site) -> None:
    await site.sign_in()
    with patch.object(MinuteStore, "totals", autospec=True, side_effect=MinuteStore.totals) as totals:
        for _ in range(5):
            await site.get("/", part=True)
    assert totals.call_count == 1


async def test_a_part_asks_again_by_itself_and_is_no_whole_page(site: Site) -> None:
    await site.sign_in()
    part = await site.get("/?period=24h", part=True)
    assert 'hx-get="/?period=24h"' in part.html and "<html" not in part.html


async def test_a_period_that_is_not_offered_is_the_usual_one(site: Site) -> None:
    await site.sign_in()
    await site.webhook()
    assert 'hx-get="/?period=1h"' in (await site.get("/?period=%22onload=")).html


async def test_the_list_of_webhooks_gets_a_strip_of_hours_and_the_newest_attempt(site: Site) -> None:
    hook, idle = await site.webhook(), await site.webhook(name="idle")
    happened(site, hook, ok=3, failed=1)
    figures = await site.figures.webhooks([hook.id, idle.id])
    newest = figures[hook.id].hours[-1]
    assert (newest.ok, newest.failed, sum(newest.took)) == (3, 1, 4) and figures[hook.id].success == 0.75
    assert figures[idle.id].success is None and figures[idle.id].latest is None
