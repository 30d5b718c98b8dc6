"""What is in flight in a lane: each attempt from its request to its record.

Invariant: an attempt is counted from before its request is sent until its outcome is here, and ends once.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.delivery.attempt import attempt_record
from gateway.delivery.delivery import Delivery
from gateway.delivery.request import Built, Wire
from gateway.delivery.surroundings import Surroundings
from gateway.delivery.transport import Pool
from gateway.log import AttemptRecord
from gateway.model import Outcome, Webhook

Landed = Callable[[Delivery, AttemptRecord, Wire, Outcome], None]
"""Told how an attempt ended that was sent in this form."""


class LaneFlights:
    """Owned by one lane. `retries` counts those of the deliveries in flight that failed before."""

    def __init__(self, surroundings: Surroundings, landed: Landed) -> None:
        self.flying: dict[Delivery, Built] = {}
        self.retries = 0
        self._around = surroundings
        self._landed = landed

    def start(self, delivery: Delivery, webhook: Webhook, wire: Wire, pool: Pool) -> None:
        around = self._around
        self.retries += delivery.tries > 0
        delivery.attempts += 1
        attempt_id = around.ids.next()
        delivery.started_at = around.clock.monotonic_s()
        if delivery.accepted_at is not None:
            around.metrics.started(webhook, delivery.started_at - delivery.accepted_at)
            delivery.accepted_at = None
        built = wire.build(
            delivery.event, attempt=delivery.attempts, now_s=int(around.clock.wall_s()), overtakes=delivery.overtakes
        )
        self.flying[delivery] = built

        def ended(outcome: Outcome) -> None:
            del self.flying[delivery]
            self.retries -= delivery.tries > 0
            around.metrics.attempted(webhook, outcome)
            record = attempt_record(
                attempt_id, webhook, delivery.event, wire, built, outcome, number=delivery.attempts, test=False
            )
            self._landed(delivery, record, wire, outcome)

        pool.send(built.request, ended)
