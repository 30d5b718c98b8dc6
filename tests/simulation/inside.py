"""The few checks that look into a process: bounds of its memory, and that nothing is left over.

Invariant: what is looked at here is a promise of `docs/architecture.md` ("Limits"), not a detail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.delivery.breaker import BreakerState
from gateway.delivery.delivery import OVERHEAD_BYTES
from gateway.delivery.lane.lane import Lane

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger
    from tests.simulation.process import Process

PAYLOAD_BYTES_MAX = 64


def bounds(process: Process) -> str | None:
    """What of a process's memory is larger than it may be."""
    if process.engine is None:
        return None
    for webhook_id in process.world.webhooks:
        lane = process.engine.lane(webhook_id)
        manners = process.world.ledger.manners.get((process.name, webhook_id))
        if lane is None:
            continue
        if broken := _lane_bounds(lane):
            return f"{process.name}, webhook {webhook_id[-1]}: {broken}"
        if manners is not None and manners.is_well and lane.target.breaker.state is not BreakerState.CLOSED:
            return f"{process.name}, webhook {webhook_id[-1]}: its breaker is not closed after a success"
    return None


def _lane_bounds(lane: Lane) -> str | None:
    limits = lane._around.limits
    loaded = lane.supply.ahead + lane.webhook.max_in_flight
    if len(lane.queue.fresh) > limits.queue_deliveries + loaded:
        return f"{len(lane.queue.fresh)} fresh deliveries are queued"
    if lane.queue.retries_held > limits.retries:
        return f"{lane.queue.retries_held} retries are held"
    if lane.queue.bytes > limits.queue_bytes + (loaded + 1) * (OVERHEAD_BYTES + PAYLOAD_BYTES_MAX):
        return f"{lane.queue.bytes} bytes are queued"
    if len(aside := lane._return.aside or ()) > limits.queue_deliveries:
        return f"{len(aside)} deliveries are held aside"
    if len(lane.backlog._rows) > limits.parked_rows:
        return f"{len(lane.backlog._rows)} rows are remembered"
    return None


def left_over(process: Process) -> str | None:
    """What the owner still holds once everything is quiet: no delivery, no entry, no bytes should be left."""
    engine, recorder = process.engine, process.recorder
    assert engine is not None and recorder is not None
    if recorder.backlog:
        return f"{process.name}: {recorder.backlog} entries are not committed"
    for webhook_id in process.world.webhooks:
        lane = engine.lane(webhook_id)
        assert lane is not None
        left = {
            "depth": lane.depth,
            "in flight": lane.in_flight,
            "calls": len(lane.queue.calls),
            "queued bytes": lane.queue.bytes,
            "in memory": len(lane.backlog.in_memory),
            "rows": len(lane.backlog._rows),
            "parked": len(lane.backlog._parked),
            "writing": len(lane.backlog._writing),
            "aside": len(lane._return.aside or ()),
        }
        if any(left.values()):
            return f"{process.name}, webhook {webhook_id[-1]}: there is left {left}"
    return None


def no_task_is_left(ledger: Ledger, process: Process) -> None:
    left = [task.get_name() for task in process.loop.tasks if not task.done()]
    if left:
        ledger.violated(f"{process.name} has ended and has tasks left: {left}")
