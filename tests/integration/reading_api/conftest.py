"""The reading API as a client meets it: real sockets, a real database, and events and attempts put into the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.calls import CallApi
from gateway.admin.event_types import EventTypeApi
from gateway.admin.events import EventApi
from gateway.admin.logs import LogApi
from gateway.admin.openapi import OpenApi
from gateway.admin.rejected import RejectedApi
from gateway.admin.replays import ReplayApi
from gateway.admin.routes import add_routes
from gateway.catalog import BY_NAME, check
from gateway.egress.policy import EgressPolicy
from gateway.http import problem_middleware
from gateway.ids import IdSource
from gateway.ingress.tokens import TokenBook, mint
from gateway.model import Role, Token, Webhook, WebhookState
from gateway.registry.registry import Registry
from gateway.store.attempt_log import AttemptLog
from gateway.store.config import ConfigStore
from gateway.store.log import Fence, PostgresLog
from gateway.store.partitions import make_partitions
from gateway.store.reading import Database
from gateway.store.rejected import RejectedStore
from gateway.store.replays import ReplayStore
from gateway.store.secrets import SecretBox
from gateway.store.session import Session
from gateway.store.timeline import Timeline
from tests.integration.history import History

FENCE = Fence("test", 1)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str
    json: Any


class Api(History):
    """A gateway whose pipeline is this class."""

    def __init__(self, dsn: str, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.pool = pool
        self.ids = IdSource()
        self.log = PostgresLog(dsn, fence=FENCE, write_timeout_s=5)
        self.tokens = TokenBook()
        self.registry = Registry(
            ConfigStore(pool, SecretBox([bytes(32)])), policy=EgressPolicy(), tokens=self.tokens, ids=self.ids
        )
        self.database = Database(pool)
        self.rejected = RejectedStore(self.database, ids=self.ids)
        self.replays = ReplayStore(self.database)
        self.submitted: dict[str, tuple[int, str, bytes]] = {}
        self.nudged: list[str] = []
        self.woken = 0
        self.token = ""
        self.client: TestClient[web.Request, web.Application]

    async def submit(self, tenant_id: int, type: str, payload: bytes, *, key: str | None = None) -> tuple[str, bool]:
        check(type, payload)
        assert key is not None
        duplicate = key in self.submitted
        self.submitted.setdefault(key, (tenant_id, type, payload))
        return self.ids.next(), duplicate

    def nudge(self, webhook_ids: Sequence[str]) -> None:
        self.nudged.extend(webhook_ids)

    def wake(self) -> None:
        self.woken += 1

    async def call(
        self, method: str, path: str, body: object = None, *, token: str | None = None, raw: bytes | None = None
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        sent = {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        url = path if path.startswith(("/openapi", "/docs")) else "/api/v1" + path
        async with self.client.request(method, url, headers=headers, **sent) as response:
            text = await response.text()
            data = await response.json(content_type=None) if response.content_type.endswith("json") else None
            return Answer(response.status, response.headers, text, data)

    async def get(self, path: str, *, token: str | None = None) -> Any:
        answer = await self.call("GET", path, token=token)
        assert answer.status == 200, answer.text
        return answer.json

    async def items(self, path: str, *, token: str | None = None) -> list[Any]:
        return list((await self.get(path, token=token))["items"])

    async def token_for(self, role: Role, tenant_id: int | None = None) -> str:
        made = mint()
        token = Token(
            self.ids.next(), role, role, tenant_id, made.prefix, made.digest, datetime.now(UTC), None
        )  # fmt: skip
        await self.registry.add_token(token, by="test")
        return made.plain

    async def webhook(self, *, tenant_id: int = 1, state: WebhookState = WebhookState.ACTIVE, **more: Any) -> Webhook:
        id = self.ids.next()
        settings: dict[str, Any] = {
            "name": f"hook {id}",
            "events": frozenset(BY_NAME),
            "method": "POST",
            "url": "https://crm.example.com/hooks",
            "access": None,
            "reason": None,
            "signing_secrets": (b"secret",),
        }
        return await self.registry.add_webhook(
            Webhook(id=id, tenant_id=tenant_id, state=state, **(settings | more)), by="test"
        )

    async def rows(self) -> list[asyncpg.Record]:
        return await self.pool.fetch("SELECT * FROM deliveries ORDER BY webhook_id, event_id")


@pytest.fixture
async def api(database: str) -> AsyncIterator[Api]:
    session = Session(database, name="test", timeout_s=5)
    await make_partitions(session, datetime.now(UTC).date())
    await session.fetch("UPDATE shards SET owner = $1, epoch = $2", FENCE.owner, FENCE.epoch)
    await session.close()
    async with asyncpg.create_pool(database, min_size=1, max_size=4) as pool:
        api = Api(database, pool)
        await api.registry.load()
        api.token = await api.token_for(Role.ADMIN)
        timeline = Timeline(api.database)
        routes = [
            *LogApi(AttemptLog(api.database), api.registry).routes(),
            *EventApi(timeline).routes(),
            *CallApi(timeline, api.registry).routes(),
            *ReplayApi(api.replays, api.registry, nudge=api.nudge, withdrawn=api.nudge, wake=api.wake).routes(),
            *RejectedApi(api.rejected, api.registry, submit=api.submit, ids=api.ids).routes(),
            *EventTypeApi().routes(),
        ]
        app = web.Application(middlewares=[problem_middleware])
        add_routes(app, [*routes, *OpenApi(routes).routes()], tokens=api.tokens)
        async with TestClient(TestServer(app)) as api.client:
            yield api
        await api.log.close()
