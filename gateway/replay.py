"""The loop that carries out replays of many events, a step at a time.

Invariant: with one webhook a replay never has more than `OPEN_LIMIT` and a step under way, so replaying a year neither
swells the table of unsettled deliveries nor crowds out what is new; and a webhook that is behind holds up no other one
of the same replay. Where it stands is in the store; a restart goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from gateway.errors import Problem, Unavailable
from gateway.store.replays import ReplayStore

WALK_ROWS = 1_000
"""How many rows one step goes through."""
OPEN_LIMIT = 2_000
PAUSE_S = 0.1
"""Between two looks at replays that have enough under way."""
TROUBLE_PAUSE_S = 0.5
"""Before the next try where the database is away, or too slow."""

log = structlog.get_logger(__name__)


class Replayer:
    """Owns no state but the wish to look again. `nudge` tells the lanes of these webhooks that rows were put."""

    def __init__(
        self,
        store: ReplayStore,
        *,
        nudge: Callable[[Sequence[str]], None],
        walk_rows: int = WALK_ROWS,
        open_limit: int = OPEN_LIMIT,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._store = store
        self._nudge = nudge
        self._walk_rows = walk_rows
        self._open_limit = open_limit
        self._pause_s = pause_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is a new replay."""
        self._woken.set()

    async def run(self) -> None:
        """Advance every running replay in turn until cancelled; what was running before this process, too."""
        while True:
            self._woken.clear()
            try:
                left, advanced = await self._round()
            except (Unavailable, Problem) as error:  # away, or too slow for its time limit
                log.warning("replay_waits", error=str(error))
                await asyncio.sleep(TROUBLE_PAUSE_S)
                continue
            if not left:
                await self._woken.wait()
            elif not advanced:
                await asyncio.sleep(self._pause_s)

    async def _round(self) -> tuple[bool, bool]:
        """One step with each webhook of each replay; whether anything is left, and whether any got further."""
        left = advanced = False
        for part in await self._store.parts():
            step = await self._store.advance(part, walk=self._walk_rows, open_limit=self._open_limit)
            if step is None:
                continue
            if step.put:
                self._nudge([part.webhook_id])
            left = left or not step.finished
            advanced = advanced or step.moved
        return left, advanced
