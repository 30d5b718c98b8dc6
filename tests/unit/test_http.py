"""Answers and problems: what a caller is told, and what neither they nor the log ever see."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from pydantic import BaseModel, ConfigDict

from gateway import http
from gateway.errors import FieldError, Problem, Unavailable
from gateway.http import invalid, json_response, parse, parse_query, pointer, problem_middleware, read_json


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    sizes: list[int] = []


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def asked(handler: Handler, data: object = None) -> tuple[int, dict[str, object], dict[str, str]]:
    app = web.Application(middlewares=[problem_middleware])
    app.router.add_post("/it", handler)
    async with TestClient(TestServer(app)) as client, client.post("/it", data=data) as response:
        assert response.content_type == "application/problem+json"
        return response.status, await response.json(content_type=None), dict(response.headers)


async def test_a_problem_becomes_problem_json_with_its_headers() -> None:
    async def handler(request: web.Request) -> web.Response:
        raise Problem(429, "over-quota", "slow down", errors=[FieldError("/a", "b")], headers={"Retry-After": "7"})

    status, body, headers = await asked(handler)
    assert (status, headers["Retry-After"]) == (429, "7")
    assert body == {
        "type": "/problems/over-quota",
        "title": "More was pushed than the tenant may",
        "status": 429,
        "detail": "slow down",
        "instance": "/it",
        "errors": [{"pointer": "/a", "detail": "b"}],
    }


async def test_an_unavailable_store_is_503_with_the_time_to_wait() -> None:
    async def handler(request: web.Request) -> web.Response:
        raise Unavailable("the intake is full", retry_after_s=3)

    status, body, headers = await asked(handler)
    assert (status, body["type"], headers["Retry-After"]) == (503, "/problems/unavailable", "3")


async def test_an_unforeseen_error_is_500_and_its_words_reach_neither_caller_nor_log() -> None:
    async def handler(request: web.Request) -> web.Response:
        raise ValueError("password=t0psecret")

    with structlog.testing.capture_logs() as logged:
        status, body, _ = await asked(handler)
    assert (status, body["type"]) == (500, "/problems/internal")
    assert "t0psecret" not in repr(body) + repr(logged)
    assert logged[0]["error"] == "ValueError" and "test_http.py" in logged[0]["place"]


@pytest.mark.parametrize(
    ("body", "detail"), [(b"", "empty"), (b'{"a": }', "line 1, column"), (b"\xff", "not valid JSON")]
)
async def test_what_is_no_json_is_400(body: bytes, detail: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        return json_response(await read_json(request))

    status, answer, _ = await asked(handler, body)
    assert (status, answer["type"]) == (400, "/problems/bad-json")
    assert detail in str(answer["detail"])


async def test_a_body_beyond_its_limit_is_413_also_without_a_length() -> None:
    async def handler(request: web.Request) -> web.Response:
        return json_response(await read_json(request, 10))

    async def chunks() -> object:
        yield b"[1, 2, 3, "
        yield b"4]"

    assert (await asked(handler, b"[1, 2, 3, 4]"))[0] == 413
    assert (await asked(handler, chunks()))[0] == 413


async def test_a_body_that_trickles_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_DEADLINE_S", 0.05)
    answered = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        try:
            return json_response(await read_json(request))
        finally:
            answered.set()

    async def trickle() -> object:
        yield b"["
        await answered.wait()

    assert (await asked(handler, trickle()))[0] == 408


def test_a_wrong_value_is_never_repeated() -> None:
    with pytest.raises(Problem) as refused:
        parse(Thing, {"name": ["t0psecret"], "sizes": ["t0psecret"]})
    assert "t0psecret" not in refused.value.detail + repr(refused.value.errors)
    assert [error.pointer for error in refused.value.errors] == ["/name", "/sizes/0"]


def test_what_is_no_object_is_refused_as_a_whole() -> None:
    nothings: tuple[object, ...] = ([], "x", None, 5)
    for data in nothings:
        with pytest.raises(Problem, match="a JSON object is expected"):
            parse(Thing, data)


def test_errors_in_a_query_are_placed_by_name() -> None:
    with pytest.raises(Problem) as refused:
        parse_query(Thing, MultiDict({"nmae": "x"}))
    assert {error.pointer for error in refused.value.errors} == {"name", "nmae"}
    with pytest.raises(Problem, match="name: given more than once"):
        parse_query(Thing, MultiDict([("name", "a"), ("name", "b")]))


def test_a_problem_of_many_errors_lists_a_bounded_number() -> None:
    with pytest.raises(Problem) as refused:
        parse(Thing, {"name": "x", "sizes": ["no"] * 1000})
    assert len(refused.value.errors) == http.ERRORS_LIMIT


def test_the_sentence_of_a_validation_problem_names_the_first_error() -> None:
    assert invalid(FieldError("/a", "is wrong"), FieldError("/b", "too")).detail == "/a: is wrong (and 1 more)"


@given(st.lists(st.text() | st.integers(0), min_size=1))
def test_a_pointer_leads_back_to_its_path(path: list[str | int]) -> None:
    parts = pointer(*path).split("/")[1:]
    assert [part.replace("~1", "/").replace("~0", "~") for part in parts] == [str(part) for part in path]


def test_json_has_times_in_utc_and_models_as_objects() -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    response = json_response({"at": at, "thing": Thing(name="é")})
    assert response.body == '{"at":"2026-01-02T03:04:05Z","thing":{"name":"é","sizes":[]}}'.encode()
