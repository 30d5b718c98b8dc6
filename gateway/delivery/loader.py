"""The loader: brings stored deliveries back into their lanes when they are due and there is room.

Which ones is for each lane to say (`lane/supply.py`). Invariant: it reads for all lanes in one statement, and no lane
gets more than it has room for, so what waits in the store costs neither memory nor the other lanes' time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from gateway.clock import Clock
from gateway.delivery.lane.lane import Lane
from gateway.delivery.lane.supply import Load
from gateway.delivery.limits import Limits
from gateway.delivery.recorder import Recorder
from gateway.errors import Unavailable
from gateway.log import Due, EventLog

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
        self._returns_at: dict[str, float] = {}

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
        now = self._clock.monotonic_s()
        loads = self._loads(now)
        if not loads:
            return
        for lane, _ in loads:
            lane.backlog.begin_load()
        try:
            await self._load(loads)
        except Unavailable:
            for lane, _ in loads:
                lane.supply.rewind()
            raise
        finally:
            for lane, _ in loads:
                lane.backlog.end_load()
        for lane, _ in loads:
            lane.pump()
        for lane, _ in loads:  # after all are under way: the store may fail here
            if self._has_caught_up(lane, now) and lane.begin_return():
                await self._return(lane, recorder)

    def _loads(self, now: float) -> list[tuple[Lane, Load]]:
        """What each lane reads that has rows, and room for them."""
        loads = []
        for webhook_id, lane in self.lanes.items():
            backlog = lane.backlog
            if not backlog.exists or not (backlog.load_now or now - self._looked_at.get(webhook_id, 0.0) >= POLL_S):
                continue
            room = lane.room(now)
            if room.fresh or room.retries:
                backlog.load_now = False
                self._looked_at[webhook_id] = now
                loads.append((lane, lane.supply.load(room, now, self._clock.now())))
        return loads

    async def _load(self, loads: Sequence[tuple[Lane, Load]]) -> None:
        pages = [page for _, load in loads for _, page in load.pages]
        calls = [call for _, load in loads for call in load.calls]
        found, found_of_calls = await self._log.load_due(pages, calls, self._clock.now())
        chosen: list[tuple[Lane, Due]] = []
        of_webhook = {lane.webhook.id: (lane, load) for lane, load in loads}
        for due in found_of_calls:
            lane, load = of_webhook[due.row.webhook_id]
            if load.takes(due):
                chosen.append((lane, due))
        answers = iter(found)
        for lane, load in loads:
            for scan, page in load.pages:
                chosen += [(lane, due) for due in load.choose(scan, page, next(answers))]
        if chosen:
            events = await self._log.read_events([due.row.event_id for _, due in chosen])
            for lane, due in chosen:
                if due.row.event_id in events:
                    lane.resume(due, events[due.row.event_id])

    def _has_caught_up(self, lane: Lane, now: float) -> bool:
        """May it be worth to ask what is left? Of one that has more left than it may, not in every round."""
        webhook_id = lane.webhook.id
        if not lane.backlog.spilling or not lane.supply.is_at_end or now < self._returns_at.get(webhook_id, 0.0):
            return False
        self._returns_at[webhook_id] = now + POLL_S
        return True

    async def _return(self, lane: Lane, recorder: Recorder) -> None:
        """Take a lane that has caught up back to direct."""
        left: list[tuple[str, str | None]] | None = None
        try:
            await recorder.flushed()
            left = await self._log.remaining(lane.webhook.id, self._limits.return_rows + 1)
        finally:
            lane.end_return(left)
