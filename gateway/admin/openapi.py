"""The OpenAPI 3.1 document: every address of the gateway, and what it sends to targets.

Invariant: it is made from the table of routes that is served and from the models that validate, so that it can be
wrong only where they are. The switch's door, which has neither for speed, is described in `openapi_ingress`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from gateway import __version__
from gateway.admin.docs import DocsPage
from gateway.admin.openapi_ingress import COMPONENTS, DOOR, MACHINE_PATHS, MACHINES
from gateway.admin.openapi_webhooks import webhooks
from gateway.admin.routes import Route
from gateway.http import json_response

PATH = "/openapi.json"
DOCS_PATH = "/docs"
REF = "#/components/schemas/{model}"
PROBLEMS: Mapping[int, str] = {
    400: "The body is not JSON.",
    401: "No token, or one that is not known.",
    403: "The token may not do this.",
    404: "There is no such thing, as far as this token may see.",
    408: "The body came too slowly.",
    409: "It contradicts what exists.",
    413: "The body is too large.",
    422: "The request is understood but not valid; `errors` says what and where.",
    503: "The database is away; `Retry-After` says when to try again.",
}
ALWAYS = (401, 403, 422, 503)
WITH_BODY = (400, 408, 413)

Schema = dict[str, Any]
_Models = Mapping[tuple[type[BaseModel], JsonSchemaMode], Schema]


class OpenApi:
    """Serves the document of these routes, which is made once, and the page that shows it."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [
            Route(method="GET", path=PATH, handler=self.show, role=None, summary="This document", tag=MACHINES),
            Route(
                method="GET",
                path=DOCS_PATH,
                handler=self.show_page,
                role=None,
                summary="This document as a page",
                tag=MACHINES,
                content_type="text/html",
            ),
        ]
        self.document = document([*routes, *self._routes])
        self._page = DocsPage(self.document)

    def routes(self) -> list[Route]:
        return self._routes

    async def show_page(self, request: web.Request) -> web.Response:
        return self._page.response()

    async def show(self, request: web.Request) -> web.Response:
        return json_response(self.document)


def document(routes: Sequence[Route], *, version: str = __version__) -> dict[str, Any]:
    models, definitions = _models(routes)
    paths: dict[str, dict[str, Any]] = {path: dict(item) for path, item in DOOR.items()}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, models)
    paths |= {path: dict(item) for path, item in MACHINE_PATHS.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Event gateway",
            "version": version,
            "description": "Call events in, webhooks out. Errors are RFC 9457 problems; lists page by cursor.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(_tags(paths))],
        "security": [{"token": []}],
        "paths": paths,
        "webhooks": webhooks(),
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An API token: `gw_…`."},
            },
            "schemas": {**COMPONENTS, **definitions},
        },
    }


def _tags(paths: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    for item in paths.values():
        for operation in item.values():
            yield from operation["tags"]


def _models(routes: Sequence[Route]) -> tuple[_Models, dict[str, Schema]]:
    """The schema of each model as it is used, and the definitions that these refer to."""
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for route in routes:
        for model in (route.request_model, route.query_model):
            if model is not None:
                wanted[model, "validation"] = None
        if route.response_model is not None:
            wanted[route.response_model, "serialization"] = None
    schemas, definitions = models_json_schema(list(wanted), ref_template=REF)
    return {use: schemas[use] for use in wanted}, definitions.get("$defs", {})


def _operation(route: Route, models: _Models) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
    }
    role = "" if route.role is None else f"Takes a token of the role {route.role} or above."
    operation["description"] = " ".join(part for part in (route.description, role) if part)
    if route.role is None:
        operation["security"] = []
    parameters = [_path_parameter(name) for name in re.findall(r"{(\w+)}", route.path)]
    if route.query_model is not None:
        parameters += _query_parameters(route.query_model)
    if parameters:
        operation["parameters"] = parameters
    if route.request_model is not None:
        operation["requestBody"] = {
            "required": not route.optional_body,
            "content": {"application/json": {"schema": models[route.request_model, "validation"]}},
        }
    operation["responses"] = _responses(route, models)
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", route.path.removeprefix("/api/v1"))
    return "_".join([route.method.lower(), *(word.replace("-", "_") for word in words)])


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "uuid"} if name == "id" else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(ref_template=REF)
    required = schema.get("required", ())
    parameters = []
    for name, property_ in schema["properties"].items():
        shown = _without_null(property_)
        description = shown.pop("description", None)
        shown.pop("title", None)
        parameter = {"name": name, "in": "query", "required": name in required, "schema": shown}
        parameters.append(parameter if description is None else parameter | {"description": description})
    return parameters


def _without_null(schema: Schema) -> Schema:
    """A parameter is left out and never null: `anyOf` with null becomes the other alternative."""
    shown = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    alternatives = [each for each in shown.get("anyOf", ()) if each.get("type") != "null"]
    if len(alternatives) == 1:
        del shown["anyOf"]
        shown = alternatives[0] | shown
    return shown


def _responses(route: Route, models: _Models) -> dict[str, Any]:
    success: dict[str, Any] = {"description": _DONE.get(route.status, "Done.")}
    if route.response_model is not None:
        success["content"] = {route.content_type: {"schema": models[route.response_model, "serialization"]}}
    elif route.status != 204:
        success["content"] = {route.content_type: {}}
    if route.status == 201:
        success["headers"] = {"Location": {"schema": {"type": "string"}, "description": "Where it is."}}
    statuses = {*route.problems}
    if route.role is not None:
        statuses |= {*ALWAYS}
        statuses |= {404} if "{" in route.path else set()
        statuses |= {*WITH_BODY} if route.request_model is not None else set()
    return {str(route.status): success} | {str(status): problem(status) for status in sorted(statuses)}


_DONE = {200: "Here it is.", 201: "Created.", 202: "Accepted.", 204: "Done; there is nothing to show."}


def problem(status: int) -> dict[str, Any]:
    schema = {"$ref": REF.format(model="Problem")}
    return {
        "description": PROBLEMS.get(status, "It failed."),
        "content": {"application/problem+json": {"schema": schema}},
    }
