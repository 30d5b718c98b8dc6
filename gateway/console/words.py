"""How pages say times, durations and events: the template filters.

Invariant: nothing here depends on who looks; what does, their time zone, is in `zone.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.audit_detail import without_query
from gateway.catalog import BY_NAME
from gateway.model import Webhook

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def iso(at: datetime) -> str:
    """For a machine: `<time datetime>`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ago(at: datetime) -> str:
    """How long ago, or how far ahead, in one unit: `3 min ago`, `in 2 d`."""
    seconds = round((datetime.now(UTC) - at).total_seconds())
    if seconds == 0:
        return "just now"
    text = duration(abs(seconds), parts=1)
    return f"{text} ago" if seconds > 0 else f"in {text}"


def duration(seconds: float, parts: int = 2) -> str:
    """Its largest units: `1 h 30 min`, `2.5 s`, `250 ms`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 10:
        return f"{seconds:.3g} s"
    said, left = [], round(seconds)
    for size, unit in UNITS:
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {unit}")
    return " ".join(said[:parts])


def percent(share: float | None) -> str:
    """Never rounded up to all of it."""
    return "–" if share is None else f"{int(share * 1_000) / 10:g} %"


def webhook_title(webhook: Webhook) -> str:
    """Its name, or where it goes to; without the query, where targets like to have their keys."""
    return webhook.name or without_query(webhook.url)


def event_title(name: str) -> str:
    """`Call Created` for `call.created`; a name that the catalog does not know stays as it is."""
    known = BY_NAME.get(name)
    return known.title if known else name
