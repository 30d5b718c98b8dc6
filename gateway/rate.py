"""A token bucket: at most `per_s` starts a second on average, `burst` at once. Pure: time is an argument."""

from __future__ import annotations


class RateLimit:
    __slots__ = ("_at_s", "_tokens", "burst", "per_s")

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self.burst = max(1.0, per_s)
        self._tokens = self.burst
        self._at_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Seconds until one may start; 0 takes the token."""
        self._tokens = min(self.burst, self._tokens + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.per_s
