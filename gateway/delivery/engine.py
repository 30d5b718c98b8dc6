"""The engine: one lane for each webhook, fed by the intake, by recovery and by the loader.

Invariant: every delivery of a dispatched event is in exactly one lane, in the store, or settled; the watermark
passes an event only in the last two cases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import structlog

from gateway.delivery.breaker import BreakerState
from gateway.delivery.delivery import Delivery
from gateway.delivery.lane.lane import Lane
from gateway.delivery.lane.state import LaneState
from gateway.delivery.loader import Loader
from gateway.delivery.streak import Streak
from gateway.delivery.surroundings import Surroundings
from gateway.delivery.watermark import Mark, Watermark
from gateway.log import EventLog
from gateway.model import Event, Webhook
from gateway.telemetry.metrics import LaneSample

SECURE_AFTER_S = 5.0
"""What is unsettled for so long gets a row of its own, so that recovery never reads back much further."""
SECURE_EVERY_S = 1.0
RECOVERY_PAGE = 1_000
RECOVERY_BACKLOG = 5_000

log = structlog.get_logger(__name__)


class Engine:
    """Implements the registry's `Listener`. `run` keeps the lanes supplied until it is cancelled."""

    def __init__(self, log: EventLog, surroundings: Surroundings, *, loader: Loader, watermark: Watermark) -> None:
        self._log = log
        self._around = surroundings
        self._loader = loader
        self._watermark = watermark
        self._lanes: dict[str, Lane] = {}
        surroundings.gate.opened = self._pump_all

    @property
    def watermark(self) -> str:
        return self._watermark.value

    def lane(self, webhook_id: str) -> Lane | None:
        return self._lanes.get(webhook_id)

    # --- events ------------------------------------------------------------------------------------------------

    def dispatch(self, events: Sequence[Event], accepted_at: Sequence[float]) -> None:
        """Hand committed events, in the order of their ids, to the lanes of the webhooks that they matched."""
        if not events:
            return
        mark = self._watermark.mark(
            events[-1].id, sum(len(event.webhook_ids) for event in events), self._around.clock.monotonic_s()
        )
        for event, at in zip(events, accepted_at, strict=True):
            self._offer(event, event.webhook_ids, mark, at)

    def _offer(self, event: Event, webhook_ids: Iterable[str], mark: Mark, accepted_at: float | None) -> None:
        for webhook_id in webhook_ids:
            lane = self._lanes.get(webhook_id)
            if lane is None:  # deleted since
                mark.settle()
                continue
            call_key = event.call_key if lane.webhook.order_wait_s is not None else None
            lane.offer(Delivery(event, call_key=call_key, mark=mark, accepted_at=accepted_at))

    async def recover(self) -> int:
        """Take up what an earlier process left unsettled; returns how many deliveries. Before the intake opens."""
        for webhook_id in await self._log.with_backlog(list(self._lanes)):
            self._lanes[webhook_id].backlog.spill()
        recovered = 0
        after_id = self._watermark.value
        while True:
            page = await self._log.read_unsettled(after_id, RECOVERY_PAGE)
            if not page:
                return recovered
            after_id = page[-1].event.id
            count = sum(len(unsettled.webhook_ids) for unsettled in page)
            mark = self._watermark.mark(after_id, count, self._around.clock.monotonic_s())
            for unsettled in page:
                self._offer(unsettled.event, unsettled.webhook_ids, mark, None)
            recovered += count
            if self._around.recorder.backlog > RECOVERY_BACKLOG:
                await self._around.recorder.flushed()

    # --- webhooks ----------------------------------------------------------------------------------------------

    def webhook_changed(self, webhook: Webhook) -> None:
        lane = self._lanes.get(webhook.id)
        if lane is None:
            self._lanes[webhook.id] = self._loader.lanes[webhook.id] = Lane(webhook, self._around)
        else:
            lane.change(webhook)

    def webhook_removed(self, webhook_id: str) -> None:
        lane = self._lanes.pop(webhook_id, None)
        if lane is not None:
            del self._loader.lanes[webhook_id]
            lane.close()

    def stored_elsewhere(self, webhook_ids: Iterable[str]) -> None:
        """Rows were added to these webhooks' deliveries from outside (a replay): read them."""
        for webhook_id in webhook_ids:
            if (lane := self._lanes.get(webhook_id)) is not None:
                lane.spill()
        self._loader.nudge()

    def withdrawn_elsewhere(self, webhook_ids: Iterable[str]) -> None:
        """Rows of these webhooks' deliveries were withdrawn from outside: start nothing of theirs that was read."""
        for webhook_id in webhook_ids:
            if (lane := self._lanes.get(webhook_id)) is not None:
                lane.reread()
        self._loader.nudge()

    # --- how they are doing ------------------------------------------------------------------------------------

    def state_of(self, webhook_id: str) -> LaneState | None:
        lane = self._lanes.get(webhook_id)
        return None if lane is None else lane.state()

    def failing_since(self, webhook_id: str) -> datetime | None:
        state = self.state_of(webhook_id)
        return None if state is None else state.failing_since

    def streaks(self) -> Iterator[tuple[str, Streak]]:
        """The webhooks whose last attempts have all failed."""
        for webhook_id, lane in self._lanes.items():
            if lane.target.streak is not None:
                yield webhook_id, lane.target.streak

    def restore_streaks(self, streaks: Mapping[str, Streak]) -> None:
        """Go on counting where an earlier process was, before anything is attempted."""
        for webhook_id, streak in streaks.items():
            if (lane := self._lanes.get(webhook_id)) is not None:
                lane.target.streak = streak

    # --- life --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Secure what stays unsettled, once a second, until cancelled."""
        while True:
            await asyncio.sleep(SECURE_EVERY_S)
            before = self._around.clock.monotonic_s() - SECURE_AFTER_S
            for lane in self._lanes.values():
                lane.secure(before)

    async def landed(self) -> None:
        """Returns when nothing is in flight any more; start it with the gate shut."""
        while any(lane.in_flight for lane in self._lanes.values()):  # noqa: ASYNC110 (an event would cost each attempt)
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Close all connections; what is still in flight ends as abandoned, and stays owed."""
        await asyncio.gather(*(lane.aclose() for lane in self._lanes.values()))

    def sample(self) -> Iterator[LaneSample]:
        """What the metrics show of each lane."""
        now = self._around.clock.monotonic_s()
        for webhook_id, lane in self._lanes.items():
            yield LaneSample(
                webhook_id=webhook_id,
                depth=lane.depth,
                oldest_age_s=lane.oldest_age_s(now),
                in_flight=lane.in_flight,
                breaker_open=lane.target.breaker.state is not BreakerState.CLOSED,
            )

    def _pump_all(self) -> None:
        for lane in self._lanes.values():
            lane.pump()
        self._loader.nudge()
