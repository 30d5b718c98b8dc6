"""What a customer sees of order, retries, pauses and changes, on the whole program."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.capture import Captured, CaptureTarget, Door, call
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, add_webhook

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = ("call.created", "call.ended", "call.saved")


class Bench:
    """One gateway for all tests here; each has its own path and its own calls."""

    def __init__(self, gateway: Gateway, target: CaptureTarget, closed: CaptureTarget, door: Door) -> None:
        self.gateway = gateway
        self.target = target
        self.closed = closed
        """A target on a port that is not open."""
        self.door = door
        self._paths = count(1)
        self._calls = count(1000)

    def path(self) -> str:
        return f"/t/{next(self._paths)}"

    async def webhook(self, path: str, **settings: Any) -> str:
        return await add_webhook(self.gateway, self.target.url(path), **{"events": list(STEPS), **settings})

    async def change(self, webhook_id: str, **changes: Any) -> dict[str, Any]:
        changed: dict[str, Any] = await self.gateway.api("PATCH", f"/webhooks/{webhook_id}", changes)
        return changed

    async def state(self, webhook_id: str, state: str) -> dict[str, Any]:
        """Waits until a webhook is in a state."""
        while True:
            webhook: dict[str, Any] = await self.gateway.api("GET", f"/webhooks/{webhook_id}")
            if webhook["state"] == state:
                return webhook
            await asyncio.sleep(0.02)

    async def one_call(self) -> list[str]:
        call_id = next(self._calls)
        return [await self.door.accepted(call(call_id), type=type) for type in STEPS]

    async def received(self, path: str, ids: list[str]) -> list[Captured]:
        """Waits until all of these have come to a path; everything that has come there."""
        while not set(ids) <= set(self.target.ids(path)):
            await self.target.arrived(path, len(self.target.at(path)) + 1)
        return self.target.at(path)

    async def delivery(self, event_id: str, webhook_id: str, state: str) -> dict[str, Any]:
        """Waits until an event's delivery to a webhook is shown in a state."""
        while True:
            event = await self.gateway.api("GET", f"/events/{event_id}")
            shown = [each for each in event["deliveries"] if each["webhook_id"] == webhook_id]
            if shown and shown[0]["state"] == state:
                delivery: dict[str, Any] = shown[0]
                return delivery
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bench(new_data_dir: NewDataDir) -> AsyncIterator[Bench]:
    quick = {"GATEWAY_RETRY_SCHEDULE": "300ms,300ms"}
    async with (
        CaptureTarget() as target,
        CaptureTarget() as closed,
        Gateway(new_data_dir(), egress_ports=[target.port], environment=quick) as gateway,
        Door(gateway) as door,
    ):
        yield Bench(gateway, target, closed, door)


async def test_a_call_comes_in_order_across_a_retry_while_other_calls_flow_past(bench: Bench) -> None:
    path = bench.path()
    webhook_id = await bench.webhook(path)
    bench.target.answers[path].append((500, {}))
    failing, flowing = await bench.one_call(), await bench.one_call()
    requests = await bench.received(path, [*failing, *flowing])
    assert [each.event_id for each in requests if each.event_id in failing] == [failing[0], *failing]
    assert [each.event_id for each in requests if each.event_id in flowing] == flowing
    ids = [each.event_id for each in requests]
    assert ids.index(flowing[-1]) < ids.index(failing[1])
    assert [each.attempt for each in requests if each.event_id == failing[0]] == [1, 2]
    await bench.change(webhook_id, state="paused")


async def test_without_order_a_failing_event_holds_up_nothing(bench: Bench) -> None:
    path = bench.path()
    webhook_id = await bench.webhook(path, order_wait_s=None, retry_schedule=["2s"])
    bench.target.answers[path].append((500, {}))
    ids = await bench.one_call()
    requests = await bench.received(path, ids)
    assert [each.attempt for each in requests] == [1, 1, 1]
    await bench.change(webhook_id, state="paused")


async def test_the_wait_for_order_ends_and_the_overtaking_event_says_so(bench: Bench) -> None:
    path = bench.path()
    webhook_id = await bench.webhook(path, order_wait_s=1, retry_schedule=["1h"])
    bench.target.answers[path].append((500, {}))
    created, ended, _ = ids = await bench.one_call()
    requests = await bench.received(path, ids)
    assert [each.headers.get("webhook-overtook") for each in requests if each.event_id == ended] == [created]
    await bench.delivery(created, webhook_id, "retrying")
    await bench.change(webhook_id, state="paused")


async def test_a_lane_that_is_far_behind_stores_what_comes_reads_it_back_in_order_and_returns_to_direct(
    bench: Bench,
) -> None:
    path = bench.path()
    webhook_id = await bench.webhook(path, max_in_flight=4, events=["call.created"])
    bench.target.held[path] = asyncio.Event()
    items = b",".join(b'{"type": "call.created", "data": {"call_id": %d}}' % (7_000 + n % 900) for n in range(1_000))
    ids: list[str] = []
    for _ in range(3):
        answer = await bench.door.post("/v1/events/batch", b"[" + items + b"]")
        ids += [result["id"] for result in answer.json["results"]]
    bench.target.held.pop(path).set()
    requests = await bench.received(path, ids)
    assert sorted(each.event_id for each in requests) == sorted(ids), "each once"
    of_call: dict[bytes, list[str]] = {}
    for request in requests:
        of_call.setdefault(request.body, []).append(request.event_id)
    assert all(came == sorted(came) for came in of_call.values())
    late = await bench.one_call()
    await bench.received(path, late[:1])
    await bench.change(webhook_id, state="paused")


async def test_a_pause_holds_and_a_resume_delivers_in_order(bench: Bench) -> None:
    path = bench.path()
    webhook_id = await bench.webhook(path)
    await bench.change(webhook_id, state="paused")
    ids = await bench.one_call() + await bench.one_call()
    await bench.delivery(ids[0], webhook_id, "held")
    assert bench.target.at(path) == []
    await bench.change(webhook_id, state="active")
    came = [each.event_id for each in await bench.received(path, ids)]
    assert [each for each in came if each in ids[:3]] == ids[:3] and len(came) == 6
    assert [each for each in came if each in ids[3:]] == ids[3:]
    await bench.change(webhook_id, state="paused")


async def test_a_webhook_that_is_made_changed_and_removed_under_load_loses_and_doubles_nothing(bench: Bench) -> None:
    stays, moves, moved, goes = (bench.path() for _ in range(4))
    kept = await bench.webhook(stays, events=["call.created"])
    accepted: list[str] = []
    stop = asyncio.Event()

    async def push() -> None:
        while not stop.is_set():
            accepted.append(await bench.door.accepted(call(len(accepted))))

    pushing = [asyncio.create_task(push()) for _ in range(4)]
    await bench.target.arrived(stays, 50)
    before = set(accepted)
    mover = await bench.webhook(moves, events=["call.created"])
    goer = await bench.webhook(goes, events=["call.created"])
    after = len(accepted)
    await bench.target.arrived(moves, 50)
    await bench.target.arrived(goes, 10)
    await bench.gateway.api("DELETE", f"/webhooks/{goer}")
    for settings in ({"max_in_flight": 2}, {"max_in_flight": 50}, {"state": "paused"}, {"state": "active"}):
        await bench.change(mover, **settings)
    await bench.change(mover, url=bench.target.url(moved))
    await bench.target.arrived(moved, 50)
    stop.set()
    await asyncio.gather(*pushing)
    await bench.received(stays, accepted)
    expected = set(accepted[after + 8 :])  # 8: what was under way while the webhook was being made
    while not expected <= set(bench.target.ids(moves)) | set(bench.target.ids(moved)):
        await asyncio.sleep(0.02)
    both = bench.target.ids(moves) + bench.target.ids(moved)
    assert len(both) == len(set(both)) and not before & set(both)
    assert len(bench.target.ids(stays)) == len(accepted)
    for webhook_id in (kept, mover):
        await bench.change(webhook_id, state="paused")


async def test_a_port_that_is_opened_starts_the_delivery_of_what_was_held(bench: Bench) -> None:
    path = bench.path()
    webhook = await bench.gateway.api(
        "POST", "/webhooks", {"events": list(STEPS), "method": "POST", "url": bench.closed.url(path)}
    )
    assert webhook["state"] == "blocked" and str(bench.closed.port) in webhook["reason"]
    ids = await bench.one_call()
    await bench.delivery(ids[0], webhook["id"], "held")
    await bench.gateway.api("POST", "/ports", {"port": bench.closed.port})
    await bench.closed.arrived(path, 3)
    assert bench.closed.ids(path) == ids
    assert (await bench.state(webhook["id"], "active"))["reason"] is None
    await bench.change(webhook["id"], state="paused")


async def test_410_pauses_the_webhook_says_so_and_keeps_the_event(bench: Bench) -> None:
    path = bench.path()
    webhook_id = await bench.webhook(path)
    bench.target.answers[path].append((410, {}))
    created, *_ = ids = await bench.one_call()
    assert "410" in (await bench.state(webhook_id, "paused"))["reason"]
    await bench.delivery(created, webhook_id, "held")
    await bench.change(webhook_id, state="active")
    came = [each.event_id for each in await bench.received(path, ids)]
    assert list(dict.fromkeys(came)) == ids
    await bench.change(webhook_id, state="paused")


async def test_retry_after_is_honoured(bench: Bench) -> None:
    path = bench.path()
    webhook_id = await bench.webhook(path)
    bench.target.answers[path].append((503, {"Retry-After": "2"}))
    event_id = await bench.door.accepted(call(1))
    await bench.target.arrived(path)
    failed = time.monotonic()
    await bench.delivery(event_id, webhook_id, "delivered")
    assert time.monotonic() - failed >= 1.5
    await bench.change(webhook_id, state="paused")


async def test_a_used_up_schedule_leaves_the_delivery_failed_and_listed_and_it_can_be_replayed(bench: Bench) -> None:
    path = bench.path()
    webhook_id = await bench.webhook(path)
    bench.target.answers[path].extend([(500, {})] * 3)
    created, ended, saved = await bench.one_call()
    await bench.received(path, [ended, saved])
    delivery = await bench.delivery(created, webhook_id, "failed")
    assert [each["attempt"] for each in sorted(delivery["attempts"], key=lambda a: a["attempt"])] == [1, 2, 3]
    await bench.gateway.api("POST", "/replays", {"event_id": created, "webhook_id": webhook_id})
    await bench.delivery(created, webhook_id, "delivered")
    last = bench.target.at(path)[-1]
    assert (last.event_id, last.attempt) == (created, 4)
    await bench.change(webhook_id, state="paused")


async def test_a_redirect_is_a_failure_and_is_not_followed(bench: Bench) -> None:
    path, elsewhere = bench.path(), bench.path()
    webhook_id = await bench.webhook(path, events=["call.created"])
    bench.target.answers[path].extend([(307, {"Location": bench.target.url(elsewhere)})] * 3)
    event_id = await bench.door.accepted(call(1))
    await bench.delivery(event_id, webhook_id, "failed")
    assert bench.target.at(elsewhere) == []
    await bench.change(webhook_id, state="paused")


async def test_a_rate_limit_spreads_what_comes_at_once(bench: Bench) -> None:
    path = bench.path()
    webhook_id = await bench.webhook(path, events=["call.created"], rate_per_s=10)
    started = time.monotonic()
    ids = await asyncio.gather(*(bench.door.accepted(call(number)) for number in range(20)))
    await bench.received(path, list(ids))
    assert time.monotonic() - started >= 0.8
    await bench.change(webhook_id, state="paused")
