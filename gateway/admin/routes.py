"""The form of the API's route table, and how a table becomes routes of the application.

Invariant: the routes that are served and the OpenAPI document are made from the same table, so neither
can have an address that the other lacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from gateway.admin.auth import guarded
from gateway.http import Handler
from gateway.ingress.tokens import TokenBook
from gateway.model import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. `path` is whole and in aiohttp's form, which is OpenAPI's too: `/api/v1/webhooks/{id}`.

    `role` is the least that may call it; None leaves it open to all. `request_model`, `query_model` and
    `response_model` describe body, query and success answer; None means that there is none. `optional_body`
    says that the request may do without. `problems` are the statuses that only this route adds to those that
    every one may answer (400, 401, 403, 404, 422, 503).
    """

    method: str
    path: str
    handler: Handler
    role: Role | None
    summary: str
    tag: str
    description: str = ""
    request_model: type[BaseModel] | None = None
    optional_body: bool = False
    query_model: type[BaseModel] | None = None
    response_model: type[BaseModel] | None = None
    status: int = 200
    content_type: str = "application/json"
    problems: tuple[int, ...] = field(default=())


def add_routes(app: web.Application, routes: Iterable[Route], *, tokens: TokenBook) -> None:
    """Serve each route of the table behind its guard."""
    for route in routes:
        handler = route.handler if route.role is None else guarded(route.handler, least=route.role, tokens=tokens)
        app.router.add_route(route.method, route.path, handler)
