"""Simulated time: it jumps, it stands still for the frozen, and it ends for the killed without a word."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.simulation.kernel import Kernel, Stuck


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(random.Random(1), failed=pytest.fail)


def test_an_hour_of_sleep_takes_no_time(kernel: Kernel) -> None:
    loop = kernel.loop("one")

    async def sleeper() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600.0):
                await asyncio.sleep(7200.0)
        return loop.time()

    task = loop.create_task(sleeper())
    kernel.run(task.done)
    assert task.result() == 3600.0


def test_a_frozen_loop_finds_its_timers_late_when_it_goes_on(kernel: Kernel) -> None:
    frozen, other = kernel.loop("frozen"), kernel.loop("other")
    woken: list[float] = []
    frozen.call_at(1.0, lambda: woken.append(kernel.now))
    frozen.runs = False
    other.call_at(5.0, lambda: setattr(frozen, "runs", True))
    kernel.run(lambda: bool(woken))
    assert woken == [5.0]


def test_a_killed_loop_runs_no_finally(kernel: Kernel) -> None:
    killed, other = kernel.loop("killed"), kernel.loop("other")
    ended: list[str] = []

    async def victim() -> None:
        try:
            await asyncio.sleep(1.0)
        finally:
            ended.append("finally")

    killed.create_task(victim())
    other.call_at(0.5, lambda: kernel.drop(killed))
    other.call_at(2.0, lambda: ended.append("end"))
    kernel.run(lambda: bool(ended))
    assert ended == ["end"]
    kernel.bury([killed])


def test_where_nothing_can_happen_any_more_it_says_so(kernel: Kernel) -> None:
    with pytest.raises(Stuck):
        kernel.run(lambda: False)


def test_what_runs_without_end_is_ended(kernel: Kernel) -> None:
    loop = kernel.loop("one")

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(Stuck):
        kernel.run(lambda: False)
