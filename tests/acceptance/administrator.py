"""An administrator who can not leave webhooks alone: pauses, resumes, moves and limits them while events flow.

Invariant: what an interrupted call has changed is not known, and need not be: `settle` sets everything once more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientError

from bench.process import Refused
from tests.acceptance.program import Gateway, RecordTarget

PAUSE_S = 0.05
SETTLED: dict[str, Any] = {"state": "active", "max_in_flight": 10, "rate_per_s": None}


class Administrator:
    """Works on webhooks, by the paths of their targets. A second door leads to the same targets, with one ledger."""

    def __init__(self, gateway: Gateway, target: RecordTarget, webhooks: Mapping[str, str], *, seed: int) -> None:
        self._gateway = gateway
        self._doors = [target, RecordTarget()]
        self._doors[1].target = target.target
        self._webhooks = webhooks
        self._random = random.Random(seed)
        self._stack = AsyncExitStack()
        self._changing: asyncio.Task[None]
        self.changes = 0
        """Those that were answered."""

    async def __aenter__(self) -> Self:
        door = await self._stack.enter_async_context(self._doors[1])
        await self._gateway.api("POST", "/ports", {"port": door.port})
        self._changing = asyncio.create_task(self._change_webhooks())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._changing.cancel()
        await self._stack.aclose()

    async def settle(self) -> None:
        """Changes nothing more, but for the last time: every webhook is active and may be as fast as it can."""
        self._changing.cancel()
        with suppress(asyncio.CancelledError):
            await self._changing
        for path in self._webhooks:
            while not await self._change(path, SETTLED):
                await asyncio.sleep(PAUSE_S)

    async def _change_webhooks(self) -> None:
        while True:
            path = self._random.choice(list(self._webhooks))
            await self._change(path, self._some_change(path))
            await asyncio.sleep(self._random.random() * PAUSE_S)

    def _some_change(self, path: str) -> dict[str, Any]:
        """Seldom a pause: after it a lane goes by the store for a while, and the ways through memory are not seen."""
        chance = self._random.choice
        one_of = (
            [{"state": "paused"}]
            + [{"state": "active"}] * 4
            + [{"url": door.url(path)} for door in self._doors]
            + [{"max_in_flight": chance((1, 1, 2, 10))}] * 3
            + [{"rate_per_s": chance((None, None, 50.0, 500.0))}] * 2
        )
        return chance(one_of)

    async def _change(self, path: str, changes: dict[str, Any]) -> bool:
        """Whether it was made; the gateway may be dead, or be starting, just now."""
        try:
            await self._gateway.api("PATCH", f"/webhooks/{self._webhooks[path]}", changes)
        except (ClientError, TimeoutError, OSError):
            return False
        except Refused as refused:
            if refused.status != 503:
                raise
            return False
        self.changes += 1
        return True
