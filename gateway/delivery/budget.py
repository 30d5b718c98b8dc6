"""The memory that all lanes together may hold in queued deliveries; past it they spill to the store."""

from __future__ import annotations

TOTAL_BYTES = 96 * 1024 * 1024


class Budget:
    def __init__(self, total_bytes: int = TOTAL_BYTES) -> None:
        self._left_bytes = total_bytes

    def has_room_for(self, lane_bytes: int) -> bool:
        """May one that holds so much take more? No lane gets more than it leaves for all the others together."""
        return lane_bytes < self._left_bytes

    def take(self, amount_bytes: int) -> None:
        self._left_bytes -= amount_bytes

    def give(self, amount_bytes: int) -> None:
        self._left_bytes += amount_bytes
