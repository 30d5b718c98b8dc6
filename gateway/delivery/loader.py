"""The loader: brings stored deliveries back into their lanes when they are due and there is room.

Invariant: it reads for all lanes in one statement, and no lane gets more than it asked for, so what waits in
the store costs neither memory nor the other lanes' time.
"""

from __future__ import annotations

import asyncio

import structlog

from gateway.clock import Clock
from gateway.delivery.lane import Lane
from gateway.delivery.limits import Limits
from gateway.delivery.recorder import Recorder
from gateway.errors import Unavailable
from gateway.log import EventLog, Want

POLL_S = 0.2
"""How often a lane with stored deliveries is looked after where nothing says that it should be sooner."""
ROUND_S = 0.005
"""The least time between two rounds."""

log = structlog.get_logger(__name__)


class Loader:
    """One loop, `run`. `lanes` is the engine's table, by webhook id."""

    def __init__(self, log: EventLog, *, clock: Clock, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._clock = clock
        self.lanes: dict[str, Lane] = {}
        self._log = log
        self._nudged = asyncio.Event()
        self._looked_at: dict[str, float] = {}

    def nudge(self) -> None:
        """There may be something to load: look now."""
        self._nudged.set()

    async def run(self, recorder: Recorder) -> None:
        """Load, round after round, until cancelled. The store being away is waited out."""
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            try:
                await self._round(recorder)
            except Unavailable as error:
                log.warning("loader_failed", error=str(error))
                await asyncio.sleep(POLL_S)
            await asyncio.sleep(ROUND_S)

    async def _round(self, recorder: Recorder) -> None:
        wants = self._wants(self._clock.monotonic_s())
        if not wants:
            return
        brought = dict.fromkeys((want.webhook_id for want in wants), 0)
        loading = [self.lanes[want.webhook_id].backlog for want in wants]
        for backlog in loading:
            backlog.begin_load()
        try:
            for due in await self._log.load_due(wants, self._clock.now()):
                brought[due.row.webhook_id] += 1
                lane = self.lanes.get(due.row.webhook_id)
                if lane is not None:
                    lane.resume(due)
        finally:
            for backlog in loading:
                backlog.end_load()
        caught_up: list[Lane] = []
        for want in wants:
            lane = self.lanes.get(want.webhook_id)
            if lane is None:
                continue
            lane.pump()
            if brought[want.webhook_id] >= want.room + len(want.held):
                lane.backlog.load_now = True
            elif lane.backlog.spilling:
                caught_up.append(lane)
        for lane in caught_up:  # after all are under way: the store may fail here
            if lane.begin_return():
                await self._return(lane, recorder)

    def _wants(self, now: float) -> list[Want]:
        wants = []
        for webhook_id, lane in self.lanes.items():
            backlog = lane.backlog
            if not backlog.exists or not (backlog.load_now or now - self._looked_at.get(webhook_id, 0.0) >= POLL_S):
                continue
            room = lane.room(now)
            if room:
                backlog.load_now = False
                self._looked_at[webhook_id] = now
                wants.append(Want(webhook_id, room, tuple(backlog.in_memory)))
        return wants

    async def _return(self, lane: Lane, recorder: Recorder) -> None:
        """Take a lane that has caught up back to direct."""
        left: list[tuple[str, str | None]] | None = None
        try:
            await recorder.flushed()
            left = await self._log.remaining(lane.webhook.id, self._limits.return_rows + 1)
        finally:
            lane.end_return(left)
