"""Ten thousand random histories: nothing accepted is lost, order holds, nothing is sent twice without a reason.

A seed that fails prints itself; `python -m tests.simulation --seed N --trace` lives through it again and tells it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.command import describe, histories

HISTORIES = 10_000
TRACED = 203
"""Any history with a lot of trouble in it."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_histories_end_well() -> None:
    failed = [describe(each) for each in histories(HISTORIES, 0, os.cpu_count() or 1) if each.violations]
    assert not failed, "\n".join(failed[:10])


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(TRACED), "--trace"]
    one, other = (
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True)
        for seed in ("1", "2")
    )
    assert one.stdout == other.stdout
    assert "p1 owns the shards" in one.stdout and one.stdout.count("\n") > 100
