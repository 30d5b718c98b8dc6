"""Every way in which a command can fail has its exit code and a sentence on stderr."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from .conftest import Run
from .stub import StubGateway


def test_a_gateway_that_does_not_run_is_said_to_be_refusing_with_exit_code_3(run: Run) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        result = run("webhook", "list", GATEWAY_URL=f"http://127.0.0.1:{unheard.getsockname()[1]}")
    assert result.exit_code == 3
    assert "connection was refused" in result.stderr
    assert "gateway serve" in result.stderr
    assert result.stdout == ""


def test_a_wrong_token_is_exit_code_1_and_says_how_to_pass_one(run: Run, gateway: StubGateway) -> None:
    problem = {"type": "/problems/unauthorized", "title": "x", "detail": "the token is not known", "status": 401}
    gateway.on("GET", "/api/v1/webhooks", 401, problem)
    result = run("webhook", "list")
    assert result.exit_code == 1
    assert "the token is not known (401 unauthorized)" in result.stderr
    assert "GATEWAY_TOKEN" in result.stderr


def test_an_unknown_id_is_exit_code_1_with_the_gateways_sentence(run: Run, gateway: StubGateway) -> None:
    problem = {"type": "/problems/not-found", "title": "There is no such thing", "detail": "no event has this id"}
    gateway.on("GET", "/api/v1/events/nope", 404, problem)
    result = run("event", "show", "nope")
    assert (result.exit_code, result.stderr) == (1, "Error: no event has this id (404 not-found)\n")


def test_every_error_of_a_validation_problem_is_a_line(run: Run, gateway: StubGateway) -> None:
    errors = [{"pointer": "/url", "detail": "must be https"}, {"pointer": "/events", "detail": "is empty"}]
    problem = {"type": "/problems/validation", "detail": "/url: must be https (and 1 more)", "errors": errors}
    gateway.on("POST", "/api/v1/webhooks", 422, problem)
    result = run("webhook", "add", "http://x", "--event", "call.saved")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == ["  /url: must be https", "  /events: is empty"]


def test_an_unavailable_gateway_is_exit_code_4_and_says_when_to_try_again(run: Run, gateway: StubGateway) -> None:
    problem = {"type": "/problems/unavailable", "detail": "the database is away"}
    gateway.on("GET", "/api/v1/access", 503, problem, Retry_After="7")
    result = run("access", "list")
    assert result.exit_code == 4
    assert result.stderr == "Error: the database is away (503 unavailable)\nTry again in 7 s.\n"


def test_a_server_that_is_no_gateway_is_recognised(run: Run, gateway: StubGateway) -> None:
    gateway.on("GET", "/api/v1/access", 404, b"<h1>nginx</h1>")
    result = run("access", "list")
    assert result.exit_code == 1
    assert "is it a gateway?" in result.stderr


def test_an_answer_that_is_not_json_is_no_traceback(run: Run, gateway: StubGateway) -> None:
    gateway.on("GET", "/api/v1/events/x", 200, b"<html>")
    result = run("event", "show", "x")
    assert result.exit_code == 1
    assert "not JSON" in result.stderr


def test_a_peer_that_speaks_no_http_is_exit_code_3(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        result = run("access", "list", "--timeout", "0.2", GATEWAY_URL=f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert result.exit_code == 3
    assert "No answer" in result.stderr


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://host:99999", "http://"])
def test_a_url_that_is_none_is_wrong_usage(run: Run, url: str) -> None:
    result = run("access", "list", "--url", url)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_no_token_at_all_is_wrong_usage(run: Run) -> None:
    result = run("access", "list", GATEWAY_TOKEN=None)
    assert result.exit_code == 2
    assert "No token" in result.stderr


def test_a_token_file_that_is_missing_is_named(run: Run) -> None:
    result = run("access", "list", GATEWAY_TOKEN=None, GATEWAY_TOKEN_FILE="absent.token")
    assert result.exit_code == 2
    assert "absent.token" in result.stderr


def test_the_token_of_the_data_directory_is_used(run: Run, gateway: StubGateway, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "admin-token").write_text("gw_local\n")
    gateway.items("/api/v1/access")
    assert run("access", "list", "--data-dir", "data", GATEWAY_TOKEN=None).exit_code == 0
    assert gateway.last.headers["authorization"] == "Bearer gw_local"


def test_the_token_of_the_data_directory_is_never_sent_elsewhere(run: Run, tmp_path: Path) -> None:
    (tmp_path / "admin-token").write_text("gw_local")
    result = run("access", "list", "--data-dir", ".", "--url", "http://gateway.example.com", GATEWAY_TOKEN=None)
    assert result.exit_code == 2
    assert "No token" in result.stderr


def test_control_characters_of_a_problem_do_not_reach_the_terminal(run: Run, gateway: StubGateway) -> None:
    gateway.on("GET", "/api/v1/access", 422, {"type": "x", "detail": "bad \x1b[31mname\x07"})
    result = run("access", "list")
    assert "\x1b" not in result.stderr
    assert "bad \\x1b[31mname\\x07" in result.stderr


def test_options_before_a_subcommand_are_not_ignored_in_silence(run: Run) -> None:
    result = run("logs", "--limit", "3", "show", "x")
    assert result.exit_code == 2
    assert "Options come after 'show'" in result.stderr


def test_an_unknown_command_is_wrong_usage(run: Run) -> None:
    assert run("webhok").exit_code == 2


def test_a_json_answer_is_printed_byte_for_byte(run: Run, gateway: StubGateway) -> None:
    raw = b'{"id":"e", "data":{"n":1.50,"n":1e2},"deliveries":[]}'
    gateway.on("GET", "/api/v1/events/e", 200, raw)
    assert run("event", "show", "e", "--json").stdout_bytes == raw + b"\n"
    assert json.loads(raw)["id"] == "e"
