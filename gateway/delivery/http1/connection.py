"""One HTTP/1.1 connection: at most one request at a time, and its answer within the limits.

::

    IDLE ──carry──► BUSY ──the answer is whole, clean and leaves the connection open──► IDLE
      │               │
      │               └── the answer is anything else, a limit, the stream's end, a deadline ──► CLOSED
      └── bytes that nobody asked for, the stream's end, age ──► CLOSED

Invariant: a connection returns to IDLE only if not one byte of the stream is unaccounted for.
"""

from __future__ import annotations

import asyncio
import enum
import time
from typing import Protocol, cast

import httptools

from gateway.delivery import failures
from gateway.delivery.http1.attempt import Attempt
from gateway.delivery.transport import RESPONSE_BODY_LIMIT, RESPONSE_HEADER_LIMIT, RESPONSE_WIRE_LIMIT, Target
from gateway.model import ErrorKind, Outcome, Response

FIRST_FINAL_STATUS = 200
"""Lower ones are interim: another response follows."""


class _AnswerToNoRequest(Exception):
    """A second response came where one had been asked for."""


class State(enum.Enum):
    IDLE = enum.auto()
    BUSY = enum.auto()
    CLOSED = enum.auto()


class Owner(Protocol):
    """Who has connections, and is told what became of them."""

    def released(self, connection: Connection, /) -> None:
        """It is IDLE since `idle_since_s`, and may carry the next attempt at once."""

    def closed(self, connection: Connection, /) -> None:
        """It is CLOSED, and counts no more."""

    def resend(self, attempt: Attempt, /) -> None:
        """The connection had ended before the attempt was sent, as far as one can tell: use a fresh one."""


class Connection(asyncio.Protocol):
    """Made by a dial, which hands it to its owner once it is connected (and secured, where it is TLS)."""

    def __init__(self, owner: Owner, target: Target, retire_at_s: float) -> None:
        self.state = State.IDLE
        self.target = target
        self.retire_at_s = retire_at_s
        self.idle_since_s = 0.0
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._attempt: Attempt | None = None
        self._answers = 0
        self._parser = httptools.HttpResponseParser(self)
        self._sent_s = 0.0
        self._clear()

    def _clear(self) -> None:
        """Forget the last answer."""
        self._budget_bytes = RESPONSE_HEADER_LIMIT
        self._first_byte_s = 0.0
        self._status = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._in_header = True
        self._body = bytearray()
        self._is_whole = False
        self._is_clean = False

    # What the owner does with it.

    def carry(self, attempt: Attempt) -> None:
        """Send the attempt's request, and end the attempt with what comes of it."""
        assert self.state is State.IDLE
        assert self._transport is not None
        self.state = State.BUSY
        self._attempt = attempt
        attempt.carrier = self
        attempt.doing, attempt.phase = ErrorKind.TIMEOUT, "wait"
        self._sent_s = time.monotonic()
        self._transport.write(attempt.wire)

    def drop(self, attempt: Attempt) -> None:
        """The attempt has ended elsewhere; an answer that still comes would be taken for another's."""
        if self._first_byte_s:
            attempt.phases_ms += (("wait", (self._first_byte_s - self._sent_s) * 1000),)
            attempt.phase = "read"
        self._attempt = None
        self.close()

    def abandon(self) -> None:
        """Close it now, and end its attempt if there is one."""
        if self._attempt is not None:
            self._attempt.abandon()
        self.close()

    def close(self) -> None:
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            # The two know each other. Left to the collector, which comes by once in thousands of connections, what
            # hostile targets have sent would be kept until then: 50 MB in two minutes.
            del self._parser
            if self._transport is not None:
                # Not close(): that would wait for a peer that reads nothing, or for its TLS farewell.
                self._transport.abort()
            self._owner.closed(self)

    # What the event loop tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.state is State.CLOSED:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.state is not State.BUSY:
            self.close()
            return
        if not self._first_byte_s:
            self._first_byte_s = time.monotonic()
        failure = self._parse(data)
        if failure is not None:
            self._fail(failure)
        elif self._has_enough():
            self._answer()

    def eof_received(self) -> None:
        self._stream_ended(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._stream_ended(error)

    # What the parser tells it, from within `_feed`.

    def on_message_begin(self) -> None:
        if self._is_whole:
            raise _AnswerToNoRequest  # which stops the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_header:  # else it is a trailer
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= FIRST_FINAL_STATUS:
            self._status = status
            self._in_header = False
            self._budget_bytes += RESPONSE_WIRE_LIMIT - RESPONSE_HEADER_LIMIT

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        if self._in_header:
            self._fields.clear()  # those of an interim response
        else:
            self._is_whole = True
            self._is_clean = self._parser.should_keep_alive()

    # What follows from it.

    def _parse(self, data: bytes) -> failures.Failure | None:
        """Parse what the budget allows, until there is enough; say what is wrong with it, if anything is."""
        try:
            while data:
                if self._has_enough():
                    self._is_clean = False
                    break
                part = data[: self._budget_bytes]
                if not part:
                    return self._over_budget()
                self._budget_bytes -= len(part)
                self._parser.feed_data(part)
                data = data[len(part) :]
        except httptools.HttpParserUpgrade:
            return ErrorKind.PROTOCOL, "the target switched to another protocol"
        except httptools.HttpParserError as error:
            if not self._has_enough():  # else only what is not wanted is wrong
                return ErrorKind.PROTOCOL, f"not an HTTP/1.1 response: {error}"
            self._is_clean = False
        return None

    def _has_enough(self) -> bool:
        return self._is_whole or len(self._body) > RESPONSE_BODY_LIMIT

    def _over_budget(self) -> failures.Failure:
        if self._in_header:
            return ErrorKind.PROTOCOL, f"the response's header is larger than {RESPONSE_HEADER_LIMIT // 1024} KiB"
        return ErrorKind.PROTOCOL, f"the response took more than {RESPONSE_WIRE_LIMIT // 1024} KiB on the wire"

    def _answer(self) -> None:
        """End the attempt with its response, and the connection too unless it can serve another."""
        attempt, transport = self._attempt, self._transport
        assert attempt is not None
        assert transport is not None
        now_s = time.monotonic()
        truncated = len(self._body) > RESPONSE_BODY_LIMIT
        outcome = Outcome(
            int((now_s - attempt.started_s) * 1_000_000),
            Response(
                self._status,
                tuple([(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self._fields]),
                bytes(self._body[:RESPONSE_BODY_LIMIT]),
                truncated,
            ),
            phases_ms=(
                *attempt.phases_ms,
                ("wait", (self._first_byte_s - self._sent_s) * 1000),
                ("read", (now_s - self._first_byte_s) * 1000),
            ),
        )
        self._attempt = attempt.carrier = None
        if self._is_clean and not truncated and not transport.get_write_buffer_size():
            self.state = State.IDLE
            self.idle_since_s = now_s
            self._answers += 1
            self._clear()
            self._owner.released(self)
        else:  # also where the answer came before the request had been read: the rest of it is not wanted
            self.close()
        attempt.end(outcome)

    def _fail(self, failure: failures.Failure) -> None:
        assert self._attempt is not None
        self._attempt.fail(failure)

    def _stream_ended(self, error: Exception | None) -> None:
        attempt = self._attempt
        if attempt is None:
            self.close()
        elif error is None and self._ends_with_the_stream():
            self._is_whole = True
            self._answer()
        elif self._answers and not self._first_byte_s:
            # The target closed the connection while it was idle, as it may; the two have crossed on the wire.
            self._attempt = attempt.carrier = None
            self._owner.resend(attempt)
            self.close()
        else:
            self._fail(failures.of_loss(error, answer_begun=bool(self._first_byte_s)))

    def _ends_with_the_stream(self) -> bool:
        """Whether the body has no other end (RFC 9112 §6.3, rule 8)."""
        if self._in_header:
            return False
        framing = {name.lower(): value.lower() for name, value in self._fields}
        return b"content-length" not in framing and not framing.get(b"transfer-encoding", b"").endswith(b"chunked")
