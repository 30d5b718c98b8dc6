"""What a switch sends: which event comes next, and its bytes.

Invariant: a step of a call is never sent before the step before it was answered 202, so the order in which the
gateway accepted the steps of one call is known without asking it.
"""

from __future__ import annotations

import json
from collections import deque
from typing import NamedTuple

from gateway.catalog.event_types import BY_NAME

STEPS = ("call.created", "call.ended", "call.saved")
DECLINED = "reg_f.declined"
DECLINED_RANK = len(STEPS)
"""Stands where a call's step would; such an event belongs to no call."""
TYPES = (*STEPS, DECLINED)

FIRST_CALL_ID = 1_000_000_000
DECLINED_EVERY = 10
"""One event in so many is a Regulation F Declined."""


class Step(NamedTuple):
    """One event to send: its place in `TYPES`, and its call (of a Declined, which has none, any number)."""

    rank: int
    call_id: int


class Traffic:
    """Decides what comes next: the steps of many calls, interleaved, with a Declined now and then.

    `spread` is how many calls are open before the first of them takes its next step: 0 sends Created, Ended and
    Saved of one call back to back, which no real switch does and which is hardest on whatever keeps order.
    """

    def __init__(self, *, spread: int, first_call_id: int = FIRST_CALL_ID) -> None:
        self._spread = spread
        self._next_call_id = first_call_id
        self._open: deque[Step] = deque()
        self._made = 0

    def next(self) -> Step:
        self._made += 1
        if self._made % DECLINED_EVERY == 0:
            return Step(DECLINED_RANK, self._made)
        if len(self._open) > self._spread:
            return self._open.popleft()
        call_id = self._next_call_id
        self._next_call_id += 1
        return Step(0, call_id)

    def accepted(self, step: Step) -> None:
        """The gateway answered 202: the call may take its next step. A step that was refused ends its call."""
        if step.rank < len(STEPS) - 1:
            self._open.append(Step(step.rank + 1, step.call_id))


class Payloads:
    """Renders payloads from the published samples, compact, with the time of sending as one more member.

    `sent_ns` is read off `time.monotonic_ns()`, which all processes of one machine share.
    """

    def __init__(self) -> None:
        self._templates = tuple(_template(type) for type in TYPES)

    def render(self, step: Step, sent_ns: int) -> bytes:
        if step.rank == DECLINED_RANK:
            return self._templates[step.rank] % sent_ns
        return self._templates[step.rank] % (step.call_id, sent_ns)

    def render_envelope(self, step: Step, sent_ns: int, tenant: bytes | None = None) -> bytes:
        """The payload inside `{"type", "data"}`, as `POST /v1/events` and the batch take it."""
        payload = self.render(step, sent_ns)
        type = TYPES[step.rank].encode()
        if tenant is None:
            return b'{"type":"%b","data":%b}' % (type, payload)
        return b'{"type":"%b","tenant":"%b","data":%b}' % (type, tenant, payload)


def _template(type: str) -> bytes:
    """The sample of a type with a place for the call's id, where it has one, and one for the time of sending."""
    members = json.loads(BY_NAME[type].sample)
    is_call = members.pop("call_id", None) is not None
    rest = json.dumps(members, separators=(",", ":")).encode().replace(b"%", b"%%")
    head = b'{"call_id":%d,"sent_ns":%d,' if is_call else b'{"sent_ns":%d,'
    return head + rest[1:]
