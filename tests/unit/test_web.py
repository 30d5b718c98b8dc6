"""All addresses of the gateway, and their description."""

from __future__ import annotations

from typing import Any, cast

from gateway.admin.app import Parts, api_routes
from gateway.admin.openapi import document
from gateway.ingress.pushes import Pushes
from gateway.ingress.tokens import TokenBook
from gateway.telemetry.metrics import Metrics
from gateway.web import build_web


class Anything:
    """Stands for every part: addresses are known before any of them is asked."""

    def __getattr__(self, name: str) -> Any:
        return Anything()

    def __call__(self, *arguments: object) -> None: ...


def test_the_document_has_every_address_that_is_served_and_no_other() -> None:
    part = cast("Any", Anything())
    routes = api_routes(cast("Parts", part))
    tokens = TokenBook()
    metrics = Metrics(version="1")
    pushes = Pushes(part, tokens=tokens, tenants=part, quotas=part, keep=part, metrics=metrics)
    app = build_web(pushes=pushes, routes=routes, console=part, tokens=tokens, metrics=metrics, readiness=lambda: None)
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.method != "HEAD" and route.resource is not None
    }
    described = {(method, path) for path, item in document(routes)["paths"].items() for method in item}
    assert served == described | {("get", "/openapi.json"), ("get", "/docs"), ("get", "/problems/{type}")}
