"""The registry against a store that fails: memory never runs ahead, and never stays behind for long."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from gateway.egress.policy import EgressPolicy
from gateway.errors import Unavailable
from gateway.ids import IdSource
from gateway.registry.registry import OVERLAP, Registry
from gateway.store import config
from gateway.store.config import Change, ConfigStore
from gateway.store.secrets import SecretBox

from .conftest import CREDENTIAL, HOOK, Api


class CutAtCommit(ConfigStore):
    """A store whose connection breaks after the commit and before its confirmation, while `cuts` is set."""

    cuts = False

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        async with super().change() as change:
            yield change
        if self.cuts:
            raise Unavailable("the database does not answer")


async def test_what_the_store_does_not_take_changes_nothing(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    await api.pool.execute("ALTER TABLE audit RENAME TO elsewhere")
    answer = await api.call("PATCH", f"/webhooks/{hook['id']}", {"name": "changed"})
    assert answer.status == 500
    assert (await api.call("GET", f"/webhooks/{hook['id']}")).json == hook
    assert len(api.heard.changed) == 1
    assert await api.pool.fetchval("SELECT name FROM webhooks") == ""
    await api.pool.execute("ALTER TABLE elsewhere RENAME TO audit")
    assert (await api.call("PATCH", f"/webhooks/{hook['id']}", {"name": "changed"})).json["name"] == "changed"


async def test_without_a_database_reading_goes_on_and_changing_says_when_to_retry(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    api.pool.terminate()
    answer = await api.call("PATCH", f"/webhooks/{hook['id']}", {"name": "changed"})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (await api.call("GET", "/audit")).status == 503
    assert (await api.call("GET", f"/webhooks/{hook['id']}")).json == hook


async def test_a_commit_that_was_never_confirmed_is_found_at_the_next_change(api: Api) -> None:
    store = CutAtCommit(api.pool, SecretBox([bytes(32)]))
    registry = Registry(store, policy=EgressPolicy(), tokens=api.tokens, ids=IdSource())
    await registry.load()
    registry.listen(api.heard)
    store.cuts = True
    with pytest.raises(Unavailable):
        await registry.add_tenant("acme", by="test")
    assert registry.tenant("acme") is None
    store.cuts = False
    await registry.add_tenant("globex", by="test")
    assert registry.tenant("acme") is not None


async def test_a_revocation_in_doubt_is_looked_up_without_waiting_for_another_change(api: Api) -> None:
    made = await api.make("/tokens", {"role": "viewer"})
    store = CutAtCommit(api.pool, SecretBox([bytes(32)]))
    registry = Registry(store, policy=EgressPolicy(), tokens=api.tokens, ids=IdSource())
    await registry.load()
    store.cuts = True
    with pytest.raises(Unavailable):
        await registry.remove_token(made["id"], by="test")
    store.cuts = False
    await registry.tend()
    assert registry.token(made["id"]) is None
    assert (await api.call("GET", "/webhooks", token=made["token"])).status == 401


async def test_what_a_removed_webhook_was_still_to_be_sent_is_forgotten(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "FORGET_BATCH", 2)
    kept, gone = [(await api.make("/webhooks", HOOK))["id"] for _ in range(2)]
    rows = [(hook, str(uuid4())) for hook in (kept, gone) for _ in range(5)]
    await api.pool.executemany(
        "INSERT INTO deliveries (webhook_id, event_id, shard, state, attempts, tries, next_at)"
        " VALUES ($1, $2, 0, 'retrying', 1, 1, now())",
        rows,
    )
    await api.call("DELETE", f"/webhooks/{gone}")
    await api.registry.tend()
    left = await api.pool.fetch("SELECT webhook_id::text FROM deliveries")
    assert [row["webhook_id"] for row in left] == [kept] * 5


async def test_changes_at_the_same_time_take_turns(api: Api) -> None:
    answers = await asyncio.gather(*(api.call("POST", "/access", CREDENTIAL) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 9
    hook = await api.make("/webhooks", HOOK)
    fields = {"timeout_s": 1.5, "max_in_flight": 7, "rate_per_s": 3.0, "name": "n", "order_wait_s": 9.0}
    path = f"/webhooks/{hook['id']}"
    await asyncio.gather(*(api.call("PATCH", path, {name: value}) for name, value in fields.items()))
    assert (await api.call("GET", path)).json == {**hook, **fields}


async def test_a_change_from_elsewhere_is_a_conflict_once_and_then_known(api: Api) -> None:
    made = await api.make("/access", CREDENTIAL)
    other = api.new_registry()
    await other.load()
    await other.remove_access(made["id"], by="somebody else")
    hook = {**HOOK, "access_id": made["id"]}
    assert (await api.call("POST", "/webhooks", hook)).status == 409
    assert (await api.call("POST", "/webhooks", hook)).status == 422
    assert (await api.call("GET", "/access")).json["items"] == []


async def test_a_pause_by_the_gateway_keeps_its_reason_until_somebody_resumes(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    reason = "the target answered 410 Gone"
    assert await api.registry.pause_webhook(hook["id"], url=hook["url"], reason=reason)
    path = f"/webhooks/{hook['id']}"
    assert (await api.call("PATCH", path, {"name": "n"})).json["reason"] == reason
    assert (await api.call("PATCH", path, {"state": "active"})).json["reason"] is None


async def test_the_older_of_two_secrets_is_retired_while_running(api: Api) -> None:
    now = [datetime.now(UTC)]
    registry = Registry(api.store, policy=EgressPolicy(), tokens=api.tokens, ids=IdSource(), now=lambda: now[0])
    hook = await api.make("/webhooks", HOOK)
    await registry.load()
    await registry.rotate_secret(hook["id"], bytes(32), by="test")
    registry.listen(api.heard)
    now[0] += OVERLAP - timedelta(seconds=1)
    await registry.tend()
    assert len(api.heard.changed) == 1
    now[0] += timedelta(seconds=1)
    await registry.tend()
    assert api.heard.changed[-1].signing_secrets == (bytes(32),)
    assert registry.previous_secret_until(hook["id"]) is None


async def test_a_third_secret_ends_the_first_ones_overlap(api: Api) -> None:
    hook = await api.make("/webhooks", HOOK)
    shown = [(await api.call("POST", f"/webhooks/{hook['id']}/secret")).json["secret"] for _ in range(2)]
    raw = tuple(base64.b64decode(secret.removeprefix("whsec_")) for secret in reversed(shown))
    assert api.heard.changed[-1].signing_secrets == raw
