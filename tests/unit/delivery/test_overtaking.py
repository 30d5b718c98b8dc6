"""Which earlier event one that has waited long enough leaves behind, and says so.

The incident (found by the simulation, seed 364): the first event of a call was in memory, the second in the store and
not due. The third, whose wait was over, was queued behind the first without a mark, and so passed the second in secret.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec

from gateway.model import DeliveryState, WebhookState
from tests.unit.delivery.rig import running, until, webhook


async def test_what_waits_behind_one_in_memory_says_whom_else_it_overtakes() -> None:
    hook = webhook(max_in_flight=2, order_wait_s=1.0)
    async with running(hook) as rig:
        rig.engine.webhook_changed(replace(hook, state=WebhookState.PAUSED))
        created, ended, saved = rig.accept("1"), rig.accept("1"), rig.accept("1")
        await rig.recorded()
        row = rig.log.rows[hook.id, ended]
        later = row.next_at + timedelta(hours=1)
        rig.log.rows[hook.id, ended] = msgspec.structs.replace(row, state=DeliveryState.RETRYING, next_at=later)
        rig.engine.webhook_changed(hook)
        await rig.starts(created)
        rig.advance(2.0)
        await rig.looked()
        assert rig.under_way == [created]
        rig.end(created)
        await rig.starts(saved)
        (sent,) = rig.transport.under_way
        assert sent.header("webhook-overtook") == ended
        rig.end(saved)
        await until(lambda: list(rig.log.rows) == [(hook.id, ended)])
