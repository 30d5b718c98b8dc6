"""When a failed delivery is tried again: a pure function of the schedule, the answer and chance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

JITTER = 0.2
"""A wait is stretched by up to this share of itself, so that what failed together is not retried together."""
RETRY_AFTER_MAX_S = 24 * 3600.0


def next_wait_s(schedule_s: Sequence[float], tries: int, *, retry_after_s: float | None, chance: float) -> float | None:
    """Seconds until the next attempt after `tries` failed ones, or None when the schedule is used up.

    A `Retry-After` can lengthen the wait up to a day but never shorten it: a target that always asks
    for one second would otherwise use up the schedule in a few. `chance` is uniform in [0, 1).
    """
    if tries > len(schedule_s):
        return None
    wait_s = schedule_s[tries - 1] * (1 + JITTER * chance)
    if retry_after_s is not None:
        wait_s = max(wait_s, min(retry_after_s, RETRY_AFTER_MAX_S))
    return wait_s


def parse_retry_after(value: str, now_s: float) -> float | None:
    """Seconds from a `Retry-After` value, either form of RFC 9110 §10.2.3; None for what is neither."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError, OverflowError):  # targets may send anything
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.fromtimestamp(now_s, UTC)).total_seconds())
