"""Whose wait for its call is over goes ahead: where nothing is wrong but single events, nothing else may hold it up.

Only histories of such a mix can tell, for elsewhere there are other reasons to wait. Invariant: a target that has been
idle for `GRACE_S` owes nothing to those whose wait is over.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gateway.delivery.lane.supply import SWEEP_EVERY_S

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger

GRACE_S = SWEEP_EVERY_S + 0.6
"""Whose wait is over is found by the next sweep of the rows; then come a load, and the commits before it."""


class Patience:
    """Told of every request and of every end of one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._in_flight: Counter[str] = Counter()
        self._idle_since: dict[str, float] = {}
        self._failed_at: dict[tuple[str, str], float] = {}

    def sends(self, webhook_id: str, now: float) -> str | None:
        """Who has been left waiting meanwhile."""
        self._in_flight[webhook_id] += 1
        idle_since = self._idle_since.pop(webhook_id, now)
        if now - idle_since <= GRACE_S:
            return None
        late = [
            event_id
            for event_id in self._ledger.matched
            if webhook_id in self._ledger.matched[event_id]
            and not self._ledger.sent_times[event_id, webhook_id]
            and now - max(idle_since, self._until(event_id, webhook_id)) > GRACE_S
        ]
        return f"{late} waited, for nobody any more, while {webhook_id} was idle" if late else None

    def sees(self, pair: tuple[str, str], now: float, *, ok: bool) -> None:
        webhook_id = pair[1]
        self._in_flight[webhook_id] -= 1
        if not self._in_flight[webhook_id]:
            self._idle_since[webhook_id] = now
        if not ok:
            self._failed_at.setdefault(pair, now)

    def _until(self, event_id: str, webhook_id: str) -> float:
        """Until when it may wait for others: counted from when the last of them came to be waited for."""
        ledger = self._ledger
        call_key, wait_s = ledger.call_of[event_id], ledger.webhooks[webhook_id].order_wait_s
        since = ledger.committed_at[event_id]
        if call_key is None or wait_s is None:
            return since
        earlier = [each for each in ledger.calls[call_key] if each < event_id]
        return max(since, *(self._failed_at.get((each, webhook_id), since) for each in earlier), since) + wait_s
