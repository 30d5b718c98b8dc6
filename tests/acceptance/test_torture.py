"""Nothing that was accepted is lost, whatever is killed; what is doubled was in flight at a kill.

`TORTURE_ROUNDS` sets how many kills; `make torture` makes hundreds.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance.torture import Torture, Verdict

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "20"))
POSTGRES_ROUNDS = STOP_ROUNDS = max(1, ROUNDS // 4)
FROZEN_ROUNDS = max(1, ROUNDS // 10)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 10 * ROUNDS)]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("t")


async def test_a_gateway_that_is_killed_under_load_loses_nothing_and_doubles_only_what_was_in_flight(
    folder: Path,
) -> None:
    verdict = await Torture(folder).run(ROUNDS, victim="gateway")
    assert verdict.kills == ROUNDS
    _assert_honest(verdict)


async def test_a_gateway_that_is_killed_while_its_webhooks_are_changed_loses_nothing(folder: Path) -> None:
    verdict = await Torture(folder, seed=6).run(POSTGRES_ROUNDS, victim="restless")
    assert verdict.kills == POSTGRES_ROUNDS
    assert verdict.changes >= 10 * POSTGRES_ROUNDS
    _assert_honest(verdict)


async def test_a_database_that_is_killed_under_load_loses_nothing_and_doubles_only_what_was_in_flight(
    folder: Path,
) -> None:
    verdict = await Torture(folder, seed=2).run(POSTGRES_ROUNDS, victim="postgres")
    assert verdict.kills == POSTGRES_ROUNDS
    assert verdict.ended_by_itself == 0
    _assert_honest(verdict)


async def test_a_gateway_and_its_database_that_are_killed_at_once_lose_nothing(folder: Path) -> None:
    verdict = await Torture(folder, seed=4).run(POSTGRES_ROUNDS, victim="both")
    assert verdict.kills == POSTGRES_ROUNDS
    _assert_honest(verdict)


async def test_an_owner_that_is_frozen_past_its_lease_loses_nothing_and_changes_nothing_when_it_wakes_up(
    folder: Path,
) -> None:
    verdict = await Torture(folder, seed=5).run(FROZEN_ROUNDS, victim="frozen")
    assert verdict.kills == FROZEN_ROUNDS
    _assert_honest(verdict)


async def test_a_gateway_that_is_stopped_under_load_loses_nothing_and_doubles_nothing(folder: Path) -> None:
    verdict = await Torture(folder, seed=3).run(STOP_ROUNDS, victim="stop")
    _assert_honest(verdict)
    assert verdict.doubled == 0


def _assert_honest(verdict: Verdict) -> None:
    assert verdict.accepted > 0
    assert verdict.lost == 0, verdict
    assert verdict.doubled_unexplained == 0, verdict
    assert verdict.doubled <= verdict.in_flight, verdict
    assert verdict.overtaken == 0, verdict
