"""The gate before all lanes: open unless something forbids that attempts start.

Each reason (`lease`, `recorder`, `stopping`) shuts it on its own, and only opening every one opens it. Whether the
lease is valid is a matter of the clock, so that is looked at whenever somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable


class Gate:
    def __init__(self, *, lease_is_valid: Callable[[], bool] = lambda: True) -> None:
        self._lease_is_valid = lease_is_valid
        self._reasons: set[str] = set()
        self.opened: Callable[[], None] = lambda: None
        """Called when the last reason has gone; set by the engine, which then starts its lanes again."""

    @property
    def is_open(self) -> bool:
        """May an attempt start now? One that may not because the lease has run out shuts it until that is renewed."""
        if self._reasons:
            return False
        if not self._lease_is_valid():
            self._reasons.add("lease")
            return False
        return True

    @property
    def reasons(self) -> frozenset[str]:
        return frozenset(self._reasons)

    def shut(self, reason: str) -> None:
        self._reasons.add(reason)

    def open(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons.remove(reason)
            if self.is_open:
                self.opened()
