"""The configuration API as a client meets it: real sockets, a real database, and one admin token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.app import configuration_routes
from gateway.admin.routes import add_routes
from gateway.egress.policy import EgressPolicy
from gateway.http import problem_middleware
from gateway.ids import IdSource
from gateway.ingress.tokens import TokenBook, mint
from gateway.model import Role, Token, Webhook
from gateway.registry.registry import Registry
from gateway.store.config import ConfigStore
from gateway.store.secrets import SecretBox

CREDENTIAL = {
    "type": "basic",
    "name": "crm",
    "key_name": "Authorization",
    "client_id": "hcc",
    "client_secret": "s3cr3t!",
}
KEY = {"type": "api_key", "name": "warehouse", "key_name": "x-api-key", "api_key": "k3y-value", "location": "header"}
HOOK = {"events": ["call.created", "call.saved"], "url": "https://crm.example.com/hooks"}


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.changed: list[Webhook] = []
        self.removed: list[str] = []

    def webhook_changed(self, webhook: Webhook) -> None:
        self.changed.append(webhook)

    def webhook_removed(self, webhook_id: str) -> None:
        self.removed.append(webhook_id)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str
    json: Any


class Api:
    """One gateway's configuration and a client of it. `token` speaks in every call that names no other."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.pool = pool
        self.store = ConfigStore(pool, SecretBox([bytes(32)]))
        self.tokens = TokenBook()
        self.registry = self.new_registry()
        self.heard = Heard()
        self.registry.listen(self.heard)
        self.tested: list[tuple[str, str]] = []
        self.test_outcome = "success"
        self.token = ""
        self.client: TestClient[web.Request, web.Application]

    def new_registry(self, policy: EgressPolicy | None = None) -> Registry:
        """As after a restart; it is empty until it is loaded."""
        return Registry(self.store, policy=policy or EgressPolicy(), tokens=self.tokens, ids=IdSource())

    async def send_test(self, webhook: Webhook, type: str) -> dict[str, object]:
        self.tested.append((webhook.id, type))
        return {"outcome": self.test_outcome}

    async def call(
        self, method: str, path: str, body: object = None, *, token: str | None = None, raw: bytes | None = None
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        sent = {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        async with self.client.request(method, "/api/v1" + path, headers=headers, **sent) as response:
            text = await response.text()
            is_json = response.content_type.endswith("json")
            return Answer(
                response.status, response.headers, text, await response.json(content_type=None) if is_json else None
            )

    async def make(self, path: str, body: Mapping[str, object], *, token: str | None = None) -> Any:
        """Create a resource, which must succeed."""
        answer = await self.call("POST", path, body, token=token)
        assert answer.status == 201, answer.text
        return answer.json

    async def token_for(self, role: str, tenant: str | None = None) -> str:
        body = {"role": role} if tenant is None else {"role": role, "tenant": tenant}
        made = await self.make("/tokens", body)
        assert isinstance(made["token"], str)
        return made["token"]

    async def audited(self) -> list[Any]:
        return list((await self.call("GET", "/audit?limit=500")).json["items"])


@pytest.fixture
async def api(database: str) -> AsyncIterator[Api]:
    async with asyncpg.create_pool(database, min_size=1, max_size=4) as pool:
        api = Api(pool)
        await api.registry.load()
        made = mint()
        admin = Token(
            api.registry.new_id(), "first", Role.ADMIN, None, made.prefix, made.digest, datetime.now(UTC), None
        )
        await api.registry.add_token(admin, by="test")
        api.token = made.plain
        app = web.Application(middlewares=[problem_middleware])
        add_routes(app, configuration_routes(api.registry, api.store, send_test=api.send_test), tokens=api.tokens)
        async with TestClient(TestServer(app)) as api.client:
            yield api
