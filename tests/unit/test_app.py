"""The order of start and stop, where it can be tried without the rest."""

from __future__ import annotations

import asyncio

from gateway.app import _unless_stopped


async def test_a_signal_during_the_start_undoes_the_step_that_is_under_way() -> None:
    # A gateway that was told to stop during a long recovery went on recovering, and did not end for half a minute.
    undone = asyncio.Event()

    async def recover() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            undone.set()
        return "never"

    stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(stop.set_result, "SIGTERM")
    assert await _unless_stopped(asyncio.ensure_future(recover()), stop) is None
    assert undone.is_set()


async def test_a_step_that_ends_first_has_its_result() -> None:
    stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    assert await _unless_stopped(asyncio.ensure_future(asyncio.sleep(0, "ready")), stop) == "ready"
