"""What wakes a lane, on the event loop of the program.

The incident: a webhook that might get 8,000 a second stopped the gateway, since a timer of uvloop that is less than
half a millisecond away is none, and has no time.
"""

from __future__ import annotations

import asyncio

import uvloop

from gateway.delivery.lane.alarm import LaneAlarm


class AlmostNow(uvloop.Loop):
    """A loop whose clock has gone on a little whenever it is looked at."""

    def call_at(self, when, callback, *args, context=None):  # type: ignore[no-untyped-def,override]
        return self.call_later(when - self.time() - 0.0008, callback, *args, context=context)


async def _rung(*waits_s: float) -> int:
    rings = 0

    def rings_once_more() -> None:
        nonlocal rings
        rings += 1

    alarm = LaneAlarm(rings_once_more)
    for wait_s in waits_s:
        alarm.wake_in(wait_s)
    async with asyncio.timeout(5):
        while not rings:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)  # a second one would have rung by now
    return rings


def test_a_time_that_is_almost_now_may_be_asked_for_again() -> None:
    with asyncio.Runner(loop_factory=AlmostNow) as runner:
        assert runner.run(_rung(0.0, 0.0001, 0.0)) == 1


def test_the_earliest_time_that_was_asked_for_counts_and_it_rings_once() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_rung(60.0, 0.005, 60.0)) == 1
