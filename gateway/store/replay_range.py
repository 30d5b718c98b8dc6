"""Which deliveries of one webhook a replay is about, as questions to the store: how many, and the next few.

A replay goes through the rows of one index in the order of their ids (what failed, what was accepted, or what was
attempted), some at a time, and replays those of them that its filter lets through. Invariant: a step looks at no more
rows than it was told, however few of them match; and none is gone through twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.store.conditions import Conditions

PeriodOf: TypeAlias = Literal["events", "attempts"]
"""What a period bounds: when events were accepted, or when they were attempted, as in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRange:
    """All limits must hold; None is no limit. `from_id` is included in the period, `before_id` is not.

    Without a webhook it is about all of the tenant's to which the events went. `ok` and `statuses` (the first and the
    last) ask for at least one such attempt.
    """

    tenant_id: int
    from_id: str
    before_id: str
    only_failed: bool
    period_of: PeriodOf = "events"
    webhook_id: str | None = None
    event_type: str | None = None
    ok: bool | None = None
    statuses: tuple[int, int] | None = None
    call_key: str | None = None
    account_id: str | None = None

    @property
    def is_handful(self) -> bool:
        """The few events of a call are looked up at once, and not gone through."""
        return self.call_key is not None


def count_sql(what: ReplayRange, webhook_id: str) -> tuple[str, Conditions]:
    """How many deliveries of this webhook it is about."""
    conditions = Conditions()
    source, event_id, _ = _walked(what, webhook_id, conditions)
    _select(what, webhook_id, conditions)
    return f"SELECT count(DISTINCT {event_id}) FROM {source} {conditions.where}", conditions  # noqa: S608 (no input in it)


def edge_sql(what: ReplayRange, webhook_id: str, *, after_id: str, walk: int) -> tuple[str, Conditions]:
    """The id at which the next step ends; no row where fewer than `walk` are left."""
    conditions = Conditions()
    source, _, id = _walked(what, webhook_id, conditions)
    conditions.add(id + " > {}::uuid", after_id)
    return f"SELECT {id} FROM {source} {conditions.where} ORDER BY {id} OFFSET {walk - 1:d} LIMIT 1", conditions  # noqa: S608 (no input in it)


def step_sql(what: ReplayRange, webhook_id: str, *, after_id: str, last_id: str | None) -> tuple[str, Conditions]:
    """The ids of the events to replay, of the rows above one id and up to another."""
    conditions = Conditions()
    source, event_id, id = _walked(what, webhook_id, conditions)
    conditions.add(id + " > {}::uuid", after_id)
    if last_id is not None:
        conditions.add(id + " <= {}::uuid", last_id)
    _select(what, webhook_id, conditions)
    if source == ATTEMPTS:
        _once(what, conditions)
    return f"SELECT {event_id} AS event_id FROM {source} {conditions.where}", conditions  # noqa: S608 (no input in it)


FAILED = "deliveries AS d"
EVENTS = "events AS e"
ATTEMPTS = "attempts AS a"


def _walked(what: ReplayRange, webhook_id: str, conditions: Conditions) -> tuple[str, str, str]:
    """What is gone through: the table, its column of event ids, and the id that gives the order."""
    if what.only_failed:
        conditions.add("d.webhook_id = {}::uuid AND d.state = 'failed'", webhook_id)
        conditions.add("d.event_id < {}::uuid", what.before_id)
        if what.period_of == "events":
            conditions.add("d.event_id >= {}::uuid", what.from_id)
        return FAILED, "d.event_id", "d.event_id"
    if what.period_of == "events":
        conditions.add("e.id >= {}::uuid AND e.id < {}::uuid", what.from_id, what.before_id)
        return EVENTS, "e.id", "e.id"
    conditions.add(
        "a.webhook_id = {}::uuid AND a.id >= {}::uuid AND a.id < {}::uuid", webhook_id, what.from_id, what.before_id
    )
    if what.ok is False or (what.statuses is not None and what.statuses[0] >= 300):
        conditions.add("NOT a.ok")  # which has an index
    return ATTEMPTS, "a.event_id", "a.id"


def _select(what: ReplayRange, webhook_id: str, conditions: Conditions) -> None:
    """Which of the rows that are gone through match."""
    if what.only_failed:
        conditions.add(_exists(EVENTS, "e.id = d.event_id", _event(what, conditions)))
        if asked := _attempt(what, conditions, "t"):
            conditions.add(_exists("attempts AS t", _same("t", "d"), asked))
    elif what.period_of == "events":
        conditions.add(_event(what, conditions))
        conditions.add(_matched(what, webhook_id, conditions))
        if asked := _attempt(what, conditions, "t"):
            hook = conditions.place(webhook_id)
            same = f"t.event_id = e.id AND t.webhook_id = {hook}::uuid AND NOT t.test"
            conditions.add(_exists("attempts AS t", same, asked))
    else:
        conditions.add("a.tenant_id = {} AND NOT a.test", what.tenant_id)
        if what.event_type is not None:
            conditions.add("a.event_type = {}", what.event_type)
        if asked := _attempt(what, conditions, "a"):
            conditions.add(asked)
        if what.call_key is not None:
            conditions.add(
                "a.event_id = ANY(ARRAY(SELECT e.id FROM events AS e WHERE e.call_key = {} AND e.tenant_id = {}))",
                what.call_key,
                what.tenant_id,
            )
        if what.account_id is not None:
            conditions.add("(SELECT e.account_id FROM events AS e WHERE e.id = a.event_id) = {}", what.account_id)


def _event(what: ReplayRange, conditions: Conditions) -> str:
    asked = [f"e.tenant_id = {conditions.place(what.tenant_id)}"]
    for column, value in (("type", what.event_type), ("call_key", what.call_key), ("account_id", what.account_id)):
        if value is not None:
            asked.append(f"e.{column} = {conditions.place(value)}")
    return " AND ".join(asked)


def _attempt(what: ReplayRange, conditions: Conditions, name: str) -> str:
    """What is asked of an attempt, called `name`; nothing where any will do, and none need be."""
    asked = []
    if what.period_of == "attempts":
        first, before = conditions.place(what.from_id), conditions.place(what.before_id)
        asked.append(f"{name}.id >= {first}::uuid AND {name}.id < {before}::uuid")
    if what.ok is not None:
        asked.append(f"{name}.ok" if what.ok else f"NOT {name}.ok")
    if what.statuses is not None:
        first, last = (conditions.place(status) for status in what.statuses)
        asked.append(f"{name}.status BETWEEN {first} AND {last}")
    return " AND ".join(asked)


def _matched(what: ReplayRange, webhook_id: str, conditions: Conditions) -> str:
    """The webhook matched the event when it was accepted; one that is named may also match it only now."""
    hook = conditions.place(webhook_id)
    matched = f"{hook}::uuid = ANY (e.webhook_ids)"
    if what.webhook_id is None:
        return matched
    return f"({matched} OR {_exists('webhooks AS w', f'w.id = {hook}::uuid', 'e.type = ANY (w.events)')})"


def _once(what: ReplayRange, conditions: Conditions) -> None:
    """A delivery was attempted many times: it is taken at the first attempt that matches, and never again."""
    asked = _attempt(what, conditions, "b")
    conditions.add("NOT " + _exists("attempts AS b", _same("b", "a"), f"b.id < a.id AND {asked}"))


def _exists(source: str, joined: str, asked: str) -> str:
    return f"EXISTS (SELECT 1 FROM {source} WHERE {joined} AND {asked})"  # noqa: S608 (no input in it)


def _same(name: str, other: str) -> str:
    """These attempts are of the delivery that the other row is about."""
    return f"{name}.event_id = {other}.event_id AND {name}.webhook_id = {other}.webhook_id AND NOT {name}.test"
