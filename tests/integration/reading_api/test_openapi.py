"""What is served is what the document says: every operation is called with inputs made from its own schema."""

from __future__ import annotations

import asyncio
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.errors import FieldError
from gateway.model import DeliveryState

from .conftest import Api

EXAMPLES = 25


async def test_the_document_is_served_to_anybody(api: Api) -> None:
    answer = await api.call("GET", "/openapi.json", token="")
    assert answer.json["openapi"] == "3.1.0"
    assert "/api/v1/logs/{id}" in answer.json["paths"]
    page = await api.call("GET", "/docs", token="")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


async def test_every_answer_of_the_reading_api_conforms_to_its_description(api: Api) -> None:
    known = await _something_of_everything(api)
    document = (await api.call("GET", "/openapi.json")).json
    for path in [path for path in document["paths"] if not path.startswith("/api/v1")]:
        del document["paths"][path]
    schema = schemathesis.openapi.from_dict(document)
    base = str(api.client.make_url("/")).rstrip("/")
    await asyncio.to_thread(_call_all, schema, base, api.token, known)


async def _something_of_everything(api: Api) -> dict[str, list[str]]:
    """One of each resource, and their ids by the collection that they are in."""
    hook = await api.webhook()
    event = await api.event(hook)
    attempt_id = await api.attempt(event, hook, status=500)
    await api.row(event, hook, DeliveryState.RETRYING)
    rejected_id = await api.rejected.keep(1, "call.created", [FieldError("/call_id", "missing")], b'{"call_id": 1}')
    replay = await api.call("POST", "/replays", {"event_id": event.id})
    return {
        "logs": [attempt_id],
        "events": [event.id],
        "rejected": [rejected_id],
        "replays": [replay.json["id"]],
        "calls": ["11142"],
        "event-types": ["call.created", "Call Saved"],
    }


def _call_all(schema: Any, base: str, token: str, known: dict[str, list[str]]) -> None:
    for result in schema.get_all_operations():
        operation = result.ok()
        ids = known[operation.path.split("/")[3]]

        @given(case=operation.as_strategy(), id=st.sampled_from([*ids, None]))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def call(case: Any, id: str | None) -> None:
            if id is not None and case.path_parameters:
                case.path_parameters = dict.fromkeys(case.path_parameters, id)
            case.call_and_validate(
                base_url=base,
                headers={"Authorization": f"Bearer {token}"},
                checks=[
                    schemathesis.checks.not_a_server_error,
                    schemathesis.checks.status_code_conformance,
                    schemathesis.checks.content_type_conformance,
                    schemathesis.checks.response_schema_conformance,
                ],
            )

        call()
