"""The pages that problems lead to."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import gateway
from gateway.admin.problems import PAGES, ProblemPages
from gateway.admin.routes import add_routes
from gateway.http import TITLES, problem_middleware
from gateway.ingress.tokens import TokenBook

SOURCES = sorted(Path(gateway.__file__).parent.rglob("*.py"))


def types_raised(source: Path) -> set[str]:
    """The second argument of every `Problem(…)` that is a plain text."""
    calls = (node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call))
    problems = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Problem")
    types = (call.args[1] for call in problems if len(call.args) > 1)
    return {each.value for each in types if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def test_every_problem_that_the_source_can_raise_has_a_page() -> None:
    raised = set().union(*(types_raised(source) for source in SOURCES), TITLES)
    assert {"validation", "conflict"} < raised
    assert raised - PAGES.keys() == set()


@pytest.fixture
def app() -> web.Application:
    app = web.Application(middlewares=[problem_middleware])
    add_routes(app, ProblemPages().routes(), tokens=TokenBook())
    return app


async def test_a_page_says_what_happened_and_what_to_do(app: web.Application) -> None:
    async with TestClient(TestServer(app)) as browser, browser.get("/problems/validation") as answer:
        text = await answer.text()
        assert answer.status == 200 and answer.content_type == "text/html"
        assert "The request is not valid" in text and "What to do" in text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_an_unknown_type_has_no_page_and_is_not_repeated(app: web.Application) -> None:
    async with TestClient(TestServer(app)) as browser, browser.get("/problems/%3Cscript%3E") as answer:
        assert answer.status == 404 and answer.content_type == "application/problem+json"
