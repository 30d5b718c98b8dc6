"""One attempt as its page shows it: the request and the response as text, why it failed, and the same as a command.

Invariant: it is made from what the API shows to the same viewer, so nothing is shown here that is masked there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from gateway.admin import present
from gateway.admin.read_schemas import AttemptInFullOut
from gateway.console.json_view import Token, tokens, visible
from gateway.delivery.diagnosis import Diagnosis
from gateway.delivery.masking import STARS
from gateway.store.attempt_log import AttemptInFull

PLACEHOLDER = "YOUR-CREDENTIAL"
"""Stands in a command where the attempt carried a credential: a masked one would be refused."""
_MASKED = re.compile(r"\S*" + re.escape(STARS))


PHASE_WORDS = {
    "queued": "Waiting for a connection",
    "dns": "Looking the name up",
    "connect": "Connecting",
    "tls": "Securing the connection",
    "wait": "Waiting for the answer",
    "read": "Reading the answer",
}


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the attempt's time: `start` and `share` of the whole are in percent. A failed attempt ended in its
    last one."""

    name: str
    words: str
    seconds: float
    start: float
    share: float
    failed: bool


@dataclass(frozen=True, slots=True)
class EntryView:
    """`request` is the text `{"headers": {…}, "json": {…}}`; its tokens are the same, in colours."""

    out: AttemptInFullOut
    diagnosis: Diagnosis | None
    detail: str | None
    request: str
    request_tokens: list[Token]
    response: str
    response_tokens: list[Token]
    response_headers: list[tuple[str, str]]
    curl: str
    call_id: str | None
    phases: list[Phase]


def entry_view(found: AttemptInFull, *, phones: bool) -> EntryView:
    out = present.attempt_in_full(found, phones=phones)
    body = _body(out)
    request = request_text(out.request.headers, body)
    response = out.response.body if out.response else ""
    return EntryView(
        out=out,
        diagnosis=present.diagnosis(found.record),
        detail=None if found.record.detail is None else visible(found.record.detail),
        request=request,
        request_tokens=tokens(request),
        response=response,
        response_tokens=tokens(response),
        response_headers=[(visible(name), visible(value)) for name, value in out.response.headers.items()]
        if out.response
        else [],
        curl=_curl(out, body),
        call_id=_call_id(found.payload),
        phases=_phases(out),
    )


def _phases(out: AttemptInFullOut) -> list[Phase]:
    whole_ms = sum(out.phases_ms.values()) or 1.0
    phases: list[Phase] = []
    start = 0.0
    for name, ms in out.phases_ms.items():
        share = ms / whole_ms * 100
        failed = out.response is None and len(phases) == len(out.phases_ms) - 1
        phases.append(Phase(name, PHASE_WORDS[name], ms / 1000, start, share, failed))
        start += share
    return phases


def request_text(headers: Mapping[str, str], body: str | None) -> str:
    """The body stands in it as it was sent: number spelling, key order, escapes."""
    return f'{{"headers":{orjson.dumps(headers).decode()},"json":{body or "null"}}}'


def _body(out: AttemptInFullOut) -> str | None:
    return None if out.request.sent is None else orjson.dumps(out.request.sent).decode("utf-8", "replace")


def _curl(out: AttemptInFullOut, body: str | None) -> str:
    """A command that sends it again, with a placeholder for each credential."""
    lines = [f"curl -X {shlex.quote(out.request.method)} {shlex.quote(_MASKED.sub(PLACEHOLDER, out.request.url))}"]
    for name, value in out.request.headers.items():
        if name.lower() not in ("host", "content-length", "connection"):
            lines.append(f"  -H {shlex.quote(f'{name}: {_MASKED.sub(PLACEHOLDER, value)}')}")
    if body is not None:
        lines.append(f"  --data-raw {shlex.quote(body.replace(STARS, PLACEHOLDER))}")
    return visible(" \\\n".join(lines))


def _call_id(payload: bytes | None) -> str | None:
    data = None if payload is None else orjson.loads(payload)
    call_id = data.get("call_id") if isinstance(data, dict) else None
    return None if call_id is None else str(call_id)
