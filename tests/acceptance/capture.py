"""A target that keeps whole requests and answers what a test tells it, and the pushes that fill it.

`RecordTarget` counts thousands; this one shows one: method, path, headers and body as they came.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientSession, ClientTimeout, web

from bench.process import ADMIN_TOKEN
from gateway.catalog import BY_NAME
from tests.acceptance.program import Gateway

PATIENCE_S = 15.0
BODY_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Captured:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def attempt(self) -> int:
        return int(self.headers["webhook-attempt"])


class CaptureTarget:
    """`answers[path]` are used up one by one, then 200; an `asyncio.Event` in `held[path]` is waited for first."""

    def __init__(self) -> None:
        self.requests: list[Captured] = []
        self.answers: defaultdict[str, deque[tuple[int, dict[str, str]]]] = defaultdict(deque)
        self.held: dict[str, asyncio.Event] = {}
        self.port = 0
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{rest:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for event in self.held.values():
            event.set()
        await self._runner.cleanup()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Captured]:
        return [request for request in self.requests if request.path == path]

    def ids(self, path: str) -> list[str]:
        return [request.event_id for request in self.at(path)]

    async def arrived(self, path: str, count: int = 1, *, timeout_s: float = PATIENCE_S) -> list[Captured]:
        """Waits until that many requests have come to a path."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: len(self.at(path)) >= count)
        return self.at(path)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Captured(request.method, request.path, dict(request.query), headers, body))
        async with self._changed:
            self._changed.notify_all()
        if request.path in self.held:
            await self.held[request.path].wait()
        status, more = self.answers[request.path].popleft() if self.answers[request.path] else (200, {})
        return web.Response(status=status, headers=more, text="so told")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Door:
    """Pushes to a gateway as a switch does; `token` speaks unless a call says otherwise."""

    def __init__(self, gateway: Gateway, token: str = ADMIN_TOKEN) -> None:
        self.gateway = gateway
        self.token = token
        self._session = ClientSession(timeout=ClientTimeout(total=30))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        data = io.BytesIO(body) if isinstance(body, bytes) else body  # aiohttp warns of large bytes
        async with self._session.post(f"{self.gateway.url}{path}", data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def push(self, data: bytes | None = None, *, type: str = "call.created", **envelope: Any) -> Answer:
        """One event by its envelope; the type's sample unless other data is given."""
        members = {"type": type, **envelope}
        head = json.dumps(members).encode()[:-1]
        return await self.post("/v1/events", head + b', "data": ' + (data or BY_NAME[type].sample) + b"}")

    async def accepted(self, data: bytes | None = None, **more: Any) -> str:
        answer = await self.push(data, **more)
        assert answer.status == 202, answer.body
        return str(answer.json["id"])


def call(call_id: int, **members: object) -> bytes:
    """The smallest payload of a call's event."""
    return json.dumps({"call_id": call_id, **members}).encode()
