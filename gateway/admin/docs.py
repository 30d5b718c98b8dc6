"""`/docs`: the OpenAPI document as a page for people, with nothing from anywhere else.

Invariant: the page says what the document says; nothing about the API is written here.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

REF = "#/components/schemas/"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """A parameter, or a property of a schema. `type` is HTML, with links to the schemas that it names."""

    name: str
    type: Markup
    note: str
    description: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    description: str
    type: Markup


@dataclass(frozen=True, slots=True)
class Operation:
    """`anchor` is its place in the page; `body` is the type of the request's body, `example` one of those."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Member]
    body: Markup
    example: str
    answers: list[Answer]


@dataclass(frozen=True, slots=True)
class Shape:
    """A named schema of the components, or an event's payload."""

    name: str
    description: str
    members: list[Member]


class DocsPage:
    """Renders the page. The document must not change any more."""

    def __init__(self, document: Document) -> None:
        environment = Environment(
            loader=PackageLoader("gateway.admin", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["prose"] = prose
        self._template = environment.get_template("docs.html")
        self._parts = {
            "info": document["info"],
            "groups": _groups(document),
            "events": _events(document),
            "shapes": [_shape(name, schema) for name, schema in sorted(document["components"]["schemas"].items())],
        }

    def response(self) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return web.Response(
            text=self._template.render(nonce=nonce, **self._parts),
            content_type="text/html",
            headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"},
        )


def prose(text: str) -> Markup:
    """Text with what stands in back-ticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped just here)


def _groups(document: Document) -> dict[str, list[Operation]]:
    """The operations by their tag, in the document's order."""
    groups: dict[str, list[Operation]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            groups[operation["tags"][0]].append(_operation(method, path, operation))
    return groups


def _events(document: Document) -> list[tuple[Operation, Shape]]:
    events = []
    for name, item in document["webhooks"].items():
        for method, operation in item.items():
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            events.append((_operation(method, name, operation), _shape(name, schema)))
    return events


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Operation:
    content: Mapping[str, Any] = next(iter(operation.get("requestBody", {}).get("content", {}).values()), {})
    example = content.get("example")
    return Operation(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        parameters=[_parameter(each) for each in operation.get("parameters", ())],
        body=type_of(content["schema"]) if "schema" in content else Markup(""),
        example="" if example is None else json.dumps(example, indent=2, ensure_ascii=False),
        answers=[_answer(status, answer) for status, answer in operation["responses"].items()],
    )


def _parameter(parameter: Mapping[str, Any]) -> Member:
    note = parameter["in"] + (", required" if parameter.get("required") else "")
    return Member(parameter["name"], type_of(parameter["schema"]), note, parameter.get("description", ""))


def _answer(status: str, answer: Mapping[str, Any]) -> Answer:
    content: Mapping[str, Any] = next(iter(answer.get("content", {}).values()), {})
    return Answer(status, answer["description"], type_of(content["schema"]) if "schema" in content else Markup(""))


def _shape(name: str, schema: Mapping[str, Any]) -> Shape:
    required = schema.get("required", ())
    members = [
        Member(member, type_of(property_), "required" if member in required else "", property_.get("description", ""))
        for member, property_ in schema.get("properties", {}).items()
    ]
    if not members:
        members = [Member("(value)", type_of(schema), "", "")]
    return Shape(name, schema.get("description", ""), members)


def type_of(schema: Mapping[str, Any]) -> Markup:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REF)
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return Markup(" or ").join(type_of(each) for each in schema[key])
    if "const" in schema:
        return escape(json.dumps(schema["const"]))
    if "enum" in schema:
        return Markup(" or ").join(escape(json.dumps(value)) for value in schema["enum"])
    kinds = schema.get("type", "any value")
    if isinstance(kinds, list):
        return Markup(" or ").join(type_of({**schema, "type": kind}) for kind in kinds)
    if kinds == "array":
        return Markup("list of ") + type_of(schema.get("items", {}))
    return escape(f"{kinds} ({schema['format']})" if "format" in schema and kinds != "null" else kinds)
