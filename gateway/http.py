"""How the gateway speaks JSON over HTTP: answers, RFC 9457 problems, and reading what a caller sent.

Invariant: whatever a handler raises, the caller gets `application/problem+json`, and neither it nor
the log repeats a value out of a body: a secret in the wrong member must not come back to light.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import orjson
import structlog
from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from gateway.errors import FieldError, GatewayError, Problem, Unavailable

BODY_LIMIT_BYTES = 256 * 1024
"""The most that an administrative request body may have."""
BODY_DEADLINE_S = 10.0
"""A body that trickles in more slowly than this is given up on: it would hold its connection for ever."""
ERRORS_LIMIT = 50
"""The most field errors that one problem lists."""

PLAIN = {
    "extra_forbidden": "there is no such member or parameter",
    "missing": "this is required",
    "model_type": "a JSON object is expected",
}
"""What pydantic says in its own terms, in the caller's."""

log = structlog.get_logger(__name__)

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
"""Takes a `web.Request`, or a `web.BaseRequest` where it came without the router."""
Model = TypeVar("Model", bound=BaseModel)

TITLES = {
    "bad-json": "The body is not JSON",
    "validation": "The request is not valid",
    "unauthorized": "The request is not authenticated",
    "forbidden": "The token may not do this",
    "not-found": "There is no such thing",
    "method-not-allowed": "The method is not allowed here",
    "conflict": "The request contradicts what exists",
    "too-large": "The body is too large",
    "timeout": "The body came too slowly",
    "over-quota": "More was pushed than the tenant may",
    "unavailable": "The gateway cannot take this now",
    "internal": "The gateway failed",
}
"""Every problem type that is not tied to one route, and its title (RFC 9457 §3.1: the same on each occurrence)."""


def json_response(data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`data` is anything that orjson takes, or a pydantic model, or a mix; UTC times come out as RFC 3339 with a Z."""
    body = orjson.dumps(data, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def problem_response(problem: Problem, *, instance: str | None = None) -> web.Response:
    """RFC 9457 §3. `type` is a stable URI reference, which also leads to a page about the problem."""
    members: dict[str, object] = {
        "type": f"/problems/{problem.type}",
        "title": TITLES.get(problem.type, problem.title),
        "status": problem.status,
        "detail": problem.detail,
    }
    if instance is not None:
        members["instance"] = instance
    if problem.errors:
        members["errors"] = [{"pointer": error.pointer, "detail": error.detail} for error in problem.errors]
    return web.Response(
        body=orjson.dumps(members),
        status=problem.status,
        headers=problem.headers,
        content_type="application/problem+json",
    )


@web.middleware
async def problem_middleware(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
    """The one place where an exception becomes an answer."""
    try:
        return await handler(request)
    except Exception as error:
        problem = problem_of(request, error)
        if problem is None:
            raise
        return problem_response(problem, instance=request.path)


def problem_of(request: web.BaseRequest, error: Exception) -> Problem | None:
    """The problem that an exception stands for; None for a redirect, which is an answer and no problem."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Unavailable):
        return Problem(503, "unavailable", str(error), headers={"Retry-After": str(error.retry_after_s)})
    if isinstance(error, web.HTTPException):
        return _of_aiohttp(request, error) if error.status >= 400 else None
    if isinstance(error, web.RequestPayloadError | ConnectionError):  # of the caller: the store's are translated
        return Problem(400, "bad-json", "the body ended early or its encoding is broken")
    # The message of a foreign exception may quote anything, so only its kind and place are logged.
    detail = str(error) if isinstance(error, GatewayError) else None
    place, kind = _place(error), type(error).__name__
    log.error("request_failed", method=request.method, path=request.path, error=kind, detail=detail, place=place)
    return Problem(500, "internal", "something went wrong inside the gateway; its log has the details")


def _of_aiohttp(request: web.BaseRequest, error: web.HTTPException) -> Problem:
    if error.status == 404:
        return Problem(404, "not-found", f"nothing is at {request.path}")
    if error.status == 405:
        allowed = error.headers.get("Allow", "")
        detail = f"{request.method} is not allowed here; allowed: {allowed.replace(',', ', ')}"
        return Problem(405, "method-not-allowed", detail, headers={"Allow": allowed})
    if error.status == 413:
        return Problem(413, "too-large", "the body is larger than this address takes")
    return Problem(error.status, "-".join(error.reason.lower().split()), error.reason)


def _place(error: BaseException) -> str:
    """The innermost frames as file:line, which name the fault without quoting any value."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(reversed(frames[-5:]))


async def read_body(request: web.BaseRequest, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
    """The whole body, within a limit and a deadline. Problem 413 or 408 where it exceeds them."""
    too_large = Problem(413, "too-large", f"the body may have at most {limit_bytes} bytes")
    if (request.content_length or 0) > limit_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit_bytes:
                    raise too_large
    except TimeoutError:
        raise Problem(408, "timeout", f"the body was not complete within {BODY_DEADLINE_S:.0f} s") from None
    return bytes(body)


async def read_json(request: web.Request, limit_bytes: int = BODY_LIMIT_BYTES) -> object:
    """The body as JSON. Problem 400 where it is none."""
    body = await read_body(request, limit_bytes)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        detail = f"the body is not valid JSON ({where})" if body else "the body is empty; JSON is expected"
        raise Problem(400, "bad-json", detail) from None


async def read_model(request: web.Request, model: type[Model]) -> Model:
    """The body as a validated model: `read_json`, then `parse`."""
    return parse(model, await read_json(request))


def parse(model: type[Model], data: object) -> Model:
    """`data` validated. Problem 422 `validation`, whose pointers are RFC 6901, where it does not fit."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(*(FieldError(pointer(*at), what) for at, what in _field_errors(error))) from None


def parse_query(model: type[Model], query: MultiMapping[str]) -> Model:
    """Query parameters validated; like `parse`, but an error is placed by its parameter's name."""
    twice = sorted({name for name in query if len(query.getall(name)) > 1})
    if twice:
        raise invalid(*(FieldError(name, "given more than once") for name in twice))
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise invalid(*(FieldError(str(at[0]) if at else "", what) for at, what in _field_errors(error))) from None


def invalid(*errors: FieldError) -> Problem:
    """A 422 `validation` problem whose sentence already says the first thing that is wrong."""
    first = errors[0]
    detail = f"{first.pointer}: {first.detail}" if first.pointer else first.detail
    if len(errors) > 1:
        detail += f" (and {len(errors) - 1} more)"
    return Problem(422, "validation", detail, errors=errors)


def pointer(*path: str | int) -> str:
    """RFC 6901: `~` and `/` inside a name are escaped."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _field_errors(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """Where and what, without pydantic's `input`: it may be a secret."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:ERRORS_LIMIT]
    return [(each["loc"], PLAIN.get(each["type"]) or each["msg"].removeprefix("Value error, ")) for each in found]
