"""What the program does about a webhook that fails: it shows it, pauses it, tells others, and goes on where it may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from tests.acceptance.program import Gateway, add_webhook
from tests.contract.transport.target import OK, Peer, Received, ScriptedTarget

FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
PATIENCE_S = 20.0

pytestmark = pytest.mark.timeout(90)


@asynccontextmanager
async def target_that(answers: Callable[[Received], bytes]) -> AsyncIterator[ScriptedTarget]:
    """A target that answers each request as told."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.send(answers(await peer.request()))

    target = ScriptedTarget([script])
    await target.start()
    try:
        yield target
    finally:
        await target.stop()


def gateway(folder: Path, *targets: ScriptedTarget, **settings: str) -> Gateway:
    environment = {"GATEWAY_RETRY_SCHEDULE": ",".join(["200ms"] * 99), **settings}
    return Gateway(folder / "data", egress_ports=[target.port for target in targets], environment=environment)


def url(target: ScriptedTarget) -> str:
    return f"http://127.0.0.1:{target.port}/hook?token=s3cr3t-of-the-target"


async def push(program: Gateway, call_id: int, *types: str) -> None:
    batch = [{"type": type, "data": {"call_id": call_id}} for type in types]
    await program.push(batch)


async def until(target: ScriptedTarget, condition: Callable[[], bool]) -> None:
    await asyncio.wait_for(target.until(condition), PATIENCE_S)


async def shown(program: Gateway, webhook_id: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The webhook as the API shows it, once that is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition(item := await program.api("GET", f"/webhooks/{webhook_id}")):
            await asyncio.sleep(0.05)  # nothing tells a client of the API
    return dict(item)


def kinds(target: ScriptedTarget) -> list[str]:
    return [request.values(b"webhook-event")[0].decode() for request in target.received]


async def test_a_webhook_that_fails_is_shown_paused_told_of_and_resumed_by_a_test(tmp_path: Path) -> None:
    works = False
    async with (
        target_that(lambda _: OK if works else FAILED) as broken,
        target_that(lambda _: OK) as watching,
        gateway(tmp_path, broken, watching, GATEWAY_PAUSE_AFTER="5s") as program,
    ):
        failing = await add_webhook(program, url(broken), events=["call.created", "webhook.paused"], name="crm")
        watcher = await add_webhook(program, url(watching), events=["webhook.paused", "webhook.resumed"])
        for call_id in range(20):
            await push(program, call_id, "call.created")

        open_ = await shown(program, failing, lambda item: item["breaker"]["state"] == "open")
        assert open_["breaker"]["reason"] == "HTTP 503" and open_["breaker"]["probe_at"] > open_["breaker"]["opened_at"]
        assert open_["failing_since"] is not None and open_["delivering"]["stored_behind"]
        paused = await shown(program, failing, lambda item: item["state"] == "paused")
        assert "HTTP 503" in paused["reason"]

        await until(watching, lambda: kinds(watching) == ["webhook.paused"])
        (notice,) = watching.received
        told = json.loads(notice.body)
        assert (told["webhook_id"], told["name"], told["reason"]) == (failing, "crm", paused["reason"])
        assert "s3cr3t" not in notice.body.decode() and told["since"] is not None
        secret = (await program.api("GET", f"/webhooks/{watcher}/secret"))["secret"]
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        Verifier(secret).verify(notice.body, {name: notice.values(name.encode())[0].decode() for name in names})

        works = True
        answer = await program.api("POST", f"/webhooks/{failing}/test", {"type": "call.created"})
        assert answer["outcome"] == "success" and answer["resumed"]
        await until(watching, lambda: kinds(watching) == ["webhook.paused", "webhook.resumed"])
        # The test itself, and all twenty that were held; nothing about itself.
        await until(
            broken, lambda: {json.loads(each.body).get("call_id") for each in broken.received} >= set(range(20))
        )
        assert set(kinds(broken)) == {"call.created"}
        log = (await program.api("GET", "/logs?event=webhook.paused"))["items"]
        assert [item["outcome"] for item in log] == ["success"]


async def test_since_when_a_webhook_fails_is_not_forgotten_at_a_restart(tmp_path: Path) -> None:
    async with target_that(lambda _: FAILED) as broken, gateway(tmp_path, broken) as program:
        failing = await add_webhook(program, url(broken))
        await push(program, 1, "call.created")
        before = await shown(program, failing, lambda item: item["failing_since"] is not None)
        await program.sql("UPDATE webhooks SET failing_since = $1::text::timestamptz", before["failing_since"])
        await program.term()
        await program.start()
        after = await program.api("GET", f"/webhooks/{failing}")
        assert after["failing_since"] == before["failing_since"]


async def test_an_operational_event_cannot_be_pushed(tmp_path: Path) -> None:
    async with gateway(tmp_path) as program:
        sample = (await program.api("GET", "/event-types/webhook.paused"))["sample"]
        (result,) = await program.push([{"type": "Webhook Paused", "data": sample}])
        assert result["error"]["status"] == 422
        assert "cannot be pushed" in result["error"]["errors"][0]["detail"]


async def test_later_events_of_a_failing_call_go_ahead_after_the_order_wait_and_say_so(tmp_path: Path) -> None:
    refuses_created = lambda request: FAILED if b"webhook-event: call.created" in request.head else OK  # noqa: E731
    async with target_that(refuses_created) as target, gateway(tmp_path, target) as program:
        await add_webhook(program, url(target), order_wait_s=1.0, retry_schedule=["500ms"] * 30)
        await push(program, 7, "call.created", "call.ended")
        await until(target, lambda: "call.ended" in kinds(target))
        created = target.received[0].values(b"webhook-id")
        ended = next(each for each in target.received if each.values(b"webhook-event") == [b"call.ended"])
        assert ended.values(b"webhook-overtook") == created
        assert kinds(target).index("call.ended") >= 2, "it waited while the first one was tried again"
        assert not target.received[0].values(b"webhook-overtook")


async def test_without_ordering_a_failing_event_holds_up_nothing(tmp_path: Path) -> None:
    refuses_created = lambda request: FAILED if b"webhook-event: call.created" in request.head else OK  # noqa: E731
    async with target_that(refuses_created) as target, gateway(tmp_path, target) as program:
        await add_webhook(program, url(target), order_wait_s=None, retry_schedule=["1h"])
        await push(program, 7, "call.created", "call.ended")
        await until(target, lambda: sorted(kinds(target)) == ["call.created", "call.ended"])
        assert not any(each.values(b"webhook-overtook") for each in target.received)


async def test_a_call_whose_first_event_has_failed_for_good_goes_on(tmp_path: Path) -> None:
    refuses_created = lambda request: FAILED if b"webhook-event: call.created" in request.head else OK  # noqa: E731
    async with target_that(refuses_created) as target, gateway(tmp_path, target) as program:
        await add_webhook(program, url(target), retry_schedule=["100ms"])
        await push(program, 7, "call.created", "call.ended", "call.saved")
        await until(target, lambda: "call.saved" in kinds(target))
        assert kinds(target) == ["call.created", "call.created", "call.ended", "call.saved"]
        event_id = target.received[0].values(b"webhook-id")[0].decode()
        event = await program.api("GET", f"/events/{event_id}")
        assert [delivery["state"] for delivery in event["deliveries"]] == ["failed"]


async def test_a_target_that_says_it_is_gone_is_left_alone_at_once_and_gets_everything_when_it_is_resumed(
    tmp_path: Path,
) -> None:
    """A pause that waited for the next round of a timer let the same event be sent there hundreds of times."""
    gone = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
    is_gone = True
    async with target_that(lambda _: gone if is_gone else OK) as target, gateway(tmp_path, target) as program:
        webhook_id = await add_webhook(program, url(target), order_wait_s=None)
        await push(program, 1, "call.created")
        paused = await shown(program, webhook_id, lambda item: item["state"] == "paused")
        assert "410" in paused["reason"]
        assert len(target.received) < 20
        is_gone = False
        await push(program, 2, "call.created")
        await program.api("PATCH", f"/webhooks/{webhook_id}", {"state": "active"})
        await until(target, lambda: {json.loads(each.body)["call_id"] for each in target.received} == {1, 2})
