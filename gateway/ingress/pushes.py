"""The switch's door: three calls that accept events, and answer 202 only after the commit.

Invariant: what is answered 422 is kept in `rejected`; what is answered otherwise and is not 202 left nothing
behind that would be delivered.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog
from aiohttp import web

from gateway import catalog
from gateway.errors import FieldError, Problem, Unavailable
from gateway.http import TITLES, invalid, json_response, read_body
from gateway.ingress.answer import DateHeader, accepted
from gateway.ingress.envelope import check_key, parse_envelope, split_batch
from gateway.ingress.fast_lane import DOOR, open_fast_lane
from gateway.ingress.intake import Intake
from gateway.ingress.quota import Quotas
from gateway.ingress.tokens import MAY_PUSH, TokenBook, require
from gateway.model import DEFAULT_TENANT, Tenant, Token
from gateway.telemetry.metrics import Metrics

EVENT_BYTES = 1024 * 1024
BATCH_BYTES = 16 * 1024 * 1024

Keep = Callable[[int | None, str | None, Sequence[FieldError], bytes], Awaitable[str]]
"""Keeps what was refused: tenant, type where it is known, why, and the bytes; answers its id."""
Accepted = tuple[str, bool]

log = structlog.get_logger(__name__)


class Tenants(Protocol):
    """What the door asks of the registry."""

    def tenant(self, name: str) -> Tenant | None: ...


class Pushes:
    """The handlers of `/v1/events`."""

    def __init__(
        self, intake: Intake, *, tokens: TokenBook, tenants: Tenants, quotas: Quotas, keep: Keep, metrics: Metrics
    ) -> None:
        self._intake = intake
        self._tokens = tokens
        self._tenants = tenants
        self._quotas = quotas
        self._keep = keep
        self._metrics = metrics
        self._date = DateHeader()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(DOOR, self.push)
        app.router.add_post(DOOR + "/batch", self.push_batch)
        app.router.add_post(DOOR + "/{type}", self.push_payload)

    def open_fast_lane(self, server: web.Server) -> None:
        hot = {DOOR: self.push, DOOR + "/batch": self.push_batch}
        open_fast_lane(server, hot, by_type=self.push_payload, body_bytes=BATCH_BYTES)

    async def push(self, request: web.BaseRequest) -> web.StreamResponse:
        """`POST /v1/events`: an envelope."""
        push = None
        try:
            push = _Push(self._authenticate(request), await _body(request, EVENT_BYTES), request.headers)
            event_id, duplicate = await self._submit_envelope(push)
            return accepted(request, event_id, duplicate, self._date)
        except (Problem, Unavailable) as error:
            await self._refused(error, push)
            raise

    async def push_payload(self, request: web.BaseRequest) -> web.StreamResponse:
        """`POST /v1/events/{type}`: the payload itself."""
        push = None
        try:
            push = _Push(self._authenticate(request), await _body(request, EVENT_BYTES), request.headers)
            push.type = request.path.removeprefix(DOOR + "/")
            event_id, duplicate = await self._submit(push)
            return accepted(request, event_id, duplicate, self._date)
        except (Problem, Unavailable) as error:
            await self._refused(error, push)
            raise

    async def push_batch(self, request: web.BaseRequest) -> web.Response:
        """`POST /v1/events/batch`: up to 1,000 envelopes, each accepted or refused on its own."""
        try:
            token = self._authenticate(request)
            items = split_batch(await _body(request, BATCH_BYTES))
        except (Problem, Unavailable) as error:
            await self._refused(error, None)
            raise
        # All are submitted before any is waited for, so their order is the batch's and they are committed together.
        at_s = self._quotas.now_s()
        pushes = [_Push(token, item, request.headers, batch_at_s=at_s) for item in items]
        started = [self._start(push) for push in pushes]
        results = [await self._result(push, answer) for push, answer in zip(pushes, started, strict=True)]
        if all(_is_to_be_repeated(result) for result in results):
            raise results[0]  # type: ignore[misc]  # just seen: it is an exception
        return json_response({"results": [_shown(result) for result in results]}, status=202)

    async def submit(
        self, tenant_id: int, type: str, payload: bytes, *, key: str | None = None, occurred_at: datetime | None = None
    ) -> Accepted:
        """Accept one event from inside, such as a mended one; (event id, duplicate). Problem or `Unavailable`."""
        name = _known(type)
        checked = catalog.check(name, payload)
        return await self._intake.submit(
            tenant_id=tenant_id,
            type=name,
            call_key=checked.call_key,
            account_id=checked.account_id,
            payload=payload,
            occurred_at=occurred_at,
            key=key,
            digest=None if key is None else _digest(name, payload),
        )

    # --- inside ------------------------------------------------------------------------------------------------

    def _authenticate(self, request: web.BaseRequest) -> Token:
        token = self._tokens.authenticate(request.headers.get("Authorization"), datetime.now(UTC))
        require(token, *MAY_PUSH)
        return token

    def _submit_envelope(self, push: _Push) -> asyncio.Future[Accepted]:
        envelope, data = parse_envelope(push.payload)
        push.type, push.payload, push.at = envelope.type, data, "/data"
        push.occurred_at = envelope.occurred_at
        if envelope.tenant is not None:
            push.tenant = envelope.tenant
        if envelope.id is not None:
            if push.key is not None and push.key != envelope.id:
                raise invalid(FieldError("/id", "differs from the Idempotency-Key header; send one of them"))
            push.key = envelope.id
        return self._submit(push)

    def _submit(self, push: _Push) -> asyncio.Future[Accepted]:
        tenant_id = push.tenant_id = self._tenant_id(push.token, push.tenant)
        self._quotas.take(tenant_id, push.batch_at_s)  # before the check: what does not fit costs a write as well
        type, payload, key = _known(push.type), push.payload, push.key
        checked = catalog.check(type, payload, at=push.at)
        return self._intake.submit(
            tenant_id=tenant_id,
            type=type,
            call_key=checked.call_key,
            account_id=checked.account_id,
            payload=payload,
            occurred_at=push.occurred_at,
            key=key,
            digest=None if key is None else _digest(type, payload),
        )

    def _start(self, push: _Push) -> asyncio.Future[Accepted] | Problem | Unavailable:
        """One event of a batch, up to where it waits for its commit."""
        try:
            if len(push.payload) > EVENT_BYTES:
                raise Problem(413, "too-large", f"an event may have at most {EVENT_BYTES} bytes")
            return self._submit_envelope(push)
        except (Problem, Unavailable) as error:
            return error

    async def _result(
        self, push: _Push, answer: asyncio.Future[Accepted] | Problem | Unavailable
    ) -> Accepted | Problem | Unavailable:
        if isinstance(answer, asyncio.Future):
            try:
                return await answer
            except (Problem, Unavailable) as error:
                answer = error
        await self._refused(answer, push)
        return answer

    def _tenant_id(self, token: Token, name: str | None) -> int:
        if name is None and token.tenant_id is not None:
            return token.tenant_id
        tenant = self._tenants.tenant(DEFAULT_TENANT if name is None else name)
        if token.tenant_id is not None and (tenant is None or tenant.id != token.tenant_id):
            raise Problem(403, "forbidden", "this token is bound to another tenant than the one named")
        if tenant is None:
            raise invalid(FieldError("/tenant", "there is no tenant of this name"))
        return tenant.id

    async def _refused(self, error: Problem | Unavailable, push: _Push | None) -> None:
        """Count it, and keep what does not fit; where the database cannot, the 422 is still the right answer."""
        if isinstance(error, Unavailable):
            self._metrics.events_rejected.inc("unavailable")
            return
        self._metrics.events_rejected.inc(error.type)
        if error.type == "validation" and push is not None:
            try:
                await self._keep(push.tenant_id, push.type or None, error.errors, push.payload)
            except Unavailable as away:
                log.warning("rejected_not_kept", error=str(away))


class _Push:
    """One event on its way in: what is known of it by now, so that it can be kept if it is refused."""

    __slots__ = ("at", "batch_at_s", "key", "occurred_at", "payload", "tenant", "tenant_id", "token", "type")

    def __init__(
        self, token: Token, body: bytes, headers: Mapping[str, str], *, batch_at_s: float | None = None
    ) -> None:
        self.token = token
        self.tenant_id = token.tenant_id
        self.payload = body
        self.type = ""
        self.at = ""
        self.occurred_at: datetime | None = None
        self.tenant = headers.get("X-Tenant")
        self.batch_at_s = batch_at_s
        self.key = None if batch_at_s is not None else headers.get("Idempotency-Key")
        if self.key is not None:
            check_key(self.key, "Idempotency-Key")


async def _body(request: web.BaseRequest, limit_bytes: int) -> bytes:
    """The body, in one step if it is all there already, as a small one is."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported-encoding", "send the body without Content-Encoding")
    if request.content.is_eof():
        body = await request.read()
        if len(body) <= limit_bytes:
            return body
    return await read_body(request, limit_bytes)


def _known(type: str) -> str:
    name = catalog.resolve(type)
    if name is None:
        known = ", ".join(each.name for each in catalog.PUSHED_TYPES)
        raise invalid(FieldError("/type", f"there is no such event type; known are {known}"))
    if catalog.BY_NAME[name].operational:
        raise invalid(FieldError("/type", f"{name} is the gateway's own event, and cannot be pushed"))
    return name


def _digest(type: str, payload: bytes) -> bytes:
    return hashlib.sha256(type.encode() + b"\0" + payload).digest()


def _is_to_be_repeated(result: Accepted | Problem | Unavailable) -> bool:
    return isinstance(result, Unavailable) or (isinstance(result, Problem) and result.status == 429)


def _shown(result: Accepted | Problem | Unavailable) -> dict[str, object]:
    if isinstance(result, tuple):
        return {"id": result[0], "duplicate": result[1]}
    if isinstance(result, Unavailable):
        unavailable = {"type": "/problems/unavailable", "status": 503, "detail": str(result)}
        return {"error": {**unavailable, "retry_after_s": result.retry_after_s}}
    error: dict[str, object] = {
        "type": f"/problems/{result.type}",
        "title": TITLES.get(result.type, result.title),
        "status": result.status,
        "detail": result.detail,
    }
    if "Retry-After" in result.headers:
        error["retry_after_s"] = int(result.headers["Retry-After"])
    if result.errors:
        error["errors"] = [{"pointer": each.pointer, "detail": each.detail} for each in result.errors]
    return {"error": error}
