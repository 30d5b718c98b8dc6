"""All addresses of the gateway in one application: the switch's door, the API, the console, and what machines ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from gateway.admin.openapi import OpenApi
from gateway.admin.problems import ProblemPages
from gateway.admin.routes import Route, add_routes
from gateway.console.app import Console
from gateway.errors import Unavailable
from gateway.http import json_response, problem_middleware
from gateway.ingress.pushes import BATCH_BYTES, Pushes
from gateway.ingress.tokens import TokenBook
from gateway.telemetry.metrics import CONTENT_TYPE, Metrics


def build_web(
    *,
    pushes: Pushes,
    routes: Sequence[Route],
    console: Console,
    tokens: TokenBook,
    metrics: Metrics,
    readiness: Callable[[], str | None],
) -> web.Application:
    """`readiness` says why events cannot be accepted now, or None where they can."""
    app = web.Application(middlewares=[problem_middleware], client_max_size=BATCH_BYTES)
    pushes.add_routes(app)
    add_routes(app, [*routes, *OpenApi(routes).routes(), *ProblemPages().routes()], tokens=tokens)
    console.add_routes(app)

    async def alive(request: web.Request) -> web.Response:
        return json_response({"status": "alive"})

    async def ready(request: web.Request) -> web.Response:
        reason = readiness()
        if reason is not None:
            raise Unavailable(reason)
        return json_response({"status": "ready"})

    async def scrape(request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    app.router.add_get("/livez", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/healthz", ready)
    app.router.add_get("/metrics", scrape)
    return app
