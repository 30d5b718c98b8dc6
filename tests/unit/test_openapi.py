"""The OpenAPI document, and the page made from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import BaseModel, Field

from gateway.admin.docs import prose
from gateway.admin.event_types import EventTypeApi
from gateway.admin.openapi import OpenApi, document
from gateway.admin.routes import Route
from gateway.catalog import EVENT_TYPES
from gateway.model import Role


class ThingIn(BaseModel):
    size: int = Field(ge=1, description="How large; `1` is least.")


class ThingOut(BaseModel):
    id: str
    made: ThingIn


class ThingQuery(BaseModel):
    since: str | None = Field(default=None, alias="from", description="Only later ones.")
    limit: int = 50


async def handler(request: web.Request) -> web.Response:
    raise NotImplementedError


ROUTES = [
    Route(
        method="POST",
        path="/api/v1/things/{id}",
        handler=handler,
        role=Role.OPERATOR,
        summary="Make a thing",
        tag="Things",
        description="It lasts.",
        request_model=ThingIn,
        query_model=ThingQuery,
        response_model=ThingOut,
        status=201,
        problems=(409,),
    ),
    *EventTypeApi().routes(),
]
DOCUMENT = document(ROUTES)
THING = DOCUMENT["paths"]["/api/v1/things/{id}"]["post"]


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_a_route_becomes_an_operation_with_all_that_it_takes_and_answers() -> None:
    assert THING["summary"] == "Make a thing"
    assert THING["description"] == "It lasts. Takes a token of the role operator or above."
    parameters = {each["name"]: each for each in THING["parameters"]}
    assert list(parameters) == ["id", "from", "limit"]
    assert parameters["from"]["schema"] == {"type": "string"}
    assert parameters["from"]["description"] == "Only later ones."
    assert parameters["limit"]["schema"] == {"type": "integer", "default": 50}
    assert THING["requestBody"]["required"] is True
    assert set(THING["responses"]) == {"201", "400", "401", "403", "404", "408", "409", "413", "422", "503"}
    assert "Location" in THING["responses"]["201"]["headers"]


def test_every_reference_leads_somewhere_and_every_operation_has_its_own_id() -> None:
    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) <= known
    ids = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_the_door_and_the_machines_are_described_beside_the_routes() -> None:
    for path in ("/v1/events", "/v1/events/batch", "/v1/events/{type}", "/livez", "/readyz", "/healthz", "/metrics"):
        assert path in DOCUMENT["paths"]
    assert set(DOCUMENT["paths"]["/v1/events"]["post"]["responses"]) >= {
        "202",
        "400",
        "401",
        "413",
        "422",
        "429",
        "503",
    }


def test_there_is_a_webhook_for_each_event_type_with_its_schema_and_headers() -> None:
    assert set(DOCUMENT["webhooks"]) == {each.name for each in EVENT_TYPES}
    for item in DOCUMENT["webhooks"].values():
        operation = item["post"]
        assert {each["name"] for each in operation["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "webhook-event",
            "webhook-attempt",
        }
        content = operation["requestBody"]["content"]["application/json"]
        jsonschema_rs.validate(content["schema"], content["example"])


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_every_schema_is_json_schema(name: str) -> None:
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(schema)


async def test_the_page_shows_every_operation_and_schema_and_loads_nothing() -> None:
    described = OpenApi(ROUTES)
    page = await described.show_page(_nobody())
    assert page.text is not None
    for item in described.document["paths"].values():
        for operation in item.values():
            assert f'id="{operation["operationId"]}"' in page.text
    for name in described.document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page.text
    assert "How large; <code>1</code> is least." in page.text
    assert not re.search(r"""(src|@import|url\()""", re.sub(r"<p.*?</p>|<pre.*?</pre>", "", page.text, flags=re.DOTALL))


async def test_each_view_of_the_page_has_its_own_nonce_for_all_that_runs_in_it() -> None:
    described = OpenApi(ROUTES)
    views = [await described.show_page(_nobody()) for _ in range(2)]
    policies = [view.headers["Content-Security-Policy"] for view in views]
    assert policies[0] != policies[1]
    for view, policy in zip(views, policies, strict=True):
        assert view.text is not None
        nonces = set(re.findall(r'nonce="([^"]+)"', view.text))
        assert [f"'nonce-{nonce}'" in policy for nonce in nonces] == [True]
        assert "default-src 'none'" in policy
        assert view.text.count("<script") == view.text.count("<script nonce=")
        assert 'style="' not in view.text


def test_text_on_the_page_is_escaped_before_its_code_is_marked() -> None:
    assert prose("a `<b>` & c") == "a <code>&lt;b&gt;</code> &amp; c"


def _nobody() -> web.Request:
    return make_mocked_request("GET", "/docs")
