"""The commands about events: pushing, following the log, a call's timeline, replaying, mending."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway import catalog
from gateway.cli import logs, replay
from gateway.cli.client import Client

from .conftest import Run
from .stub import Said, Seen, StubGateway

WEBHOOK_ID = "0197a000-0000-7000-8000-000000000002"


def attempt(number: int, **changes: Any) -> dict[str, Any]:
    """An item of the log, `number` seconds after noon."""
    started_at = f"2026-01-31T12:00:{number:02}.5Z"
    return {
        "id": f"a{number}", "event_id": f"e{number}", "event_type": "call.saved", "webhook_id": WEBHOOK_ID,
        "attempt": 1, "started_at": started_at, "duration_ms": 12.5, "outcome": "success", "status_code": 200,
    } | changes  # fmt: skip


def test_a_file_is_pushed_byte_for_byte(run: Run, gateway: StubGateway, tmp_path: Path) -> None:
    payload = b'{"call_id": 7, "revenue": 1.50,\n "call_id": 7}'
    (tmp_path / "event.json").write_bytes(payload)
    gateway.on("POST", "/v1/events/call.saved", 202, {"id": "e1", "duplicate": False})
    result = run("send", "call.saved", "event.json", "--tenant", "acme", "--idempotency-key", "k1")
    assert result.stdout == "e1\n"
    assert gateway.last.body == payload
    assert (gateway.last.headers["x-tenant"], gateway.last.headers["idempotency-key"]) == ("acme", "k1")


def test_standard_input_is_pushed_under_the_shown_name_of_a_type(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/v1/events/Call%20Saved", 202, {"id": "e1", "duplicate": False})
    assert run("send", "Call Saved", "-", stdin=b"{}").exit_code == 0
    assert gateway.last.body == b"{}"


def test_a_sample_is_the_catalogs_own(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/v1/events/call.ended", 202, {"id": "e1", "duplicate": False})
    assert run("send", "call.ended", "--sample").exit_code == 0
    assert gateway.last.body == catalog.BY_NAME["call.ended"].sample


def test_many_samples_are_calls_of_their_own(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/v1/events/call.ended", 202, {"id": "e1", "duplicate": False})
    result = run("send", "call.ended", "--sample", "--count", "3", "--rate", "1000", "--json")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["e1"] * 3
    assert len({seen.json()["call_id"] for seen in gateway.requests}) == 3


def test_a_duplicate_is_said(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/v1/events/call.ended", 202, {"id": "e1", "duplicate": True})
    result = run("send", "call.ended", "--sample", "--idempotency-key", "k")
    assert (result.stdout, result.exit_code) == ("e1\n", 0)
    assert "pushed before" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("call.saved",),
        ("call.saved", "-", "--sample"),
        ("call.saved", "absent.json"),
        ("call.picked_up", "--sample"),
        ("call.saved", "--sample", "--count", "2", "--idempotency-key", "k"),
        ("call.saved", "--sample", "--rate", "0"),
    ],
)
def test_a_push_that_makes_no_sense_is_wrong_usage(run: Run, gateway: StubGateway, arguments: tuple[str, ...]) -> None:
    assert run("send", *arguments).exit_code == 2
    assert not gateway.requests


def test_bad_json_is_the_gateways_to_refuse(run: Run, gateway: StubGateway) -> None:
    problem = {"type": "/problems/bad-json", "detail": "the body is not valid JSON (line 1, column 2)"}
    gateway.on("POST", "/v1/events/call.saved", 400, problem)
    result = run("send", "call.saved", "-", stdin="{oops")
    assert result.exit_code == 1
    assert "line 1, column 2" in result.stderr


def test_logs_pass_every_filter_on(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/logs", attempt(1))
    options = {
        "--from": "2026-01-30", "--to": "2026-01-31", "--event": "call.saved", "--webhook": WEBHOOK_ID,
        "--outcome": "failure", "--status": "5xx", "--call": "7", "--account": "a", "--limit": "9",
    }  # fmt: skip
    assert run("logs", *(part for option in options.items() for part in option), "--json").exit_code == 0
    assert gateway.last.query == {
        "from": "2026-01-30", "to": "2026-01-31", "event": "call.saved", "webhook_id": WEBHOOK_ID,
        "outcome": "failure", "status": "5xx", "call_id": "7", "account_id": "a", "limit": "9",
    }  # fmt: skip


def test_logs_call_webhooks_by_their_names(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/logs", attempt(1, outcome="failure", status_code=None, error="timeout"))
    gateway.items("/api/v1/webhooks", {"id": WEBHOOK_ID, "name": "CRM"})
    row = run("logs").stdout.splitlines()[1].split()
    assert row[2:] == ["call.saved", "failure", "timeout", "1", "12.5", "ms", "CRM", "a1"]


def test_following_yields_each_attempt_once_in_the_order_of_arrival(
    gateway: StubGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "POLL_S", 0.0)
    # A slow attempt, 2, is listed after 3, which started later.
    polls = iter([[attempt(1)], [attempt(3), attempt(1)], [attempt(3), attempt(2), attempt(1)], [attempt(4)]])
    gateway.on_call("GET", "/api/v1/logs", lambda _: Said(200, {"items": next(polls), "next_cursor": None}))
    with Client(gateway.url, "t") as client:
        following = logs.followed(client, {}, backlog=10)
        assert [next(following)["id"] for _ in range(4)] == ["a1", "a3", "a2", "a4"]


def test_following_asks_only_for_the_time_in_which_something_may_still_appear(
    gateway: StubGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "POLL_S", 0.0)
    late = attempt(9, started_at="2026-01-31T13:00:00Z")
    polls = iter([[late, attempt(1)], [attempt(2, started_at="2026-01-31T13:00:01Z")]])
    gateway.on_call("GET", "/api/v1/logs", lambda _: Said(200, {"items": next(polls), "next_cursor": None}))
    with Client(gateway.url, "t") as client:
        following = logs.followed(client, {}, backlog=10)
        assert [next(following)["id"] for _ in range(3)] == ["a1", "a9", "a2"]
    assert gateway.last.query["from"] > "2026-01-31T12:59"


def test_following_waits_for_a_gateway_that_restarts(gateway: StubGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "POLL_S", 0.0)
    gone = Said(503, {"detail": "it is stopping"})
    polls = iter([Said(200, {"items": [attempt(1)]}), gone, gone, Said(200, {"items": [attempt(2)]})])
    gateway.on_call("GET", "/api/v1/logs", lambda _: next(polls))
    with Client(gateway.url, "t") as client:
        following = logs.followed(client, {}, backlog=10)
        assert [next(following)["id"] for _ in range(2)] == ["a1", "a2"]


def test_following_has_no_end(run: Run) -> None:
    assert run("logs", "--follow", "--to", "2026-01-31").exit_code == 2


def test_a_time_that_is_none_is_wrong_usage(run: Run) -> None:
    result = run("logs", "--from", "yesterday")
    assert result.exit_code == 2
    assert "2026-01-31" in result.stderr


def test_an_attempt_is_shown_with_its_request_and_response(run: Run, gateway: StubGateway) -> None:
    request = {"method": "POST", "url": "https://x/", "headers": {"Authorization": "test123****"}, "json": {"a": 1}}
    response = {"status": 503, "headers": {}, "body": "busy", "truncated": True}
    gateway.on("GET", "/api/v1/logs/a1", 200, attempt(1, request=request, response=response))
    shown = run("logs", "show", "a1").stdout
    assert "Request  POST https://x/" in shown
    assert "Authorization: test123****" in shown
    assert "busy" in shown
    assert "the rest was not kept" in shown


def test_a_call_is_shown_as_a_timeline(run: Run, gateway: StubGateway) -> None:
    delivery = {"webhook_id": WEBHOOK_ID, "state": "delivered", "attempts": [attempt(1)]}
    events = [
        {"id": f"e{number}", "type": name, "received_at": "2026-01-31T12:00:00Z", "data": {}, "deliveries": [delivery]}
        for number, name in enumerate(("call.created", "call.saved"))
    ]
    gateway.on("GET", "/api/v1/calls/7", 200, {"call_id": "7", "events": events})
    gateway.items("/api/v1/webhooks", {"id": WEBHOOK_ID, "name": "CRM"})
    shown = run("call", "show", "7").stdout
    assert shown.index("call.created") < shown.index("call.saved")
    assert shown.count("CRM: delivered") == 2


def test_a_replay_is_watched_to_its_end(run: Run, gateway: StubGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "POLL_S", 0.0)
    progress = iter([("running", 1), ("running", 2), ("done", 3)])

    def show(_: Seen) -> Said:
        state, done = next(progress)
        return Said(200, {"id": "r", "state": state, "done": done, "total": 3})

    gateway.on("POST", "/api/v1/replays", 202, {"id": "r", "state": "running", "done": 0, "total": 3})
    gateway.on_call("GET", "/api/v1/replays/r", show)
    result = run("replay", "--webhook", WEBHOOK_ID, "--from", "2026-01-30", "--to", "2026-01-31")
    assert result.stdout == "r  done  3 of 3 delivered\n"
    assert gateway.requests[0].json() == {
        "webhook_id": WEBHOOK_ID, "from": "2026-01-30", "to": "2026-01-31", "only": "failed",
    }  # fmt: skip


def test_one_event_is_replayed_by_its_id(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/api/v1/replays", 202, {"id": "r", "state": "running", "done": 0, "total": 1})
    assert run("replay", "--event", "e1", "--no-wait").exit_code == 0
    assert gateway.last.json() == {"event_id": "e1"}


def test_what_the_log_shows_is_replayed_by_the_same_filter(run: Run, gateway: StubGateway) -> None:
    done = {"id": "r", "state": "done", "done": 3, "skipped": 1, "total": 3}
    gateway.on("POST", "/api/v1/replays", 202, done)
    result = run(
        "replay", "--from", "2026-01-30", "--to", "2026-01-31", "--attempted", "--status", "5xx", "--call", "7"
    )
    assert result.stdout == "r  done  2 of 3 delivered, 1 left alone: on their way already\n"
    assert gateway.last.json() == {
        "from": "2026-01-30", "to": "2026-01-31", "only": "failed",
        "status": "5xx", "call_id": "7", "period_of": "attempts",
    }  # fmt: skip


@pytest.mark.parametrize("arguments", [(), ("--webhook", WEBHOOK_ID), ("--event", "e", "--only", "all")])
def test_a_replay_of_nothing_in_particular_is_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("replay", *arguments).exit_code == 2


def test_a_replay_is_cancelled(run: Run, gateway: StubGateway) -> None:
    gateway.on("DELETE", "/api/v1/replays/r", 204)
    assert run("replay", "cancel", "r").exit_code == 0


def test_a_rejected_body_is_printed_alone_to_be_mended(run: Run, gateway: StubGateway) -> None:
    gateway.on("GET", "/api/v1/rejected/x", 200, {"id": "x", "errors": [], "body": '{"call_id": "seven"}'})
    assert run("rejected", "show", "x", "--body").stdout == '{"call_id": "seven"}\n'


def test_a_mended_body_is_resubmitted_as_it_is(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/api/v1/rejected/x/resubmit", 202, {"id": "e1", "duplicate": False})
    assert run("rejected", "resubmit", "x", "-", stdin='{"call_id": 7}').stdout == "e1\n"
    assert gateway.last.body == b'{"call_id": 7}'
    run("rejected", "resubmit", "x")
    assert gateway.last.body == b""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(run: Run, shell: str) -> None:
    assert "_GATEWAY_COMPLETE" in run("completion", shell).stdout
