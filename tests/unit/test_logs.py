"""Log lines: one form for all loggers, and nothing in them that must not be there."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from gateway.telemetry.logs import configure


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    configure("info", None, stream=stream)
    structlog.get_logger("gateway.app").info("started", port=8080)
    (line,) = lines(stream)
    assert line.pop("at")
    assert line == {"message": "started", "level": "info", "logger": "gateway.app", "port": 8080}


def test_the_standard_librarys_loggers_come_out_the_same_way() -> None:
    stream = io.StringIO()
    configure("info", "json", stream=stream)
    logging.getLogger("aiohttp.server").warning("odd %s", "request")
    (line,) = lines(stream)
    assert (line["message"], line["level"], line["logger"]) == ("odd request", "warning", "aiohttp.server")


def test_lines_below_the_level_are_left_out() -> None:
    stream = io.StringIO()
    configure("warning", "json", stream=stream)
    structlog.get_logger("gateway").info("quiet")
    logging.getLogger("gateway").info("quiet")
    structlog.get_logger("gateway").warning("loud")
    assert [line["message"] for line in lines(stream)] == ["loud"]


def test_what_has_the_name_of_a_secret_is_hidden() -> None:
    stream = io.StringIO()
    configure("debug", "json", stream=stream)
    structlog.get_logger("gateway").info("saved", api_key="k3y", Authorization="Basic abc", webhook_id="w")
    (line,) = lines(stream)
    assert (line["api_key"], line["Authorization"], line["webhook_id"]) == ("[hidden]", "[hidden]", "w")


def test_bytes_are_counted_and_never_shown() -> None:
    stream = io.StringIO()
    configure("debug", "json", stream=stream)
    structlog.get_logger("gateway").info("odd", found=b"4155551234")
    assert lines(stream)[0]["found"] == "[10 bytes]"


@pytest.mark.parametrize("format", ["console", "json"])
def test_a_traceback_shows_no_local_variables(format: str) -> None:
    stream = io.StringIO()
    configure("info", "console" if format == "console" else "json", stream=stream)
    payload = "phone-4155551234"
    try:
        raise RuntimeError("broken" if payload else "")
    except RuntimeError:
        structlog.get_logger("gateway").exception("crashed")
    assert "RuntimeError: broken" in stream.getvalue()
    assert "4155551234" not in stream.getvalue()
