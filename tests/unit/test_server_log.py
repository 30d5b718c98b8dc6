"""The embedded server's log: bounded, and its end to be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.store import server_log
from gateway.store.server_log import ServerLog


def test_a_long_log_is_set_aside_once_and_emptied_under_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_log, "LOG_BYTES", 10)
    log = ServerLog(tmp_path / "postgres.log")
    with log.path.open("a") as server:
        for text in ("first, too long\n", "second, too long\n"):
            server.write(text)
            server.flush()
            log.bound()
            assert log.size_bytes() == 0
            assert (tmp_path / "postgres.log.1").read_text() == text
        server.write("short\n")
    log.bound()
    assert log.path.read_text() == "short\n"


def test_the_tail_is_the_last_lines_of_what_was_said_since(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "postgres.log")
    log.path.write_text("before\n")
    begin_bytes = log.size_bytes()
    with log.path.open("a") as file:
        file.writelines(f"line {n}\n" for n in range(100))
    assert log.tail(begin_bytes).splitlines() == [f"line {n}" for n in range(85, 100)]


def test_a_server_that_said_nothing_is_told_of_with_where_to_look(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "postgres.log")
    log.bound()
    assert str(log.path) in log.tail(log.size_bytes())
