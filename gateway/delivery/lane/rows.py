"""The rows of a lane's deliveries in the store: when one is written, changed or removed, and who is told.

Invariant: the backlog knows of each row before it is on its way, and of its end only after the commit; and the
loader is woken by every commit that may have made something loadable.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from gateway.delivery.backlog import Backlog
from gateway.delivery.delivery import Delivery
from gateway.delivery.patience import Patience
from gateway.delivery.recorder import Entry
from gateway.delivery.surroundings import Surroundings
from gateway.delivery.verdict import Verdict
from gateway.log import AttemptRecord, DeliveryRow
from gateway.model import DeliveryState, Webhook


class LaneRows:
    """Owned by one lane, which keeps `webhook` up to date."""

    def __init__(self, webhook: Webhook, backlog: Backlog, surroundings: Surroundings) -> None:
        self.webhook = webhook
        self.patience = Patience(surroundings.clock.now())
        self._backlog = backlog
        self._around = surroundings

    def put_away(self, delivery: Delivery) -> None:
        """Leave a delivery, that memory holds no longer, to the store alone."""
        had_row = delivery.stored
        self._backlog.stores(delivery, keeps=False)
        if not had_row:
            self._add(delivery)

    def secure(self, deliveries: Iterable[Delivery], before: float) -> None:
        """Give a row to what came before then and has none, so that recovery need not go back so far."""
        for delivery in deliveries:
            if delivery.mark is not None and not delivery.stored and delivery.mark.at < before:
                self._backlog.stores(delivery, keeps=True)
                self._add(delivery)

    def succeed(self, delivery: Delivery, record: AttemptRecord, *, is_last: bool) -> None:
        """The attempt is to be recorded, and with it the end of the row if there is one.

        `is_last` says that nothing of its call waits behind it in memory: then there may be more in the store.
        """
        if delivery.stored:
            key = (self.webhook.id, delivery.event.id)
            recorded = self._ended if is_last else self._forgotten
            self.write(Entry(delivery, record, removed=key, recorded=recorded), delivery)
        else:
            self._around.recorder.add(Entry(delivery, record))

    def fail(self, delivery: Delivery, record: AttemptRecord, verdict: Verdict) -> None:
        """The attempt is to be recorded, and with it when the next one is due, or that there is none."""
        now_s = self._around.clock.wall_s()
        self._set_deadline(delivery, now_s)
        row = delivery.row(self.webhook.id, verdict.state, datetime.fromtimestamp(now_s + verdict.wait_s, UTC))
        self._backlog.stores(delivery, keeps=False)
        recorded = self._ended if verdict.state is DeliveryState.FAILED else self._written
        self.write(Entry(delivery, record, row=row, recorded=recorded), delivery)

    def note(self, delivery: Delivery, record: AttemptRecord) -> None:
        """Record an attempt whose delivery nobody is owed any more."""
        self._around.recorder.add(Entry(delivery, record))

    def write(self, entry: Entry, delivery: Delivery) -> None:
        self._backlog.writes(delivery)
        self._around.recorder.add(entry)

    def _add(self, delivery: Delivery) -> None:
        now_s = self._around.clock.wall_s()
        self._set_deadline(delivery, now_s)
        row = delivery.row(self.webhook.id, DeliveryState.QUEUED, datetime.fromtimestamp(now_s, UTC))
        self.write(Entry(delivery, row=row, recorded=self._written), delivery)

    def _set_deadline(self, delivery: Delivery, now_s: float) -> None:
        """From when on it waits no longer for earlier events of its call: counted from when it first has to."""
        wait_s = self.webhook.order_wait_s
        if delivery.wait_until is None and delivery.call_key is not None and wait_s is not None:
            delivery.wait_until = datetime.fromtimestamp(now_s, UTC) + timedelta(seconds=wait_s)

    def wait_is_over(self, row: DeliveryRow) -> bool:
        """Has it waited long enough, not counted when the earlier ones could not be tried?"""
        now = self._around.clock.now()
        return row.wait_until is not None and self.patience.is_over(
            row.wait_until, self.webhook.order_wait_s or 0.0, now
        )

    def _written(self, delivery: Delivery) -> None:
        self._backlog.written(delivery)
        self._around.nudge()

    def _ended(self, delivery: Delivery) -> None:
        self._backlog.ask_for(delivery.call_key)
        self._forgotten(delivery)

    def _forgotten(self, delivery: Delivery) -> None:
        self._backlog.forget(delivery)
        self._written(delivery)
