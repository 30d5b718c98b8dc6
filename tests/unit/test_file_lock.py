"""Locks on files: who holds them, and when they are free again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.store.locks import FileLock


def test_two_may_share_a_lock_and_one_alone_may_have_it(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock") as first, FileLock(tmp_path / "lock") as second:
        assert first.try_take(shared=True)
        assert second.try_take(shared=True)
        assert not first.try_take()
        assert second.try_take()


async def test_a_taker_waits_for_its_turn_and_no_longer_than_it_may(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock") as first, FileLock(tmp_path / "lock") as second:
        await first.take(within_s=0)
        with pytest.raises(GatewayError, match="lock"):
            await second.take(within_s=0.02)
    with FileLock(tmp_path / "lock") as third:
        await third.take(within_s=0)


def test_a_process_that_was_handed_the_lock_holds_it_to_its_end(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock") as first:
        assert first.try_take()
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(first.fileno(),))
    with FileLock(tmp_path / "lock") as second:
        assert not second.try_take()
        child.communicate()
        assert second.try_take()


def test_other_children_do_not_hold_it(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock") as first:
        assert first.try_take()
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    with FileLock(tmp_path / "lock") as second:
        assert second.try_take()
    child.communicate()
