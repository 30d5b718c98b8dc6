"""The loop that carries out replays of a range, a chunk at a time.

Invariant: a replay never has more than `OPEN_LIMIT` and a chunk under way, so replaying a year neither swells the
table of unsettled deliveries nor crowds out what is new. Where it stands is in the store; a restart goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from gateway.errors import Problem, Unavailable
from gateway.store.replays import ReplayStore

CHUNK_EVENTS = 500
OPEN_LIMIT = 2_000
PAUSE_S = 0.5
"""Between two looks at replays that have enough under way, or at a database that is away."""

log = structlog.get_logger(__name__)


class Replayer:
    """Owns no state but the wish to look again. `nudge` tells the lanes of these webhooks that rows were put."""

    def __init__(
        self,
        store: ReplayStore,
        *,
        nudge: Callable[[Sequence[str]], None],
        chunk_events: int = CHUNK_EVENTS,
        open_limit: int = OPEN_LIMIT,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._store = store
        self._nudge = nudge
        self._chunk_events = chunk_events
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
                left, advanced = True, False
            if not left:
                await self._woken.wait()
            elif not advanced:
                await asyncio.sleep(self._pause_s)

    async def _round(self) -> tuple[bool, bool]:
        """One chunk of each; whether any is left, and whether any got further."""
        left = advanced = False
        for replay_id in await self._store.running():
            step = await self._store.advance(replay_id, chunk=self._chunk_events, open_limit=self._open_limit)
            if step is None:
                continue
            if step.put:
                self._nudge([step.webhook_id])
            left = left or not step.finished
            advanced = advanced or step.put > 0
        return left, advanced
