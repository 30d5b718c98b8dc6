"""The switch's door: three calls that accept events, and answer 202 only after the commit.

Invariant: what is answered 422 is kept in `rejected`; what is answered otherwise and is not 202 left nothing
behind that would be delivered.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog
from aiohttp import web

from gateway import catalog
from gateway.errors import FieldError, Problem, Unavailable
from gateway.http import TITLES, invalid, json_response, read_body
from gateway.ingress.envelope import check_key, parse_envelope, split_batch
from gateway.ingress.fast_lane import DOOR, open_fast_lane
from gateway.ingress.intake import Intake
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

    def __init__(self, intake: Intake, *, tokens: TokenBook, tenants: Tenants, keep: Keep, metrics: Metrics) -> None:
        self._intake = intake
        self._tokens = tokens
        self._tenants = tenants
        self._keep = keep
        self._metrics = metrics

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(DOOR, self.push)
        app.router.add_post(DOOR + "/batch", self.push_batch)
        app.router.add_post(DOOR + "/{type}", self.push_payload)

    def open_fast_lane(self, server: web.Server) -> None:
        hot = {DOOR: self.push, DOOR + "/batch": self.push_batch}
        open_fast_lane(server, hot, by_type=self.push_payload, body_bytes=BATCH_BYTES)

    async def push(self, request: web.BaseRequest) -> web.Response:
        """`POST /v1/events`: an envelope."""
        try:
            token = self._authenticate(request)
            body = await _body(request, EVENT_BYTES)
            key = _header_key(request)
            return _accepted(await self._push_envelope(token, body, key, _tenant_header(request)))
        except (Problem, Unavailable) as error:
            self._count(error)
            raise

    async def push_payload(self, request: web.BaseRequest) -> web.Response:
        """`POST /v1/events/{type}`: the payload itself."""
        try:
            token = self._authenticate(request)
            body = await _body(request, EVENT_BYTES)
            type, key, tenant = request.path.rpartition("/")[2], _header_key(request), _tenant_header(request)
            async with _Keeping(self, token, body) as keeping:
                keeping.type = type
                answer = self._submit(token, keeping, type, body, tenant=tenant, key=key)
                return _accepted(await answer)
        except (Problem, Unavailable) as error:
            self._count(error)
            raise

    async def push_batch(self, request: web.BaseRequest) -> web.Response:
        """`POST /v1/events/batch`: up to 1,000 envelopes, each accepted or refused on its own."""
        try:
            token = self._authenticate(request)
            items = split_batch(await _body(request, BATCH_BYTES))
        except (Problem, Unavailable) as error:
            self._count(error)
            raise
        tenant = _tenant_header(request)
        # One after the other up to the commit, so that their order is the batch's; then all at once.
        started = [await self._start(token, item, tenant) for item in items]
        results = [await self._result(answer) for answer in started]
        if all(isinstance(result, Unavailable) for result in results):
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

    async def _push_envelope(self, token: Token, body: bytes, key: str | None, tenant: str | None) -> Accepted:
        async with _Keeping(self, token, body) as keeping:
            return await self._submit_envelope(token, keeping, body, key=key, tenant=tenant)

    def _submit_envelope(
        self, token: Token, keeping: _Keeping, body: bytes, *, key: str | None, tenant: str | None
    ) -> asyncio.Future[Accepted]:
        envelope, data = parse_envelope(body)
        keeping.type, keeping.payload = envelope.type, data
        if key is not None and envelope.id is not None and key != envelope.id:
            raise invalid(FieldError("/id", "differs from the Idempotency-Key header; send one of them"))
        return self._submit(
            token,
            keeping,
            envelope.type,
            data,
            tenant=envelope.tenant if envelope.tenant is not None else tenant,
            key=key if envelope.id is None else envelope.id,
            occurred_at=envelope.occurred_at,
            at="/data",
        )

    def _submit(
        self,
        token: Token,
        keeping: _Keeping,
        type: str,
        payload: bytes,
        *,
        tenant: str | None,
        key: str | None,
        occurred_at: datetime | None = None,
        at: str = "",
    ) -> asyncio.Future[Accepted]:
        tenant_id = keeping.tenant_id = self._tenant_id(token, tenant)
        name = _known(type)
        checked = catalog.check(name, payload, at=at)
        return self._intake.submit(
            tenant_id=tenant_id,
            type=name,
            call_key=checked.call_key,
            account_id=checked.account_id,
            payload=payload,
            occurred_at=occurred_at,
            key=key,
            digest=None if key is None else _digest(name, payload),
        )

    async def _start(
        self, token: Token, item: bytes, tenant: str | None
    ) -> asyncio.Future[Accepted] | Problem | Unavailable:
        try:
            if len(item) > EVENT_BYTES:
                raise Problem(413, "too-large", f"an event may have at most {EVENT_BYTES} bytes")
            async with _Keeping(self, token, item) as keeping:
                return self._submit_envelope(token, keeping, item, key=None, tenant=tenant)
        except (Problem, Unavailable) as error:
            return error

    async def _result(
        self, answer: asyncio.Future[Accepted] | Problem | Unavailable
    ) -> Accepted | Problem | Unavailable:
        if isinstance(answer, asyncio.Future):
            try:
                return await answer
            except (Problem, Unavailable) as error:
                answer = error
        self._count(answer)
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

    def _count(self, error: Problem | Unavailable) -> None:
        self._metrics.events_rejected.inc(error.type if isinstance(error, Problem) else "unavailable")

    async def keep(self, tenant_id: int | None, type: str | None, problem: Problem, body: bytes) -> None:
        """Keep what does not fit; where the database cannot, the 422 is still the right answer."""
        try:
            await self._keep(tenant_id, type, problem.errors, body)
        except Unavailable as error:
            log.warning("rejected_not_kept", error=str(error))


class _Keeping:
    """Around the checks of one event: what does not fit is kept, with what is known of the event by then."""

    def __init__(self, pushes: Pushes, token: Token, body: bytes) -> None:
        self._pushes = pushes
        self.tenant_id = token.tenant_id
        self.type: str | None = None
        self.payload = body

    async def __aenter__(self) -> _Keeping:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Problem) and error.type == "validation":
            await self._pushes.keep(self.tenant_id, self.type, error, self.payload)


async def _body(request: web.BaseRequest, limit_bytes: int) -> bytes:
    """The body, in one step if it is all there already, as a small one is."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported-encoding", "send the body without Content-Encoding")
    if request.content.is_eof():
        body = await request.read()
        if len(body) <= limit_bytes:
            return body
    return await read_body(request, limit_bytes)


def _header_key(request: web.BaseRequest) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None:
        check_key(key, "Idempotency-Key")
    return key


def _tenant_header(request: web.BaseRequest) -> str | None:
    return request.headers.get("X-Tenant")


def _known(type: str) -> str:
    name = catalog.resolve(type)
    if name is None:
        known = ", ".join(catalog.BY_NAME)
        raise invalid(FieldError("/type", f"there is no such event type; known are {known}"))
    return name


def _digest(type: str, payload: bytes) -> bytes:
    return hashlib.sha256(type.encode() + b"\0" + payload).digest()


def _accepted(accepted: Accepted) -> web.Response:
    event_id, duplicate = accepted
    return json_response({"id": event_id, "duplicate": duplicate}, status=202)


def _shown(result: Accepted | Problem | Unavailable) -> dict[str, object]:
    if isinstance(result, tuple):
        return {"id": result[0], "duplicate": result[1]}
    if isinstance(result, Unavailable):
        return {"error": {"type": "/problems/unavailable", "status": 503, "detail": str(result)}}
    error: dict[str, object] = {
        "type": f"/problems/{result.type}",
        "title": TITLES.get(result.type, result.title),
        "status": result.status,
        "detail": result.detail,
    }
    if result.errors:
        error["errors"] = [{"pointer": each.pointer, "detail": each.detail} for each in result.errors]
    return {"error": error}
