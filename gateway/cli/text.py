"""Text for people: what strangers wrote made safe to print, times and durations as they are typed and read.

Names, payloads and answers of targets come from outside; printed raw, their control characters would
drive the terminal. Everything that is shown passes `printable` first.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?")
_UNIT_S = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def printable(text: str, *, lines: bool = False) -> str:
    """The text with control, direction and surrogate characters spelled out; `lines` lets newline and tab pass."""
    pattern = _CONTROL_BUT_LINES if lines else _CONTROL
    return pattern.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def duration_s(text: str) -> float:
    """Seconds in `90`, `15m`, `2h`, `7d` or `1h30m`. Raises ValueError with a sentence that says what is allowed."""
    compact = text.strip().lower()
    parts = list(_DURATION.finditer(compact))
    if not parts or "".join(part.group() for part in parts) != compact:
        raise ValueError(f"'{printable(text)}' is not a duration: write 30s, 15m, 2h, 7d or 1h30m.")
    return sum(float(part[1]) * _UNIT_S[part[2]] for part in parts)


def moment(text: str, *, now: datetime) -> str:
    """A time as the API takes it (RFC 3339 or a date). A duration is that long before `now`; a time without
    a zone is one of `now`'s zone. Raises ValueError with a sentence that says what is allowed.
    """
    if text[:1].isdigit() and text[-1:].isalpha() and "-" not in text:
        return _utc(now - timedelta(seconds=duration_s(text)))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"'{printable(text)}' is not a time: write 2026-01-31, 2026-01-31T09:30:00Z, or 2h for two hours ago."
        ) from None
    if len(text) == len("2026-01-31"):
        return text
    return _utc(at if at.tzinfo else at.replace(tzinfo=now.tzinfo))


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def local_time(value: object, *, millis: bool = False) -> str:
    """An API time in the zone of who reads it; whatever is not a time is shown as it is."""
    try:
        at = datetime.fromisoformat(str(value)).astimezone()
    except ValueError:
        return printable(str(value))
    return at.isoformat(sep=" ", timespec="milliseconds" if millis else "seconds")[: 23 if millis else 19]


def millis(value: object) -> str:
    """A duration in ms with the digits that matter to a reader."""
    if not isinstance(value, int | float):
        return ""
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"
