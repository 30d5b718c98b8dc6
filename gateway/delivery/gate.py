"""The gate before all lanes: open unless something forbids that attempts start.

Each reason (`lease`, `recorder`, `stopping`) shuts it on its own, and only opening every one opens it.
"""

from __future__ import annotations

from collections.abc import Callable


class Gate:
    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self.is_open = True
        self.opened: Callable[[], None] = lambda: None
        """Called when the last reason has gone; set by the engine, which then starts its lanes again."""

    @property
    def reasons(self) -> frozenset[str]:
        return frozenset(self._reasons)

    def shut(self, reason: str) -> None:
        self._reasons.add(reason)
        self.is_open = False

    def open(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons.remove(reason)
            self.is_open = not self._reasons
            if self.is_open:
                self.opened()
