"""The commands that set things up: what they send, and that no secret passes through the arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.output import Column, print_table

from .conftest import Run
from .stub import Said, Seen, StubGateway

ACCESS_ID = "0197a000-0000-7000-8000-000000000001"
WEBHOOK_ID = "0197a000-0000-7000-8000-000000000002"
PORT_ID = "0197a000-0000-7000-8000-000000000003"
ACCESS = {"id": ACCESS_ID, "name": "crm", "type": "api_key", "key_name": "x-api-key", "location": "header"}
WEBHOOK = {
    "id": WEBHOOK_ID, "name": "orders", "state": "active", "events": ["call.saved"], "method": "POST",
    "url": "https://crm.example.com/", "order_wait_s": None,
}  # fmt: skip


def test_a_list_is_a_table_for_people(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/access", ACCESS)
    lines = run("access", "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "API", "name", "Type", "Key", "name", "Location", "Client", "ID"]
    assert lines[1].split() == [ACCESS_ID, "crm", "api_key", "x-api-key", "header"]


def test_a_list_is_a_json_array_for_scripts(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/access", ACCESS)
    assert json.loads(run("access", "list", "--json").stdout) == [ACCESS]


def test_an_empty_list_says_so_beside_the_output(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/access")
    result = run("access", "list")
    assert result.stdout == ""
    assert "no accesses yet" in result.stderr
    assert json.loads(run("access", "list", "--json").stdout) == []


def test_a_list_of_many_pages_is_read_to_its_end(run: Run, gateway: StubGateway) -> None:
    def page(seen: Seen) -> Said:
        number = int(seen.query.get("cursor", "0"))
        return Said(
            200, {"items": [ACCESS | {"name": f"a{number}"}], "next_cursor": str(number + 1) if number < 2 else None}
        )

    gateway.on_call("GET", "/api/v1/access", page)
    assert [item["name"] for item in json.loads(run("access", "list", "--json").stdout)] == ["a0", "a1", "a2"]


def test_an_api_key_comes_from_a_file_without_its_line_end(run: Run, gateway: StubGateway, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret key \n")
    gateway.on("POST", "/api/v1/access", 201, ACCESS)
    result = run("access", "add", "--type", "api_key", "--name", "crm", "--api-key-file", "key")
    assert result.exit_code == 0, result.stderr
    assert gateway.last.json() == {"type": "api_key", "name": "crm", "key_name": "x-api-key", "api_key": "s3cret key "}
    assert "s3cret" not in result.output


def test_a_client_secret_comes_from_standard_input(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/api/v1/access", 201, ACCESS)
    arguments = ("--type", "basic", "--name", "crm", "--client-id", "hcc", "--client-secret-file", "-")
    assert run("access", "add", *arguments, stdin="s3cret\n").exit_code == 0
    sent = gateway.last.json()
    assert (sent["client_secret"], sent["key_name"]) == ("s3cret", "Authorization")


def test_a_script_that_gives_no_secret_is_not_left_waiting(run: Run, gateway: StubGateway) -> None:
    result = run("access", "add", "--type", "api_key", "--name", "crm")
    assert result.exit_code == 2
    assert "No API key" in result.stderr
    assert not gateway.requests


def test_a_secret_of_the_other_type_is_wrong_usage(run: Run, gateway: StubGateway, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    arguments = ("--type", "basic", "--name", "crm", "--client-id", "hcc", "--api-key-file", "key")
    assert run("access", "add", *arguments).exit_code == 2
    assert not gateway.requests


def test_a_webhook_names_its_access_by_name(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/access", ACCESS)
    gateway.on("POST", "/api/v1/webhooks", 201, WEBHOOK)
    result = run("webhook", "add", "https://crm.example.com/", "--event", "Call Saved", "--access", "crm")
    assert result.exit_code == 0, result.stderr
    assert gateway.last.json() == {
        "url": "https://crm.example.com/", "events": ["Call Saved"], "method": "POST", "access_id": ACCESS_ID,
    }  # fmt: skip


def test_a_name_that_nothing_has_is_said(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/webhooks", WEBHOOK)
    result = run("webhook", "pause", "order")
    assert result.exit_code == 1
    assert "No webhook is called 'order'" in result.stderr


def test_a_name_that_two_have_asks_for_the_id(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/webhooks", WEBHOOK, WEBHOOK | {"id": ACCESS_ID})
    result = run("webhook", "pause", "orders")
    assert result.exit_code == 1
    assert WEBHOOK_ID in result.stderr
    assert ACCESS_ID in result.stderr


def test_pausing_and_resuming_patch_the_state(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/webhooks", WEBHOOK)
    gateway.on("PATCH", f"/api/v1/webhooks/{WEBHOOK_ID}", 200, WEBHOOK)
    run("webhook", "pause", "orders")
    assert gateway.last.json() == {"state": "paused"}
    run("webhook", "resume", WEBHOOK_ID)
    assert gateway.last.json() == {"state": "active"}


def test_none_turns_a_webhooks_settings_off(run: Run, gateway: StubGateway) -> None:
    gateway.on("PATCH", f"/api/v1/webhooks/{WEBHOOK_ID}", 200, WEBHOOK)
    run("webhook", "update", WEBHOOK_ID, "--order-wait", "none", "--rate", "0", "--access", "")
    assert gateway.last.json() == {"order_wait_s": None, "rate_per_s": None, "access_id": None}


def test_an_update_of_nothing_is_wrong_usage(run: Run, gateway: StubGateway) -> None:
    assert run("webhook", "update", WEBHOOK_ID).exit_code == 2
    assert not gateway.requests


def test_a_blocked_webhook_says_what_it_waits_for(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/api/v1/webhooks", 201, WEBHOOK | {"state": "blocked", "reason": "port 8443 is not open"})
    result = run("webhook", "add", "https://crm.example.com:8443/", "--event", "call.saved")
    assert result.exit_code == 0
    assert "port 8443 is not open" in result.stderr


def test_a_failing_webhook_says_since_when_and_when_it_is_tried_next(run: Run, gateway: StubGateway) -> None:
    live = {
        "failing_since": "2026-01-31T11:00:00Z",
        "breaker": {"state": "open", "reason": "HTTP 503", "opened_at": None, "probe_at": "2026-01-31T12:00:00Z"},
        "delivering": {"in_memory": 3, "in_flight": 0, "stored_behind": True},
    }
    gateway.on("GET", f"/api/v1/webhooks/{WEBHOOK_ID}", 200, WEBHOOK | live)
    shown = run("webhook", "show", WEBHOOK_ID).stdout
    assert "2026-01-31T11:00:00Z" in shown
    assert "open (HTTP 503), next probe 2026-01-31T12:00:00Z" in shown
    assert "0 in flight, 3 in memory, more in the store" in shown


def test_deleting_asks_and_a_script_must_say_yes(run: Run, gateway: StubGateway) -> None:
    gateway.on("DELETE", f"/api/v1/webhooks/{WEBHOOK_ID}", 204)
    assert run("webhook", "delete", WEBHOOK_ID).exit_code == 2
    assert not gateway.requests
    assert run("webhook", "delete", WEBHOOK_ID, "--yes").exit_code == 0
    assert gateway.last.method == "DELETE"


def test_a_failed_test_delivery_shows_what_came_back_with_exit_code_1(run: Run, gateway: StubGateway) -> None:
    attempt = {
        "id": "x", "event_type": "call.saved", "outcome": "failure", "status_code": 401, "attempt": 1,
        "diagnosis": "The target refused the credential.",
        "response": {"status": 401, "headers": {"server": "crm"}, "body": "who\x1b[0m?", "truncated": False},
    }  # fmt: skip
    gateway.on("POST", f"/api/v1/webhooks/{WEBHOOK_ID}/test", 200, attempt)
    result = run("webhook", "test", WEBHOOK_ID, "--event", "call.saved")
    assert result.exit_code == 1
    assert gateway.last.json() == {"type": "call.saved"}
    assert "The target refused the credential." in result.stdout
    assert "who\\x1b[0m?" in result.stdout


def test_a_signing_secret_is_printed_alone(run: Run, gateway: StubGateway) -> None:
    gateway.on("GET", f"/api/v1/webhooks/{WEBHOOK_ID}/secret", 200, {"secret": "whsec_abc"})
    assert run("webhook", "secret", "show", WEBHOOK_ID).stdout == "whsec_abc\n"


def test_rotating_a_secret_posts(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", f"/api/v1/webhooks/{WEBHOOK_ID}/secret", 200, {"secret": "whsec_new"})
    assert run("webhook", "secret", "rotate", WEBHOOK_ID).stdout == "whsec_new\n"


def test_a_new_token_is_alone_on_standard_output(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/api/v1/tokens", 201, {"id": "t", "token": "gw_new", "role": "ingest"})
    result = run("token", "create", "--role", "ingest", "--name", "switch", "--tenant", "acme", "--expires-in", "90d")
    assert result.stdout == "gw_new\n"
    assert "not shown again" in result.stderr
    assert gateway.last.json() == {"name": "switch", "role": "ingest", "tenant": "acme", "expires_in": 90 * 86_400}


def test_a_sign_in_link_is_alone_on_standard_output(run: Run, gateway: StubGateway) -> None:
    gateway.on("POST", "/api/v1/sign-in-links", 201, {"url": "http://127.0.0.1/sign-in?code=c", "expires_at": "x"})
    result = run("token", "sign-in-link")
    assert result.stdout == "http://127.0.0.1/sign-in?code=c\n" and "once" in result.stderr


@pytest.mark.parametrize(("verb", "state"), [("open", "open"), ("deny", "denied")])
def test_a_port_is_decided_by_its_number(run: Run, gateway: StubGateway, verb: str, state: str) -> None:
    gateway.on("POST", "/api/v1/ports", 201, {"id": PORT_ID, "port": 8443, "state": state})
    assert run("port", verb, "8443", "--host", "crm.example.com").exit_code == 0
    assert gateway.last.json() == {"port": 8443, "host": "crm.example.com", "state": state}


def test_a_port_is_closed_by_its_number(run: Run, gateway: StubGateway) -> None:
    gateway.items("/api/v1/ports", {"id": PORT_ID, "port": 8443, "state": "open"})
    gateway.on("DELETE", f"/api/v1/ports/{PORT_ID}", 204)
    assert run("port", "close", "8443").exit_code == 0
    assert gateway.last.path == f"/api/v1/ports/{PORT_ID}"


def test_a_port_that_is_none_is_wrong_usage(run: Run, gateway: StubGateway) -> None:
    assert run("port", "open", "70000").exit_code == 2
    assert not gateway.requests


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_terminal_is_too_narrow_for_an_id_or_a_url(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    url = "https://crm.example.com/hooks/calls/of/this/center"
    print_table(
        [Column("ID", "id"), Column("Events", "events", wraps=True), Column("URL", "url")],
        [[WEBHOOK_ID, "a, b, c", url]],
    )
    shown = capsys.readouterr().out
    assert WEBHOOK_ID in shown
    assert url in shown
