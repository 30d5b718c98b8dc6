"""The event types, and the check that every push must pass: the leaf that both doors and all pages read.

Invariant: nothing here knows a clock, a network or a database, and no other part spells an event type's name.
"""

from gateway.catalog.check import MAX_DEPTH, Checked, check, parse_object
from gateway.catalog.event_types import (
    BY_NAME,
    EVENT_TYPES,
    PERSONAL_FIELDS,
    PUSHED_TYPES,
    EventType,
    Field,
    json_type,
    resolve,
)

__all__ = [
    "BY_NAME",
    "EVENT_TYPES",
    "MAX_DEPTH",
    "PERSONAL_FIELDS",
    "PUSHED_TYPES",
    "Checked",
    "EventType",
    "Field",
    "check",
    "json_type",
    "parse_object",
    "resolve",
]
