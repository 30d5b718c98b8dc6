"""The demo's switch against a gateway that cannot take everything at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import ClientConnectorError, ClientPayloadError, ClientResponse, web
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.test_utils import TestServer
from aioresponses import aioresponses
from yarl import URL

from gateway.cli.demo_ledger import Figures, Ledger
from gateway.cli.demo_switch import DemoSwitch, Dialler, Step

CALL = ("call.created", "call.ended")


class OneCall(Dialler):
    """Dials once."""

    def __init__(self) -> None:
        super().__init__(random.Random(1), first_call_id=1)
        self._steps = [Step(0.0, type, {"call_id": 1}) for type in CALL]

    def dial(self, now: datetime) -> Iterator[Step]:
        steps, self._steps = self._steps, []
        return iter(steps)


class Answered(ClientResponse):
    """aioresponses 0.7.9 does not give what aiohttp 3.14 wants to know of the request's bytes."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, stream_writer=Mock(output_size=0), **more)


class Gateway:
    """Answers pushes by `statuses`, then 202; 0 closes the connection. `pushes` are the type and key of each."""

    def __init__(self, *statuses: int) -> None:
        self.pushes: list[tuple[str, str]] = []
        self.finished = asyncio.Event()
        self._statuses = [*statuses]

    async def take(self, request: web.Request) -> web.Response:
        self.pushes.append((request.match_info["type"], request.headers["Idempotency-Key"]))
        status = self._statuses.pop(0) if self._statuses else 202
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        if status == 422 or (status == 202 and self.pushes[-1][0] == CALL[-1]):
            self.finished.set()
        return web.json_response({"id": str(len(self.pushes))}, status=status or 503, headers={"Retry-After": "0"})


async def push_a_call(gateway: Gateway) -> Figures:
    """Let the switch push one call until the gateway has heard the end of it."""
    app = web.Application()
    app.router.add_post("/v1/events/{type}", gateway.take)
    ledger, stop = Ledger(), asyncio.Event()
    routes = dict.fromkeys(CALL, frozenset({"crm"}))
    async with TestServer(app) as server, asyncio.timeout(30):
        switch = DemoSwitch(str(server.make_url("")).rstrip("/"), "token", ledger, rate=1000.0, routes=routes)
        running = asyncio.create_task(switch.run(OneCall(), stop))
        await gateway.finished.wait()
        stop.set()
        await running
    return ledger.figures()


@pytest.mark.parametrize("status", [503, 429, 0])
async def test_what_cannot_be_taken_now_is_pushed_again_under_the_same_key(status: int) -> None:
    gateway = Gateway(status, status)
    figures = await push_a_call(gateway)
    assert [type for type, _ in gateway.pushes] == ["call.created"] * 3 + ["call.ended"]
    assert len({key for _, key in gateway.pushes[:3]}) == 1 and len({key for _, key in gateway.pushes}) == 2
    assert (figures.accepted, figures.pushed_again, figures.refused) == (2, 2, 0)


@pytest.mark.parametrize(
    "broken",
    [
        {"exception": TimeoutError()},
        {"exception": ClientPayloadError("the body ended early")},
        {"exception": ClientConnectorError(ConnectionKey("gateway", 80, False, True, None, None, None), OSError())},
        {"body": b""},
        {"body": b"<html>"},
        {"body": b"{}"},
        {"status": 503, "body": b"", "headers": {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}},
    ],
    ids=["timeout", "cut body", "no connection", "empty", "not JSON", "no id", "a date to retry after"],
)
async def test_an_answer_that_says_nothing_is_asked_for_again_under_the_same_key(broken: dict[str, Any]) -> None:
    """Answers that a gateway does not give, but what stands before it may."""
    ledger, stop = Ledger(), asyncio.Event()
    switch = DemoSwitch("http://gateway", "token", ledger, rate=1000.0, routes=dict.fromkeys(CALL, frozenset({"crm"})))
    keys: dict[str, list[str]] = {type: [] for type in CALL}

    def noted(url: URL, *, headers: dict[str, str], **_: object) -> None:
        keys[url.name].append(headers["Idempotency-Key"])
        if url.name == CALL[-1]:
            stop.set()

    with aioresponses() as gateway:
        answered: dict[str, Any] = {"status": 202, "callback": noted, "response_class": Answered}
        gateway.post("http://gateway/v1/events/call.created", **(answered | broken))
        for type in CALL:
            gateway.post(f"http://gateway/v1/events/{type}", payload={"id": type}, **answered)
        async with asyncio.timeout(30):
            await switch.run(OneCall(), stop)
    assert len(keys["call.created"]) == 2 and len(set(keys["call.created"])) == 1
    figures = ledger.figures()
    assert (figures.accepted, figures.pushed_again, figures.refused) == (2, 1, 0)


async def test_what_the_gateway_refuses_is_not_pushed_again_nor_is_the_rest_of_its_call() -> None:
    gateway = Gateway(422)
    figures = await push_a_call(gateway)
    assert len(gateway.pushes) == 1
    assert (figures.accepted, figures.pushed_again, figures.refused) == (0, 0, 1)
