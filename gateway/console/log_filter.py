"""What a viewer wants to see of the log: read from the address of the page, and written into addresses again.

Invariant: a filter is checked by the API's own model. One that is wrong shows the field and what is wrong with it, and
an empty list: never attempts that were not asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from multidict import MultiMapping

from gateway.admin.auth import Principal, Tenants, listed_tenant
from gateway.admin.logs import attempt_filter
from gateway.admin.read_schemas import LogQuery
from gateway.console.forms import field_errors
from gateway.console.zone import Zone
from gateway.errors import FieldError, Problem
from gateway.http import invalid, parse
from gateway.store.attempt_log import AttemptFilter

FIELDS = ("event", "webhook_id", "outcome", "status", "call_id", "account_id", "event_id", "tenant")
PERIODS: Mapping[str, str] = {
    "1h": "Last hour",
    "24h": "Last 24 hours",
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "Last 7 days",
    "all": "All that is kept",
    "range": "From … to …",
}
PERIOD = "24h"
"""Unless another one is asked for."""
_SPANS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}


@dataclass(frozen=True, slots=True)
class LogFilter:
    """`wanted` is None where something is wrong; `errors` says what, by field. `values` are as they were typed."""

    values: Mapping[str, str]
    begin: datetime | None
    end: datetime | None
    errors: Mapping[str, str]
    wanted: AttemptFilter | None

    @property
    def period(self) -> str:
        return self.values.get("period", PERIOD)

    @property
    def is_narrow(self) -> bool:
        """Whether anything beside the period limits what is shown."""
        return any(name in self.values for name in FIELDS)

    def query(self, **changes: str | None) -> str:
        """The filter as the query of an address, with some values changed; None takes one out."""
        values = {**self.values, **changes}
        return urlencode({name: value for name, value in values.items() if value})


def read_filter(query: MultiMapping[str], who: Principal, tenants: Tenants, *, zone: Zone, now: datetime) -> LogFilter:
    """Fields that are unknown are left out, for links may outlive them."""
    values = {name: query.get(name, "").strip() for name in ("period", "from", "to", *FIELDS)}
    values = {name: value for name, value in values.items() if value}
    begin = end = None
    try:
        begin, end = _period(values, zone, now)
        data = {name: values[name] for name in FIELDS if name in values}
        asked = parse(LogQuery, data | _bounds(begin, end))
        wanted = attempt_filter(asked, listed_tenant(who, asked.tenant, tenants))
    except Problem as problem:
        if problem.status != 422:
            raise
        return LogFilter(values, begin, end, field_errors(problem), None)
    return LogFilter(values, begin, end, {}, wanted)


def _period(values: Mapping[str, str], zone: Zone, now: datetime) -> tuple[datetime | None, datetime | None]:
    period = values.get("period", PERIOD)
    if period in _SPANS:
        return now - _SPANS[period], None
    if period == "today":
        return zone.midnight(now), None
    if period == "yesterday":
        return zone.midnight(now, 1), zone.midnight(now)
    if period == "range":
        return _typed(values, "from", zone), _typed(values, "to", zone)
    if period == "all":
        return None, None
    raise invalid(FieldError("period", "choose one of the periods offered"))


def _typed(values: Mapping[str, str], name: str, zone: Zone) -> datetime | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        at = zone.parse(text)
        # A date as an end means that the day belongs to the span, as in the API.
        return zone.midnight(at, -1) if name == "to" and len(text) == len("2026-01-31") else at
    except (ValueError, OverflowError):
        raise invalid(FieldError(name, "choose a day and a time, such as 2026-01-31 12:00")) from None


def _bounds(begin: datetime | None, end: datetime | None) -> dict[str, str]:
    bounds = {"from": begin, "to": end}
    return {name: at.isoformat() for name, at in bounds.items() if at is not None}
