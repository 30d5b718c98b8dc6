"""The watermark: how far the log is settled, as the one process that delivers it sees it.

Invariant: every event up to `value` is settled, that is, a successful attempt of it or a row in
`deliveries` has been committed for each of its webhooks.
"""

from __future__ import annotations

from collections import deque

from gateway.ids import ZERO_ID


class Mark:
    """One committed batch of events: its last id, when it came, and how many deliveries of it are unsettled."""

    __slots__ = ("at", "last_id", "open")

    def __init__(self, last_id: str, open: int, at: float) -> None:
        self.last_id = last_id
        self.open = open
        self.at = at

    def settle(self) -> None:
        self.open -= 1
        assert self.open >= 0, "a delivery was settled twice"


class Watermark:
    """The longest settled prefix of batches. Batches are marked in the order of their ids."""

    def __init__(self, value: str = ZERO_ID) -> None:
        self._value = value
        self._marks: deque[Mark] = deque()

    def mark(self, last_id: str, open: int, at: float) -> Mark:
        """Note a batch that came at `at` (monotonic), ends with `last_id` and has `open` deliveries to settle."""
        mark = Mark(last_id, open, at)
        self._marks.append(mark)
        return mark

    @property
    def value(self) -> str:
        """The id up to which everything is settled; never goes back."""
        marks = self._marks
        while marks and not marks[0].open:
            self._value = marks.popleft().last_id
        return self._value
