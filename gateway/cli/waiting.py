"""The one way in which the demo's loops wait: for an event, and not for ever."""

from __future__ import annotations

import asyncio


async def set_within(event: asyncio.Event, wait_s: float) -> bool:
    """Wait for the event, at most so long; whether it is set."""
    try:
        async with asyncio.timeout(wait_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
