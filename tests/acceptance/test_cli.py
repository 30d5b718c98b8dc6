"""The command line against the real program: what an integrator and an operator do from day one."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest

LIMIT_S = 60
COMMAND = (sys.executable, "-m", "gateway.cli")

Found = TypeVar("Found")


class Program:
    """One `gateway serve` on a data directory, its output in a file."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.output = data_dir.parent / "serve.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--data-dir", str(data_dir), "--port", "0", "--retry-schedule", "100ms,100ms"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(GATEWAY_EGRESS_ALLOW="127.0.0.0/8"),
            )
        self.url = until(lambda: self._said(r"Console: +(http://\S+)"))

    def _said(self, pattern: str) -> str | None:
        assert self.process.poll() is None, self.output.read_text()
        found = re.search(pattern, self.output.read_text())
        return found[1].rstrip("/") if found else None

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command of the command line, with no more than the data directory and the URL to go by."""
        env = environment(GATEWAY_URL=self.url, GATEWAY_DATA_DIR=str(self.data_dir))
        return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, input=stdin, env=env)

    def ok(self, *arguments: str, stdin: str = "") -> Any:
        """The JSON that a command prints; it must succeed."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def environment(**settings: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")} | settings


def until(found: Callable[[], Found | None]) -> Found:
    """What `found` finds, as soon as it does."""
    deadline = time.monotonic() + LIMIT_S
    while (value := found()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # a file or an answer tells only who asks
    return value


class Target(ThreadingHTTPServer):
    """A system of record that answers `status`, and remembers what it got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Taker(BaseHTTPRequestHandler):
    server: Target

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output is the command's."""


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    started = Program(tmp_path_factory.mktemp("cli") / "data")
    yield started
    started.stop()


@pytest.fixture
def webhook(program: Program, target: Target, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a webhook that sends everything about calls to the target."""
    name = request.node.name
    program.ok("port", "open", str(target.server_port))
    program.ok("webhook", "add", target.url, "--name", name, "--event", "call.created", "--event", "call.saved")
    yield name
    assert program.run("webhook", "delete", name, "--yes").returncode == 0


def test_the_first_start_prints_a_token_that_works_and_is_kept_for_this_user_alone(program: Program) -> None:
    token = re.search(r"Admin token: +(\S+)", program.output.read_text())
    assert token is not None
    kept = program.data_dir / "admin-token"
    assert kept.read_text().strip() == token[1]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert program.run("webhook", "list", "--token", token[1]).returncode == 0


def test_a_second_start_prints_no_token_and_a_signal_stops_it_with_exit_code_0(tmp_path: Path) -> None:
    first = Program(tmp_path / "data")
    assert first.stop() == 0, first.output.read_text()
    second = Program(tmp_path / "data")
    assert "Admin token" not in second.output.read_text()
    assert second.run("token", "list").returncode == 0
    assert second.stop() == 0, second.output.read_text()


def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path: Path) -> None:
    command = [*COMMAND, "serve", "--data-dir", str(tmp_path), "--log-level", "loud"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "GATEWAY_LOG_LEVEL" in done.stderr


def test_a_port_that_is_taken_stops_the_start_with_a_sentence(program: Program, tmp_path: Path) -> None:
    port = program.url.rpartition(":")[2]
    command = [*COMMAND, "serve", "--data-dir", str(tmp_path / "data"), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=LIMIT_S)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert port in done.stderr.splitlines()[-1]


def test_a_wrong_token_is_refused(program: Program) -> None:
    done = program.run("webhook", "list", "--token", "gw_wrong")
    assert done.returncode == 1
    assert "401" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("event", "show"), ("call", "show"), ("logs", "show"), ("access", "show"), ("webhook", "show"),
        ("replay", "show"), ("replay", "cancel"), ("rejected", "show"), ("token", "revoke", "--yes"),
    ],
)  # fmt: skip
def test_an_unknown_id_is_exit_code_1_and_a_sentence(program: Program, command: tuple[str, ...]) -> None:
    unknown = "987654321" if command[0] == "call" else "01970000-0000-7000-8000-000000000000"
    done = program.run(*command, unknown)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("Error: ")
    assert "(404" in done.stderr


def test_an_event_is_sent_delivered_and_found_again(program: Program, target: Target, webhook: str) -> None:
    event_id = program.ok("send", "call.created", "--sample")["id"]
    event = until(lambda: delivered(program, event_id))
    assert [headers["webhook-id"] for headers, _ in target.got] == [event_id]
    call = program.ok("call", "show", str(event["data"]["call_id"]))
    assert event_id in [one["id"] for one in call["events"]]
    attempt = next(item for item in program.ok("logs", "--webhook", webhook) if item["event_id"] == event_id)
    shown = program.ok("logs", "show", attempt["id"])
    assert shown["response"]["status"] == 200


def test_people_can_read_every_page_of_it(program: Program, webhook: str) -> None:
    event_id = program.ok("send", "call.created", "--sample")["id"]
    until(lambda: delivered(program, event_id))
    for command in (("event", "show", event_id), ("webhook", "show", webhook), ("logs",), ("audit", "list")):
        done = program.run(*command)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) > 1


def test_a_webhook_on_a_closed_port_waits_for_an_operator(program: Program, target: Target) -> None:
    added = program.ok("webhook", "add", target.url, "--name", "closed", "--event", "call.saved")
    assert added["state"] == "blocked"
    event_id = program.ok("send", "call.saved", "--sample")["id"]
    assert program.run("port", "open", str(target.server_port)).returncode == 0
    until(lambda: delivered(program, event_id))
    assert program.run("webhook", "delete", "closed", "--yes").returncode == 0


def test_what_failed_is_replayed(program: Program, target: Target, webhook: str) -> None:
    target.status = 500
    event_id = program.ok("send", "call.created", "--sample")["id"]
    until(lambda: has_state(program, event_id, "failed"))
    target.status = 200
    replay = program.ok("replay", "--webhook", webhook, "--from", "1h", "--only", "failed")
    assert (replay["state"], replay["done"]) == ("done", replay["total"])
    until(lambda: delivered(program, event_id))


def test_a_test_delivery_shows_what_the_target_answered(program: Program, target: Target, webhook: str) -> None:
    target.status = 418
    done = program.run("webhook", "test", webhook)
    assert done.returncode == 1
    assert "418" in done.stdout
    target.status = 200
    assert program.run("webhook", "test", webhook).returncode == 0


def test_an_access_is_added_used_and_changed_without_its_secret_being_shown(
    program: Program, target: Target, webhook: str
) -> None:
    arguments = ("--type", "api_key", "--name", "crm", "--key-name", "x-key", "--api-key-file", "-")
    added = program.run("access", "add", *arguments, stdin="first-secret")
    assert added.returncode == 0, added.stderr
    program.ok("webhook", "update", webhook, "--access", "crm")
    assert program.run("access", "update", "crm", "--api-key-file", "-", stdin="second-secret").returncode == 0
    until(lambda: delivered(program, program.ok("send", "call.created", "--sample")["id"]))
    assert target.got[-1][0]["x-key"] == "second-secret"
    said = added.stdout + program.run("access", "show", "crm").stdout + program.run("audit", "list", "--json").stdout
    assert "first-secret" not in said
    assert "second-secret" not in said
    program.ok("webhook", "update", webhook, "--access", "")
    assert program.run("access", "delete", "crm", "--yes").returncode == 0


def test_a_push_that_does_not_fit_is_mended_and_resubmitted(program: Program) -> None:
    done = program.run("send", "call.saved", "-", stdin='{"call_id": "seven"}')
    assert done.returncode == 1
    assert "call_id must be a whole number" in done.stderr
    rejected = program.ok("rejected", "list")[0]
    body = program.run("rejected", "show", rejected["id"], "--body").stdout
    again = program.ok("rejected", "resubmit", rejected["id"], "-", stdin=body.replace('"seven"', "7"))
    assert program.ok("event", "show", again["id"])["data"]["call_id"] == 7


@pytest.mark.parametrize("body", ["{oops", ""])
def test_bad_json_is_refused_with_its_place(program: Program, body: str) -> None:
    done = program.run("send", "call.saved", "-", stdin=body)
    assert done.returncode == 1
    assert "400" in done.stderr


def test_one_key_makes_one_event(program: Program) -> None:
    push = ("send", "call.saved", "--sample", "--idempotency-key", "cli-1")
    first, second = program.ok(*push), program.ok(*push)
    assert first["id"] == second["id"]
    assert second["duplicate"] is True


def test_an_ingest_token_pushes_and_does_nothing_else(program: Program) -> None:
    created = program.ok("token", "create", "--role", "ingest", "--name", "switch", "--expires-in", "1h")
    token = created["token"]
    assert program.run("send", "call.saved", "--sample", "--token", token).returncode == 0
    assert program.run("webhook", "list", "--token", token).returncode == 1
    assert program.run("token", "revoke", created["id"], "--yes").returncode == 0
    assert "401" in program.run("send", "call.saved", "--sample", "--token", token).stderr


def test_the_log_is_followed_as_it_grows(program: Program, webhook: str) -> None:
    env = environment(GATEWAY_URL=program.url, GATEWAY_DATA_DIR=str(program.data_dir))
    heedful = ("env", "--default-signal=INT")  # a suite that runs in the background has it ignored
    command = [*heedful, *COMMAND, "logs", "--follow", "--webhook", webhook, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as following:
        assert following.stdout is not None
        ids = [program.ok("send", "call.created", "--sample")["id"] for _ in range(2)]
        assert {json.loads(following.stdout.readline())["event_id"] for _ in ids} == set(ids)
        following.send_signal(signal.SIGINT)
        assert following.wait(LIMIT_S) == 0


def test_a_signing_secret_is_shown_and_rotated(program: Program, webhook: str) -> None:
    before = program.run("webhook", "secret", "show", webhook).stdout
    after = program.run("webhook", "secret", "rotate", webhook).stdout
    assert before.startswith("whsec_")
    assert after.startswith("whsec_")
    assert before != after


def delivered(program: Program, event_id: str) -> dict[str, Any] | None:
    return has_state(program, event_id, "delivered")


def has_state(program: Program, event_id: str, state: str) -> dict[str, Any] | None:
    """The event, if all of its deliveries are in this state."""
    event: dict[str, Any] = program.ok("event", "show", event_id)
    states = {delivery["state"] for delivery in event["deliveries"]}
    return event if states == {state} else None
