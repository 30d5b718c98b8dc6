"""Who the embedded PostgreSQL runs as, and with which of root's rights."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.store import server_user
from gateway.store.server_user import ServerUser

STRANGER = ServerUser(uid=60_001, gid=60_001, switches=True)
PASSES, OVERRIDES = 1 << 2, 1 << 1


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a program and a data folder in it."""
    program = tmp_path / "bin" / "postgres"
    program.parent.mkdir()
    program.touch(mode=0o755)
    (tmp_path / "data").mkdir()
    return tmp_path


def rights(place: Path, permitted: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The capabilities in the command of a server at `place`."""
    monkeypatch.setattr(server_user, "_permitted_capabilities", lambda: permitted)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    command = STRANGER.command(str(place / "bin" / "postgres"), "-D", "x", touches=(place / "data",))
    assert command[command.index("--") + 1 :] == [str(place / "bin" / "postgres"), "-D", "x"]
    return [word.rpartition("+")[2] for word in command if word.startswith("--ambient-caps")]


def open_up(monkeypatch: pytest.MonkeyPatch, *, closed: Path | None = None) -> None:
    """Let everybody pass everywhere, except at `closed`."""
    monkeypatch.setattr(ServerUser, "_may_pass", lambda user, place: place != closed)


def test_the_own_user_runs_programs_as_they_are() -> None:
    own = ServerUser(uid=os.geteuid(), gid=os.getegid(), switches=False)
    assert own.command("/a/postgres", "-V", touches=(Path("/nowhere/at/all"),)) == ["/a/postgres", "-V"]


def test_open_folders_need_no_right_at_all(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_up(monkeypatch)
    assert rights(place, PASSES | OVERRIDES, monkeypatch) == []


def test_a_closed_folder_is_passed_with_the_least_right_that_there_is(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_up(monkeypatch, closed=place)
    assert rights(place, PASSES | OVERRIDES, monkeypatch) == ["dac_read_search"]
    assert rights(place, OVERRIDES, monkeypatch) == ["dac_override"]


def test_a_closed_program_needs_the_right_to_run_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_up(monkeypatch, closed=place / "bin" / "postgres")
    assert rights(place, PASSES | OVERRIDES, monkeypatch) == ["dac_override"]
    with pytest.raises(GatewayError, match="bin/postgres"):
        rights(place, PASSES, monkeypatch)


def test_without_the_rights_the_error_names_the_folder_and_the_ways_out(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_up(monkeypatch, closed=place)
    with pytest.raises(GatewayError, match=r"GATEWAY_DATA_DIR.*GATEWAY_DATABASE_URL") as refused:
        rights(place, 0, monkeypatch)
    assert str(place) in str(refused.value)


def test_without_setpriv_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(GatewayError, match="setpriv"):
        STRANGER.command("/a/postgres", touches=())


def test_folders_are_judged_as_the_user_would_find_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert not STRANGER._may_pass(tmp_path)
    assert ServerUser(tmp_path.stat().st_uid, 0, switches=True)._may_pass(tmp_path)
    tmp_path.chmod(0o711)
    assert STRANGER._may_pass(tmp_path)


def test_an_ordinary_user_uses_no_database_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 60_001)
    with pytest.raises(GatewayError, match=r"belongs to .*GATEWAY_DATA_DIR"):
        ServerUser.of(tmp_path)
    assert ServerUser.of(tmp_path / "none") == ServerUser(60_001, os.getegid(), switches=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_runs_the_server_as_the_owner_of_the_database(tmp_path: Path) -> None:
    os.chown(tmp_path, 60_001, 60_002)
    assert ServerUser.of(tmp_path) == ServerUser(60_001, 60_002, switches=True)
