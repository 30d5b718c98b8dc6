"""What is told of webhooks: once, with its reason, never to the webhook itself, and later if the store is away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from gateway import announcer as module
from gateway.announcer import Announcer
from gateway.catalog import check
from gateway.delivery.streak import Streak
from gateway.errors import Unavailable
from gateway.ingress.intake import Intake
from gateway.model import WebhookState
from tests.unit.delivery.rig import until, webhook

SINCE = datetime(2026, 1, 31, 11, tzinfo=UTC)


class Door:
    """The intake's part: what was accepted; it is away for the first `away` times."""

    def __init__(self, away: int = 0) -> None:
        self.accepted: list[dict[str, Any]] = []
        self._away = away

    def submit(self, **event: Any) -> asyncio.Future[tuple[str, bool]]:
        if self._away:
            self._away -= 1
            raise Unavailable("the database is away")
        self.accepted.append(event)
        answer: asyncio.Future[tuple[str, bool]] = asyncio.get_running_loop().create_future()
        answer.set_result(("id", False))
        return answer


@asynccontextmanager
async def announcing(door: Door) -> AsyncIterator[Announcer]:
    announcer = Announcer(cast("Intake", door), webhooks=[webhook()], failing_since=lambda _: SINCE)
    loop = asyncio.create_task(announcer.run())
    try:
        yield announcer
    finally:
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop


async def test_a_pause_and_a_resumption_are_told_with_what_the_catalog_asks_for() -> None:
    door = Door()
    async with announcing(door) as announcer:
        announcer.webhook_changed(webhook(state=WebhookState.PAUSED, reason="it is gone"))
        announcer.webhook_changed(webhook())
        await until(lambda: len(door.accepted) == 2)
    assert [event["type"] for event in door.accepted] == ["webhook.paused", "webhook.resumed"]
    told = json.loads(door.accepted[0]["payload"])
    assert (told["state"], told["reason"], told["since"]) == ("paused", "it is gone", "2026-01-31T11:00:00Z")
    for event in door.accepted:
        check(event["type"], event["payload"])
        assert event["about"] == webhook().id and event["key"] is None


async def test_a_change_that_is_neither_is_not_told_nor_is_a_new_webhook() -> None:
    door = Door()
    async with announcing(door) as announcer:
        announcer.webhook_changed(webhook(name="renamed"))
        announcer.webhook_changed(webhook("00000000-0000-7000-8000-000000000002", state=WebhookState.PAUSED))
        announcer.webhook_changed(webhook(state=WebhookState.BLOCKED))
        announcer.webhook_changed(webhook())
        announcer.failing(webhook(), Streak(SINCE))
        await until(lambda: door.accepted)
    assert [event["type"] for event in door.accepted] == ["webhook.failing"]


async def test_a_streak_that_is_told_twice_is_one_event() -> None:
    """A restart forgets that it was told; the key makes the second time a duplicate of the first."""
    door = Door()
    async with announcing(door) as announcer:
        for why in ("HTTP 503", "timeout"):
            streak = Streak(SINCE)
            streak.fails(why, SINCE)
            announcer.failing(webhook(), streak)
        await until(lambda: len(door.accepted) == 2)
    first, second = door.accepted
    assert first["key"] == second["key"] and first["digest"] == second["digest"]
    assert json.loads(first["payload"])["reason"] == "HTTP 503"


async def test_what_is_told_while_the_store_is_away_is_told_later_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)
    door = Door(away=3)
    async with announcing(door) as announcer:
        announcer.webhook_changed(webhook(state=WebhookState.PAUSED))
        announcer.webhook_changed(webhook())
        await until(lambda: len(door.accepted) == 2)
    assert [event["type"] for event in door.accepted] == ["webhook.paused", "webhook.resumed"]


async def test_secrets_in_a_url_are_not_told() -> None:
    door = Door()
    secret = webhook(url="https://crm.example.com/hooks?token=abcdefghijklmnop")
    async with announcing(door) as announcer:
        announcer.webhook_changed(replace(secret, state=WebhookState.PAUSED))
        await until(lambda: door.accepted)
    assert b"abcdefghijklmnop" not in door.accepted[0]["payload"]
