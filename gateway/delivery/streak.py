"""A streak of failures: since when a target has failed without one success in between, and what is due for that.

Pure: time comes in as an argument. Invariant: only a failed attempt makes anything due, so a webhook for which
nothing happens is neither called failing nor paused.
"""

from __future__ import annotations

from datetime import datetime, timedelta

SAVE_AFTER = timedelta(minutes=5)
"""A streak that lasts shorter is not worth a write: most are over by then."""
TELL_AFTER = timedelta(hours=1)
FAILURES_LEAST = 10
"""Fewer failures pause nothing, however far apart: a webhook with an event a week has not been tried enough."""


class Streak:
    """Mutable; owned by its lane, which forgets it at the first success. `health.py` notes here what it has done."""

    __slots__ = ("failures", "last", "last_at", "saved", "since", "told")

    def __init__(self, since: datetime, *, saved: bool = False) -> None:
        self.since = since
        self.failures = 0
        """Since this process knows of it."""
        self.last = ""
        """How the last one failed, in words."""
        self.last_at = since
        self.saved = saved
        self.told = False

    def fails(self, why: str, at: datetime) -> None:
        self.failures += 1
        self.last = why
        self.last_at = at

    @property
    def is_to_be_saved(self) -> bool:
        return not self.saved and self._lasts(SAVE_AFTER)

    @property
    def is_to_be_told(self) -> bool:
        return not self.told and self._lasts(TELL_AFTER)

    def is_too_long(self, pause_after: timedelta) -> bool:
        return self.failures >= FAILURES_LEAST and self._lasts(pause_after)

    def _lasts(self, span: timedelta) -> bool:
        return bool(self.failures) and self.last_at - self.since >= span
