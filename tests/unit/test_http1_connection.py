"""The fast transport's connection under every stream of bytes that a target may think of, cut anywhere."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.delivery.http1.attempt import Attempt, Deadlines
from gateway.delivery.http1.connection import Connection, State
from gateway.delivery.transport import (
    RESPONSE_BODY_LIMIT,
    RESPONSE_HEADER_LIMIT,
    RESPONSE_WIRE_LIMIT,
    Request,
    Target,
)
from gateway.model import ErrorKind, Outcome, Response

TARGET = Target("http", "target.test", 80, "target.test", "/")
REQUEST = Request("POST", TARGET, b"", b"{}", 10.0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

FRAGMENTS = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 204 No\r\n",
    b"HTTP/1.1 100 Go\r\n\r\n",
    b"HTTP/1.0 404 \r\n",
    b"HTTP/1.1 101 X\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 99999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Upgrade: x\r\n",
    b"X: y\r\n",
    b" folded\r\n",
    b"X: y\n",
    b"X: " + b"v" * 9000 + b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"ok",
    b"2\r\nok\r\n",
    b"0\r\n\r\n",
    b"1;a=b\r\n",
    b"ffffffffffffffff1\r\n",
    b"\x00",
    b"z" * 5000,
    b"1\r\nz\r\n" * 3000,
    b"X: y\r\n" * 3000,
    OK,
    CHUNKED,
]
streams = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=20)), max_size=12).map(b"".join)
cuts = st.lists(st.integers(0, 100_000), max_size=8)


class Socket:
    """What a connection needs of an asyncio transport."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.unwritten_bytes = 0
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.is_aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unwritten_bytes


class Unwatched(Deadlines):
    """Deadlines that never pass; it counts the attempts that it has been told to forget."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten = 0

    def watch(self, attempt: Attempt) -> None:
        pass

    def forget(self, attempt: Attempt) -> None:
        self.forgotten += 1


class Line:
    """A connection, its owner, and what became of its attempts."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.deadlines = Unwatched()
        self.outcomes: list[Outcome] = []
        self.resent: list[Attempt] = []
        self.released_times = 0
        self.closed_times = 0
        self.connection = Connection(self, TARGET, retire_at_s=0)
        self.connection.connection_made(cast(asyncio.Transport, self.socket))

    def released(self, connection: Connection) -> None:
        assert connection.state is State.IDLE
        self.released_times += 1

    def closed(self, connection: Connection) -> None:
        self.closed_times += 1

    def resend(self, attempt: Attempt) -> None:
        self.resent.append(attempt)

    def ask(self) -> Attempt:
        attempt = Attempt(REQUEST, b"request", self.outcomes.append, self.deadlines)
        self.connection.carry(attempt)
        return attempt

    def feed(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            if self.connection.state is State.CLOSED:
                break  # the event loop delivers nothing after an abort
            self.connection.data_received(part)


def cut(stream: bytes, at: Sequence[int]) -> list[bytes]:
    points = sorted({0, len(stream), *(point % (len(stream) + 1) for point in at)})
    return [stream[begin:end] for begin, end in itertools.pairwise(points)]


def verdict(outcome: Outcome) -> tuple[object, ...]:
    """What must not depend on how the stream was cut, nor on the time."""
    return outcome.response, outcome.error


@settings(max_examples=1000)
@given(streams, cuts, st.sampled_from([None, ConnectionResetError()]))
def test_an_attempt_ends_once_whatever_comes_and_the_limits_are_kept(
    stream: bytes, at: list[int], ending: Exception | None
) -> None:
    line = Line()
    line.ask()

    line.feed(cut(stream, at))
    line.connection.connection_lost(ending)

    [outcome] = line.outcomes
    assert line.deadlines.forgotten == line.closed_times == 1
    assert line.connection.state is State.CLOSED
    assert (outcome.response is None) is (outcome.error is not None)
    if outcome.response is not None:
        assert len(outcome.response.body) <= RESPONSE_BODY_LIMIT
        assert sum(len(name) + len(value) for name, value in outcome.response.headers) <= RESPONSE_HEADER_LIMIT
        assert 200 <= outcome.response.status <= 999


@settings(max_examples=1000)
@given(streams, cuts)
@example(CHUNKED + b"4e20\r\n" + b"z" * 20_000 + b"\r\nnot a size", [])
@example(OK + b"HTTP/1.1 500 No\r\n\r\n", [])
@example(CHUNKED + b"1\r\nz\r\n" * 12_000, [])
def test_how_a_stream_is_cut_makes_no_difference(stream: bytes, at: list[int]) -> None:
    whole, pieces, octets = Line(), Line(), Line()
    for line, parts in ((whole, [stream] if stream else []), (pieces, cut(stream, at))):
        line.ask()
        line.feed(parts)
        line.connection.eof_received()
    octets.ask()
    octets.feed(stream[i : i + 1] for i in range(len(stream)))
    octets.connection.eof_received()

    assert verdict(whole.outcomes[0]) == verdict(pieces.outcomes[0]) == verdict(octets.outcomes[0])


@settings(max_examples=1000)
@given(streams, cuts, cuts)
def test_an_idle_connection_gives_the_next_attempt_its_own_answer(
    stream: bytes, at: list[int], at_next: list[int]
) -> None:
    line = Line()
    line.ask()
    line.feed(cut(stream, at))
    if line.connection.state is not State.IDLE:
        assert line.socket.is_aborted is (line.connection.state is State.CLOSED)
        return

    assert line.outcomes[0].response is not None
    assert not line.outcomes[0].response.truncated
    line.ask()
    line.feed(cut(OK, at_next))

    assert line.outcomes[1].response == Response(200, (("content-length", "2"),), b"ok", truncated=False)
    assert line.connection.state is State.IDLE


@given(st.sampled_from([b"", b"H", OK]), st.booleans())
def test_only_a_reused_connection_lost_before_any_answer_is_tried_again(begun: bytes, reset: bool) -> None:
    fresh, reused = Line(), Line()
    reused.ask()
    reused.feed([OK])
    for line in (fresh, reused):
        line.ask()
        line.feed([begun] if begun else [])
        line.connection.connection_lost(ConnectionResetError() if reset else None)

    assert fresh.resent == []
    assert len(reused.resent) == (begun == b"")
    assert len(reused.outcomes) == 2 - len(reused.resent)


def failed(stream: bytes) -> Outcome:
    line = Line()
    line.ask()
    line.feed([stream])
    [outcome] = line.outcomes
    assert line.connection.state is State.CLOSED
    return outcome


AMBIGUOUS = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
    "one length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "chunks and a length": CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare LF": b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n",
    "a bare CR": b"HTTP/1.1 200 OK\r\nX: y\rZ\r\nContent-Length: 0\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 0\r\n\r\n",
    "a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "a length beyond 64 bits": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"ffffffffffffffff1\r\n",
    "a chunk without its end": CHUNKED + b"2\r\nokX\r\n0\r\n\r\n",
}


def test_what_two_readers_could_understand_differently_is_refused() -> None:
    assert {name: failed(stream).error for name, stream in AMBIGUOUS.items()} == dict.fromkeys(
        AMBIGUOUS, ErrorKind.PROTOCOL
    )


def test_an_answer_before_the_request_is_written_ends_the_connection() -> None:
    line = Line()
    line.ask()
    line.socket.unwritten_bytes = 1

    line.feed([OK])

    assert line.outcomes[0].ok
    assert line.connection.state is State.CLOSED


def test_the_limits_are_exact_to_the_byte() -> None:
    filler = b"X: " + b"v" * (RESPONSE_HEADER_LIMIT - len(OK) + len(b"ok") - len(b"X: \r\n")) + b"\r\n"
    largest = OK.replace(b"Content", filler + b"Content")
    line = Line()
    line.ask()
    line.feed([largest])

    assert largest.index(b"\r\n\r\n") + 4 == RESPONSE_HEADER_LIMIT
    assert line.outcomes[0].ok
    assert failed(largest.replace(b"X: ", b"X: v")).error is ErrorKind.PROTOCOL
    assert failed(CHUNKED + b"1;" + b"e" * RESPONSE_WIRE_LIMIT).error is ErrorKind.PROTOCOL


def test_a_dropped_attempt_closes_its_connection_and_hears_no_more() -> None:
    line = Line()
    attempt = line.ask()

    attempt.expire()
    line.connection.connection_lost(None)

    assert [outcome.error for outcome in line.outcomes] == [ErrorKind.TIMEOUT]
    assert line.socket.is_aborted
    assert line.closed_times == 1
