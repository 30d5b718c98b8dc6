"""A gateway with its console, and a browser without scripts: it keeps cookies and sends back the forms it is given."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from ipaddress import ip_network

import asyncpg
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.app import Parts
from gateway.admin.routes import add_routes
from gateway.catalog import check
from gateway.clock import Clock
from gateway.console.app import Console
from gateway.console.figures import Figures
from gateway.delivery.gate import Gate
from gateway.delivery.http1 import Http1Transport
from gateway.delivery.recorder import Recorder
from gateway.delivery.trial import Trial
from gateway.egress.policy import EgressPolicy
from gateway.egress.resolver import Resolver
from gateway.http import problem_middleware
from gateway.ids import IdSource
from gateway.ingress.tokens import TokenBook, mint
from gateway.loops import Loops
from gateway.minutes import Minutes
from gateway.model import Role, Token, Webhook, WebhookState
from gateway.registry.registry import Registry
from gateway.replay import Replayer
from gateway.store.attempt_log import AttemptLog
from gateway.store.config import ConfigStore
from gateway.store.log import Fence, PostgresLog
from gateway.store.maintenance import Unsettled
from gateway.store.minutes import MinuteStore
from gateway.store.partitions import make_partitions
from gateway.store.reading import Database
from gateway.store.rejected import RejectedStore
from gateway.store.replays import ReplayStore
from gateway.store.secrets import SecretBox
from gateway.store.session import Session
from gateway.store.timeline import Timeline
from gateway.telemetry.metrics import LaneSample, Metrics
from tests.integration.history import History

FENCE = Fence("test", 1)
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Shown:
    """A page as it came, redirects not followed."""

    status: int
    headers: Mapping[str, str]
    html: str

    @property
    def text(self) -> str:
        """What a reader sees: no tags, entities resolved, blanks collapsed."""
        without = re.sub(r"<(head|style|script)\b.*?</\1>", " ", self.html, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", without)).split())

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")


class FormReader(HTMLParser):
    """Reads one form as a browser does: what is typed, chosen and checked, and no button."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.fields: dict[str, str | list[str]] = {}
        self._action = action
        self._inside = False
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        if tag == "form":
            self._inside = has.get("action") == self._action
        if not self._inside:
            return
        name, value = has.get("name") or "", has.get("value") or ""
        if tag == "input" and has.get("type") in ("checkbox", "radio"):
            if "checked" in has:
                self._add(name, value or "on")
        elif tag == "input":
            self._add(name, value)
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in has:
            self._add(self._select, value)

    def handle_data(self, data: str) -> None:
        """An option without a value has its text for one."""
        if self._select and self.fields.get(self._select) == "" and data.strip():
            self.fields[self._select] = data.strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "option":
            self._select = "" if self._select in self.fields else self._select

    def _add(self, name: str, value: str) -> None:
        held = self.fields.get(name)
        if held is None:
            self.fields[name] = value
        else:
            self.fields[name] = [*([held] if isinstance(held, str) else held), value]


class Site(History):
    """`client` is one browser. `parts` are what the console works on; `submitted` is what it pushed."""

    def __init__(self, dsn: str, pool: asyncpg.Pool[asyncpg.Record], loops: Loops) -> None:
        self.pool = pool
        self.ids = IdSource()
        self.tokens = TokenBook()
        self.policy = EgressPolicy(allow=[ip_network("127.0.0.0/8")])
        self.config = ConfigStore(pool, SecretBox([bytes(32)]))
        self.registry = Registry(self.config, policy=self.policy, tokens=self.tokens, ids=self.ids)
        self.database = Database(pool)
        self.rejected = RejectedStore(self.database, ids=self.ids)
        self.log = PostgresLog(dsn, fence=FENCE, write_timeout_s=5)
        self.transport = Http1Transport(Resolver(self.policy))
        self.recorder = Recorder(self.log, gate=Gate(), metrics=Metrics(version="test"))
        loops.start("recorder", self.recorder.run())
        self.submitted: list[tuple[int, str, bytes]] = []
        replays = ReplayStore(self.database)
        self.parts = Parts(
            registry=self.registry,
            config=self.config,
            attempts=AttemptLog(self.database),
            timeline=Timeline(self.database),
            rejected=self.rejected,
            replays=replays,
            replayer=Replayer(replays, nudge=lambda _: None),
            trial=Trial(
                transport=self.transport, recorder=self.recorder, ids=self.ids, parse_target=self.policy.parse_target
            ),
            submit=self.submit,
            stored_elsewhere=lambda _: None,
            withdrawn_elsewhere=lambda _: None,
            ids=self.ids,
        )
        self.metrics = Metrics(version="test")
        store = MinuteStore(self.database)
        self.minutes = Minutes(self.metrics.rollup, store, clock=Clock(), retention=timedelta(days=30))
        self.lanes: list[LaneSample] = []
        self.unsettled: list[Unsettled] = []
        self.figures = Figures(
            store,
            self.registry,
            unstored=self.minutes.unstored,
            lanes=lambda: self.lanes,
            unsettled=lambda: self.unsettled,
        )
        self.console = Console(
            self.parts, figures=self.figures, tokens=self.tokens, policy=self.policy, retry_schedule_s=(5, 300)
        )
        self.admin_token = ""
        self.client: TestClient[web.Request, web.Application]

    async def submit(self, tenant_id: int, type: str, payload: bytes, *, key: str | None = None) -> tuple[str, bool]:
        check(type, payload)
        self.submitted.append((tenant_id, type, payload))
        return self.ids.next(), False

    # ── Setting up ──────────────────────────────────────────────────────────────────────────────────────────────

    async def token_for(self, role: Role, *, tenant_id: int | None = None, expires_at: datetime | None = None) -> str:
        made = mint()
        token = Token(
            self.ids.next(), role, role, tenant_id, made.prefix, made.digest, datetime.now(UTC), expires_at
        )  # fmt: skip
        await self.registry.add_token(token, by="test")
        return made.plain

    async def webhook(self, **settings: object) -> Webhook:
        usual: dict[str, object] = {
            "tenant_id": 1,
            "name": "crm",
            "events": frozenset({"call.created"}),
            "method": "POST",
            "url": "https://crm.example.com/hooks",
            "access": None,
            "state": WebhookState.ACTIVE,
            "reason": None,
            "signing_secrets": (b"k" * 32,),
        }
        webhook = Webhook(id=self.ids.next(), **(usual | settings))  # type: ignore[arg-type]  # one dict for all types
        return await self.registry.add_webhook(webhook, by="test")

    # ── Browsing ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def origin(self) -> str:
        return str(self.client.make_url("/")).rstrip("/")

    async def sign_in(self, role: Role = Role.ADMIN, *, tenant_id: int | None = None) -> Shown:
        """As a new token of that role; the browser's earlier session is over."""
        return await self.sign_in_with(await self.token_for(role, tenant_id=tenant_id))

    async def sign_in_with(self, token: str) -> Shown:
        return await self.send("/sign-in", {"token": token})

    async def get(self, path: str, *, part: bool = False, headers: Mapping[str, str] | None = None) -> Shown:
        sent = {**(headers or {}), **({"HX-Request": "true"} if part else {})}
        async with self.client.get(path, headers=sent, allow_redirects=False) as response:
            return Shown(response.status, response.headers, await response.text())

    async def send(
        self,
        path: str,
        fields: Mapping[str, str | list[str]],
        *,
        part: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Shown:
        """A form as it stands, with the Origin that a browser adds."""
        pairs = [(k, v) for k, vs in fields.items() for v in ([vs] if isinstance(vs, str) else vs)]
        sent = {"Origin": self.origin, **({"HX-Request": "true"} if part else {}), **(headers or {})}
        async with self.client.post(path, data=pairs, headers=sent, allow_redirects=False) as response:
            return Shown(response.status, response.headers, await response.text())

    async def submit_form(
        self, path: str, fields: Mapping[str, str | list[str]] | None = None, *, part: bool = False
    ) -> Shown:
        """A form of a page that is open: with the secret that its pages carry."""
        return await self.send(path, {**(fields or {}), "csrf": await self.csrf()}, part=part)

    async def fields(self, path: str) -> dict[str, str | list[str]]:
        """What a browser would send of the form on this page that leads back to it."""
        reader = FormReader(path.partition("?")[0])
        reader.feed((await self.get(path)).html)
        return reader.fields

    async def csrf(self) -> str:
        found = CSRF.search((await self.get("/")).html)
        assert found is not None, "signed in, every page has a form: the one that signs out"
        return found[1]


@asynccontextmanager
async def open_site(database: str) -> AsyncIterator[Site]:
    session = Session(database, name="test", timeout_s=5)
    await make_partitions(session, datetime.now(UTC).date())
    await session.fetch("UPDATE shards SET owner = $1, epoch = $2", FENCE.owner, FENCE.epoch)
    await session.close()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(asyncpg.create_pool(database, min_size=1, max_size=4))
        loops = Loops()
        site = Site(database, pool, loops)
        stack.push_async_callback(site.log.close)
        stack.push_async_callback(site.transport.close)
        stack.push_async_callback(loops.stop)
        await site.registry.load()
        site.admin_token = await site.token_for(Role.ADMIN)
        app = web.Application(middlewares=[problem_middleware])
        site.console.add_routes(app)
        add_routes(app, site.console.api_routes(), tokens=site.tokens)
        server = TestServer(app)
        site.client = await stack.enter_async_context(TestClient(server, cookie_jar=CookieJar(unsafe=True)))
        yield site
