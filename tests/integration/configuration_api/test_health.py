"""What the gateway pauses itself, who may undo it, and that since when a webhook fails outlives a restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.delivery.streak import FAILURES_LEAST, Streak
from gateway.health import Health
from gateway.model import Webhook
from tests.integration.configuration_api.conftest import HOOK, Api

FIVE_DAYS_S = 5 * 86_400.0


class Lanes:
    """The engine's part: streaks by webhook."""

    def __init__(self) -> None:
        self.failing: dict[str, Streak] = {}

    def streaks(self) -> Iterable[tuple[str, Streak]]:
        return self.failing.items()

    def restore_streaks(self, streaks: Mapping[str, Streak]) -> None:
        self.failing.update(streaks)


def streak(lasting: timedelta) -> Streak:
    now = datetime.now(UTC)
    made = Streak(now - lasting)
    for _ in range(FAILURES_LEAST):
        made.fails("HTTP 503", now)
    return made


class Rig:
    def __init__(self, api: Api) -> None:
        self.lanes = Lanes()
        self.told: list[str] = []
        self.health = Health(api.registry, api.store, pause_after_s=FIVE_DAYS_S)

    async def look(self) -> None:
        await self.health.look(self.lanes, self._tell)

    def _tell(self, webhook: Webhook, streak: Streak) -> None:
        self.told.append(webhook.id)


async def paused_by_gateway(api: Api, **settings: Any) -> str:
    hook = await api.make("/webhooks", {**HOOK, **settings})
    rig = Rig(api)
    rig.health.gone(hook["id"], hook["url"])
    await rig.look()
    return str(hook["id"])


async def test_a_webhook_that_has_failed_for_days_is_told_of_and_paused_with_a_reason(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    rig = Rig(api)
    rig.lanes.failing[hook["id"]] = streak(timedelta(days=5))
    await rig.look()
    shown = (await api.call("GET", f"/webhooks/{hook['id']}")).json
    assert shown["state"] == "paused" and rig.told == [hook["id"]]
    assert "HTTP 503" in shown["reason"] and "gateway webhook resume" in shown["reason"]
    assert (await api.audited())[0]["actor"] == "gateway"


async def test_a_webhook_that_has_left_the_url_that_is_gone_is_not_paused(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    rig = Rig(api)
    rig.health.gone(hook["id"], hook["url"])
    await api.call("PATCH", f"/webhooks/{hook['id']}", {"url": "https://crm.example.com/moved"})
    await rig.look()
    assert (await api.call("GET", f"/webhooks/{hook['id']}")).json["state"] == "active"


async def test_since_when_a_webhook_fails_outlives_a_restart_and_ends_with_a_success(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    before, after = Rig(api), Rig(api)
    before.lanes.failing[hook["id"]] = streak(timedelta(hours=2))
    await before.look()
    await after.health.restore(after.lanes)
    assert after.lanes.failing[hook["id"]].since == before.lanes.failing[hook["id"]].since
    await api.call("PATCH", f"/webhooks/{hook['id']}", {"name": "changed meanwhile"})
    assert list(await api.store.failing_since()) == [hook["id"]]
    after.lanes.failing.clear()
    await after.look()
    assert not await api.store.failing_since()


async def test_a_streak_of_seconds_is_not_written_down(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    rig = Rig(api)
    rig.lanes.failing[hook["id"]] = streak(timedelta(seconds=30))
    await rig.look()
    assert not await api.store.failing_since() and rig.told == []


async def test_a_test_that_succeeds_resumes_what_the_gateway_paused(api: Api) -> None:
    hook_id = await paused_by_gateway(api)
    answer = await api.call("POST", f"/webhooks/{hook_id}/test", {"type": "call.saved"})
    assert answer.json["resumed"] is True
    shown = (await api.call("GET", f"/webhooks/{hook_id}")).json
    assert (shown["state"], shown["reason"]) == ("active", None)


async def test_a_test_that_fails_resumes_nothing(api: Api) -> None:
    hook_id = await paused_by_gateway(api)
    api.test_outcome = "failure"
    answer = await api.call("POST", f"/webhooks/{hook_id}/test", {"type": "call.saved"})
    assert answer.json["resumed"] is False
    assert (await api.call("GET", f"/webhooks/{hook_id}")).json["state"] == "paused"


async def test_a_test_never_undoes_a_pause_of_the_users_own(api: Api) -> None:
    """Neither one of their own, nor one of the gateway's that they have confirmed by pausing again."""
    own = (await api.make("/webhooks", {**HOOK, "state": "paused"}))["id"]
    confirmed = await paused_by_gateway(api)
    await api.call("PATCH", f"/webhooks/{confirmed}", {"state": "paused"})
    for hook_id in (own, confirmed):
        assert (await api.call("POST", f"/webhooks/{hook_id}/test", {"type": "call.saved"})).json["resumed"] is False
        assert (await api.call("GET", f"/webhooks/{hook_id}")).json["state"] == "paused"
