"""Ids: UUIDv7 (RFC 9562 §5.7) in canonical text, strictly growing within one source.

Invariant: an id is greater, as text and as bytes, than every id that its source made or was told of
before, even when the clock stands still or steps back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

TAIL_BITS = 74
STEP_BITS = 32
ZERO_ID = "00000000-0000-0000-0000-000000000000"


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class IdSource:
    """Makes ids; two of one millisecond differ by a random step, so they neither collide nor reveal a count."""

    def __init__(
        self, *, clock_ms: Callable[[], int] = wall_ms, random_bits: Callable[[int], int] = random.getrandbits
    ) -> None:
        self._clock_ms = clock_ms
        self._random_bits = random_bits
        self._ms = 0
        self._tail = 0

    def next(self) -> str:
        now_ms = self._clock_ms()
        if now_ms > self._ms:
            self._ms = now_ms
            self._tail = self._random_bits(TAIL_BITS - 1)  # the top bit is room to count in
        else:
            self._tail += 1 + self._random_bits(STEP_BITS)
            if self._tail >> TAIL_BITS:
                self._ms += 1
                self._tail = self._random_bits(TAIL_BITS - 1)
        tail = self._tail
        text = f"{self._ms << 80 | 7 << 76 | tail >> 62 << 64 | 2 << 62 | tail & (1 << 62) - 1:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def stay_above(self, known_id: str) -> None:
        """Make every later id greater than `known_id`, e.g. the last one of the process before this one."""
        self._ms = max(self._ms, id_ms(known_id))
        self._tail = (1 << TAIL_BITS) - 1


def id_ms(id: str) -> int:
    """The Unix time in milliseconds at which an id was made."""
    return int(id[:8] + id[9:13], 16)


def id_time(id: str) -> datetime:
    return datetime.fromtimestamp(id_ms(id) / 1000, UTC)


def floor_id(at: datetime) -> str:
    """The smallest UUID whose time is `at`: a bound for range queries, never an event's id."""
    text = f"{int(at.timestamp() * 1000):012x}"
    return f"{text[:8]}-{text[8:]}-0000-0000-000000000000"
