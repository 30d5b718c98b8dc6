"""The tables of a simulated PostgreSQL, and what each of the gateway's statements does to them.

The statements are the gateway's own texts (`gateway.store`), each with two halves: what it sees in its snapshot, and
what it changes at its commit, which may be much later. Invariant: what is committed survives every process.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from gateway.ids import ZERO_ID
from gateway.log import EARLIER_MOST
from gateway.model import DeliveryState
from gateway.store import statements as sql
from tests.simulation.kernel import EPOCH_S
from tests.simulation.ledger import Ledger

Row = dict[str, Any]
Rows = list[Row]

EVENT_COLUMNS = ("id", "shard", "tenant_id", "type", "call_key", "account_id", "webhook_ids", "occurred_at", "payload")
DELIVERY_COLUMNS = (
    *("webhook_id", "event_id", "shard", "call_key", "state", "attempts", "tries", "next_at", "wait_until"),
    "replay_id",
)
ATTEMPT_COLUMNS = 20


class Database:
    """What is committed. Ids are canonical text, whose order is that of the UUIDs."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.events: dict[str, Row] = {}
        self.event_ids: list[str] = []
        self.keys: dict[tuple[int, str], Row] = {}
        self.attempts: set[str] = set()
        self.delivered: set[tuple[str, str]] = set()
        self.rows: dict[tuple[str, str], Row] = {}
        self.owner: str | None = None
        self.epoch = 0
        self.expires_at = float("-inf")
        self.watermark = ZERO_ID

    # --- fences ------------------------------------------------------------------------------------------------

    def fence_holds(self, args: Sequence[Any]) -> bool:
        return bool(self.owner == args[0] and self.epoch == args[1])

    def fence(self, args: Sequence[Any]) -> Rows:
        return [{}] if self.fence_holds(args) else []

    # --- the intake's ------------------------------------------------------------------------------------------

    def append(self, args: Sequence[Any], fenced_in: bool) -> Rows:
        if not fenced_in:
            return [{"written": 0}]
        return [{"written": len(self._insert_events(_rows(EVENT_COLUMNS, args[2:11])))}]

    def append_keyed(self, args: Sequence[Any], fenced_in: bool) -> Rows:
        if not fenced_in:
            return []
        new = _rows((*EVENT_COLUMNS, "key", "digest"), args[2:13])
        refuse_bad(new)
        taken = set()
        for row in new:
            if row["key"] is not None and (row["tenant_id"], row["key"]) not in self.keys:
                self.keys[row["tenant_id"], row["key"]] = {
                    **{name: row[name] for name in ("tenant_id", "key", "digest")},
                    "event_id": row["id"],
                }
                taken.add(row["id"])
        return self._insert_events([row for row in new if row["key"] is None or row["id"] in taken])

    def _insert_events(self, new: Rows) -> Rows:
        refuse_bad(new)
        return [{"id": row["id"]} for row in new if self.insert_event(row)]

    def insert_event(self, row: Row) -> bool:
        """ON CONFLICT (id) DO NOTHING."""
        if row["id"] in self.events:
            return False
        row["webhook_ids"] = [id for id in row["webhook_ids"].strip("{}").split(",") if id]
        self.events[row["id"]] = row
        insort(self.event_ids, row["id"])
        self.ledger.committed(row["id"], row["call_key"], row["webhook_ids"], row.get("key"), self.watermark)
        return True

    def first_uses(self, args: Sequence[Any]) -> Rows:
        return [self.keys[asked] for asked in zip(args[0], args[1], strict=True) if asked in self.keys]

    # --- the recorder's ----------------------------------------------------------------------------------------

    def record(self, args: Sequence[Any], _: bool) -> Rows:
        """Not fenced: what was attempted is a fact."""
        self._insert_attempts(args)
        self._tell_successes(args)
        return []

    def _insert_attempts(self, args: Sequence[Any]) -> None:
        columns = args[:ATTEMPT_COLUMNS]
        if any(detail is not None and "\0" in detail for detail in columns[10]):
            raise asyncpg.DataError("invalid byte sequence")
        for id, event_id, webhook_id, test, ok in zip(*(columns[place] for place in (0, 1, 2, 6, 7)), strict=True):
            if self.insert_attempt(id) and ok and not test:
                self.delivered.add((event_id, webhook_id))

    def _tell_successes(self, columns: Sequence[Any]) -> None:
        """A success settles its delivery unless a row stays behind, as that of a process that is fenced out does."""
        for event_id, webhook_id, test, ok in zip(*(columns[place] for place in (1, 2, 6, 7)), strict=True):
            if ok and not test:
                self.ledger.success_committed(event_id, webhook_id, settles=(webhook_id, event_id) not in self.rows)

    def insert_attempt(self, id: str) -> bool:
        """ON CONFLICT (id) DO NOTHING."""
        if id in self.attempts:
            return False
        self.attempts.add(id)
        return True

    def record_and_change(self, args: Sequence[Any], fenced_in: bool) -> Rows:
        self._insert_attempts(args[2:])
        if fenced_in:
            for row in _rows(DELIVERY_COLUMNS, args[22:32]):
                self._upsert(row, by=args[0])
            for key in zip(args[32], args[33], strict=True):
                self.rows.pop(key, None)
                self.ledger.tell("  row of %s at %s removed", key[1], key[0])
        self._tell_successes(args[2:])
        return [{"held": fenced_in}]

    def _upsert(self, new: Row, *, by: str) -> None:
        key = new["webhook_id"], new["event_id"]
        row = self.rows.get(key)
        told = new["state"], new["tries"], new["next_at"].timestamp() - EPOCH_S
        self.ledger.tell("  row of %s at %s: %s after %s tries, due at %.3f", key[1], key[0], *told)
        if row is None:
            self.rows[key] = new
            self.ledger.row_added(by, new["event_id"], new["webhook_id"])
        else:
            attempts = max(row["attempts"], new["attempts"])
            self.rows[key] = {
                **row, "state": new["state"], "attempts": attempts, "tries": new["tries"], "next_at": new["next_at"],
            }  # fmt: skip
        if new["state"] == DeliveryState.FAILED:
            self.ledger.failed_for_good(new["event_id"], new["webhook_id"])

    def replay(self, event_id: str, webhook_id: str, *, now: datetime, wait_until: datetime | None) -> None:
        """What `replay_statements` puts: one that is unsettled already is only made due."""
        event = self.events[event_id]
        row = self.rows.get((webhook_id, event_id))
        if row is None:
            call_key = None if wait_until is None else event["call_key"]
            values = (webhook_id, event_id, event["shard"], call_key, "queued", 0, 0, now, wait_until, None)
            self.rows[webhook_id, event_id] = dict(zip(DELIVERY_COLUMNS, values, strict=True))
        elif row["state"] == DeliveryState.FAILED:
            fresh = {"state": "queued", "tries": 0, "wait_until": wait_until, "next_at": now}
            self.rows[webhook_id, event_id] = {**row, **fresh}
        else:
            self.rows[webhook_id, event_id] = {**row, "next_at": now}

    # --- what is read ------------------------------------------------------------------------------------------

    def existing(self, args: Sequence[Any]) -> Rows:
        return [{"id": id} for id in args[0] if id in self.events]

    def read_unsettled(self, args: Sequence[Any]) -> Rows:
        page = [self.events[id] for id in self.event_ids if id > args[0]][: args[1]]
        return [{**event, "open_ids": self._open_ids(event)} for event in page]

    def _open_ids(self, event: Row) -> list[str]:
        id = event["id"]
        return [w for w in event["webhook_ids"] if (id, w) not in self.delivered and (w, id) not in self.rows]

    def load_due(self, args: Sequence[Any]) -> Rows:
        found: Rows = []
        for number, (webhook_id, state, *after, most) in enumerate(zip(*args[:5], strict=True), 1):
            rows = sorted(self.waiting(webhook_id), key=lambda row: (row["next_at"], row["event_id"]))
            page = [row for row in rows if row["state"] == state and row["next_at"] <= args[5]]
            page = [row for row in page if (row["next_at"], row["event_id"]) > tuple(after)]
            found += [self._due(row, number) for row in page[:most]]
        for webhook_id, call_key in zip(args[6], args[7], strict=True):
            rows = [row for row in self._of_call(webhook_id, call_key)[:EARLIER_MOST] if row["next_at"] <= args[5]]
            found += [self._due(row, 0) for row in rows]
        self.ledger.tell("  load finds due: %s", [(row["event_id"], row["webhook_id"]) for row in found])
        return found

    def _of_call(self, webhook_id: str, call_key: str) -> Rows:
        rows = (row for row in self.waiting(webhook_id) if row["call_key"] == call_key)
        return sorted(rows, key=lambda row: str(row["event_id"]))

    def _due(self, row: Row, number: int) -> Row:
        same = [] if row["call_key"] is None else self._of_call(row["webhook_id"], row["call_key"])
        earlier = [each["event_id"] for each in same if each["event_id"] < row["event_id"]]
        return {**row, "number": number, "earlier": earlier[:EARLIER_MOST]}

    def read_events(self, args: Sequence[Any]) -> Rows:
        return [self.events[id] for id in args[0] if id in self.events]

    def waiting(self, webhook_id: str) -> Rows:
        return [row for row in self.rows.values() if row["webhook_id"] == webhook_id and row["state"] != "failed"]

    def remaining(self, args: Sequence[Any]) -> Rows:
        return self.waiting(args[0])[: args[1]]

    def with_backlog(self, args: Sequence[Any]) -> Rows:
        return [{"webhook_id": id} for id in args[0] if self.waiting(id)]

    def last_event_id(self, _: Sequence[Any]) -> Rows:
        return [{"id": self.event_ids[-1]}] if self.event_ids else []


READS: dict[str, str] = {
    sql.FENCE_HOLDS: "fence",
    sql.FIRST_USES: "first_uses",
    sql.EXISTING: "existing",
    sql.READ_UNSETTLED: "read_unsettled",
    sql.LOAD_DUE: "load_due",
    sql.READ_EVENTS: "read_events",
    sql.REMAINING: "remaining",
    sql.WITH_BACKLOG: "with_backlog",
    sql.LAST_EVENT_ID: "last_event_id",
}
WRITES: dict[str, str] = {
    sql.APPEND: "append",
    sql.APPEND_KEYED: "append_keyed",
    sql.RECORD: "record",
    sql.RECORD_AND_CHANGE: "record_and_change",
}


def _rows(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> Rows:
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def refuse_bad(new: Rows) -> None:
    if any(b"bad row" in row["payload"] for row in new):
        raise asyncpg.DataError("invalid byte sequence")
