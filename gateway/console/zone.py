"""The viewer's time zone: times as their clock shows them, and what they type understood as that clock's.

The browser says its zone in a cookie, which a script of ours keeps up to date. Invariant: a page that shows times by
this names the zone; who has said none, or one that is not known here, gets UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from aiohttp import web

COOKIE = "gateway-zone"
NAME_CHARS = 64


class Zone:
    """`name` as the tz database spells it."""

    def __init__(self, name: str = "UTC", zone: tzinfo = UTC) -> None:
        self.name = name
        self._zone = zone

    @classmethod
    def of(cls, request: web.Request) -> Zone:
        name = request.cookies.get(COOKIE, "")
        if not name or len(name) > NAME_CHARS:
            return cls()
        try:
            return cls(name, ZoneInfo(name))
        except (KeyError, ValueError, OSError):  # no such zone, or no name of one
            return cls()

    def local(self, at: datetime) -> datetime:
        return at.astimezone(self._zone)

    def label(self, at: datetime | None = None) -> str:
        """`Europe/Berlin, UTC+1`: at that time, or now."""
        minutes = round((self.local(at or datetime.now(UTC)).utcoffset() or timedelta()).total_seconds() / 60)
        if self.name == "UTC":
            return "UTC"
        hours, rest = divmod(abs(minutes), 60)
        return f"{self.name}, UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")

    def day(self, at: datetime) -> str:
        return f"{self.local(at):%d %b %Y}".removeprefix("0")

    def clock(self, at: datetime) -> str:
        """To the millisecond."""
        local = self.local(at)
        return f"{local:%H:%M:%S}.{local.microsecond // 1000:03}"

    def second(self, at: datetime) -> str:
        """`23 Nov 2026, 19:41:05`."""
        return f"{self.day(at)}, {self.local(at):%H:%M:%S}"

    def moment(self, at: datetime) -> str:
        return f"{self.day(at)}, {self.clock(at)}"

    def field(self, at: datetime) -> str:
        """The value of an input of type `datetime-local`."""
        return f"{self.local(at):%Y-%m-%dT%H:%M}"

    def midnight(self, now: datetime, days_ago: int = 0) -> datetime:
        """The beginning of today, or of a day before, by this zone's clock; days differ in length."""
        day = self.local(now).date() - timedelta(days=days_ago)
        return datetime.combine(day, time(), self._zone).astimezone(UTC)

    def parse(self, text: str) -> datetime:
        """What was typed: a time without a zone, or a date, which is its first moment. ValueError where it is none."""
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=self._zone)
        return at.astimezone(UTC)
