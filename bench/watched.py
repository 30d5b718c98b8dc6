"""What an open console costs deliveries: the same load with nobody looking, and with open pages that renew themselves.

Invariant: the pages are asked for as often as a browser asks for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from aiohttp import ClientSession

from bench.browser import signed_in
from bench.measure import Measurement, measure
from bench.process import Gateway
from bench.rig import plan
from bench.scenario import Run, add_access, add_webhook, warm_up

RATE_PER_S = 1000.0
RENEWED_S = {"/?period=1h": 5.0, "/reports/logs/tail?": 2.0}
"""The overview, and the log that is followed; how often each asks."""


async def watched(run: Run) -> Measurement:
    """Figures are those with both pages open; what they are with none, before and after, is in the notes."""
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target)
        await add_webhook(gateway, target.url("/t/0"), access_id=await add_access(gateway))
        await warm_up(run, gateway, target, fan_out=1)
        load = plan(gateway, 2 * run.seconds, rate_per_s=RATE_PER_S, poisson=True)
        before, _ = await measure(run.rig, gateway, target, load, fan_out=1)
        async with open_pages(gateway):
            taken, _ = await measure(run.rig, gateway, target, load, fan_out=1)
        after, _ = await measure(run.rig, gateway, target, load, fan_out=1)
        return replace(
            taken,
            others=max(taken.others, before.others, after.others),
            notes={
                **taken.notes,
                "p99_before_ms": before.lag_ms["p99"],
                "p99_after_ms": after.lag_ms["p99"],
                "gateway_before_us": before.gateway_us_per_event,
                "gateway_after_us": after.gateway_us_per_event,
            },
        )


@asynccontextmanager
async def open_pages(gateway: Gateway) -> AsyncIterator[None]:
    """Someone is signed in and leaves the pages open."""
    async with signed_in(gateway) as browser:
        pages = [asyncio.create_task(_renew(browser, path, every_s)) for path, every_s in RENEWED_S.items()]
        try:
            yield
        finally:
            for page in pages:
                page.cancel()
            await asyncio.gather(*pages, return_exceptions=True)


async def _renew(browser: ClientSession, path: str, every_s: float) -> None:
    while True:
        async with browser.get(path, headers={"HX-Request": "true"}) as answer:
            answer.raise_for_status()
            await answer.read()
        await asyncio.sleep(every_s)
