"""How long a lane's events wait for the earlier ones of their call: time counts in which those could have been tried.

Pure: time comes in as an argument. Invariant: time in which the lane was held, or left its target in peace, ends
nobody's wait; nor does time before this process knew of the lane.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

SPANS_MOST = 100
"""Interruptions that are remembered; of more than that the oldest are taken for one, so that waits get longer."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Patience:
    """Owned by one lane, which says whenever it has become able or unable to try what it has."""

    def __init__(self, now: datetime) -> None:
        self._spans: deque[tuple[datetime, datetime]] = deque()
        self._interrupted_at: datetime | None = LONG_AGO
        self.tells(True, now)

    @property
    def is_interrupted(self) -> bool:
        return self._interrupted_at is not None

    def tells(self, can_try: bool, now: datetime) -> None:
        if not can_try:
            self._interrupted_at = self._interrupted_at or now
        elif self._interrupted_at is not None:
            self._spans.append((self._interrupted_at, now))
            self._interrupted_at = None
            if len(self._spans) > SPANS_MOST:
                (began, _), (_, ended) = self._spans.popleft(), self._spans.popleft()
                self._spans.appendleft((began, ended))

    def is_over(self, wait_until: datetime, wait_s: float, now: datetime) -> bool:
        """Is a wait of `wait_s` over that would have ended at `wait_until` without interruption?"""
        if wait_until > now:
            return False
        return wait_until + self._lost(wait_until - timedelta(seconds=wait_s), now) <= now

    def _lost(self, since: datetime, now: datetime) -> timedelta:
        lost = timedelta(0) if self._interrupted_at is None else now - max(self._interrupted_at, since)
        for began, ended in reversed(self._spans):
            if ended <= since:
                break
            lost += ended - max(began, since)
        return lost
