"""Random calls, answers, delays and pauses: whatever comes together, order and count hold."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict

from gateway.delivery.limits import Limits
from gateway.model import DeliveryState, Webhook, WebhookState
from tests.memory_log import MemoryLog
from tests.unit.delivery.rig import Rig, answer, running, until, webhook

EVENTS = 60
CALLS = 6


class Storm:
    """One random run. `delivered` is what was answered 200, in order; each event has a chance to fail at first."""

    def __init__(self, rig: Rig, chance: random.Random) -> None:
        self.rig = rig
        self.chance = chance
        self.accepted: defaultdict[str | None, list[str]] = defaultdict(list)
        self.delivered: list[str] = []
        self.failures: Counter[str] = Counter()

    async def run(self) -> None:
        for _ in range(EVENTS):
            call_key = str(self.chance.randrange(CALLS)) if self.chance.random() < 0.9 else None
            self.accepted[call_key].append(self.rig.accept(call_key))
            await self._turn()
        self._set(WebhookState.ACTIVE)
        await until(self._calm, 20)

    def _calm(self) -> bool:
        self._answer()
        self.rig.advance(10.0)
        return len(self.delivered) >= EVENTS and not self.rig.log.rows

    async def _turn(self) -> None:
        happens = self.chance.random()
        if happens < 0.5:
            self._answer()
        elif happens < 0.6:
            self.rig.advance(self.chance.uniform(0.0, 8.0))
        elif happens < 0.65:
            self._set(self.chance.choice([WebhookState.PAUSED, WebhookState.ACTIVE]))
        elif happens < 0.7:
            self.rig.engine.stored_elsewhere([self.rig.lane().webhook.id])
        elif happens < 0.75:
            self.rig.lane().secure(self.rig.clock.monotonic_s())
        self.rig.log.latency_s = self.chance.choice([0.0, 0.0, 0.001, 0.004])
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(self.chance.choice([0.0, 0.0, 0.001]))

    def _answer(self) -> None:
        for sent in self.chance.sample(self.rig.transport.under_way, k=len(self.rig.transport.under_way)):
            if self.chance.random() < 0.7:
                fails = self.failures[sent.event_id] < 2 and self.chance.random() < 0.3
                self.failures[sent.event_id] += fails
                self.rig.transport.under_way.remove(sent)
                if not fails:
                    self.delivered.append(sent.event_id)
                sent.end(answer(400 if fails else 200))

    def _set(self, state: WebhookState) -> None:
        lane = self.rig.lane()
        self.rig.engine.webhook_changed(_with(lane.webhook, state))


def _with(webhook: Webhook, state: WebhookState) -> Webhook:
    return Webhook(**{name: getattr(webhook, name) for name in Webhook.__slots__} | {"state": state})


async def test_whatever_comes_together_each_event_is_delivered_once_and_each_call_in_order(seed: int) -> None:
    log = MemoryLog()
    small = Limits(queue_deliveries=3)  # so that the lane spills and returns again and again
    async with running(webhook(max_in_flight=4), log=log, limits=small) as rig:
        storm = Storm(rig, random.Random(seed))
        await storm.run()
        await rig.recorded()
        assert [event_id for event_id, count in Counter(storm.delivered).items() if count > 1] == []
        for call_key, ids in storm.accepted.items():
            if call_key is not None:
                assert [each for each in storm.delivered if each in set(ids)] == ids, call_key
        assert rig.engine.watermark == max(log.events)
        assert not [row for row in log.rows.values() if row.state is not DeliveryState.FAILED]
        made = Counter((each.event_id, each.number) for each in log.attempts.values())
        assert max(made.values()) == 1, "an attempt was made twice"
