"""Targets that mean harm: each is cut off at a limit, and none of them costs more than its own attempt."""

from __future__ import annotations

import pytest

from gateway.delivery.transport import RESPONSE_BODY_LIMIT, RESPONSE_HEADER_LIMIT, RESPONSE_WIRE_LIMIT
from gateway.model import ErrorKind

from .caller import Caller, Listen
from .target import OK, Peer, Script, answering

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def endless(begin: bytes, rest: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(begin)
        await peer.endless(rest)

    return script


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n", id="with a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="until it closes"),
    ],
)
async def test_an_endless_body_is_cut_and_the_connection_closed(caller: Caller, listen: Listen, begin: bytes) -> None:
    target = await listen(endless(begin, b"x" * 5000))

    outcome = await caller.start(target)

    assert outcome.ok
    assert outcome.response is not None
    assert outcome.response.body == b"x" * RESPONSE_BODY_LIMIT
    assert outcome.response.truncated
    await target.until(lambda: target.open == 0)


async def test_endless_chunks_are_cut_and_the_connection_closed(caller: Caller, listen: Listen) -> None:
    target = await listen(endless(CHUNKED, b"1000\r\n" + b"y" * 4096 + b"\r\n"))

    outcome = await caller.start(target)

    assert outcome.ok
    assert outcome.response is not None
    assert outcome.response.body == b"y" * RESPONSE_BODY_LIMIT
    assert outcome.response.truncated
    await target.until(lambda: target.open == 0)


@pytest.mark.parametrize(("size", "truncated"), [(RESPONSE_BODY_LIMIT, False), (RESPONSE_BODY_LIMIT + 1, True)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_the_limit_is_whole_and_one_byte_more_is_not(
    caller: Caller, listen: Listen, size: int, truncated: bool, chunked: bool
) -> None:
    body = b"z" * size
    framed = CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    sized = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (size, body)
    target = await listen(answering(framed if chunked else sized, OK))

    outcome = await caller.start(target)

    assert outcome.response is not None
    assert len(outcome.response.body) == RESPONSE_BODY_LIMIT
    assert outcome.response.truncated is truncated
    assert (await caller.start(target)).ok


@pytest.mark.parametrize(
    ("begin", "rest"),
    [
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="endless interim answers"),
        pytest.param(CHUNKED + b"1", b";ext=" + b"e" * 500, id="an endless chunk extension"),
        pytest.param(CHUNKED, b"1;" + b"e" * 500 + b"\r\nx\r\n", id="endless chunk extensions"),
        pytest.param(CHUNKED, b"1\r\nx\r\n", id="endless chunks of one byte"),
        pytest.param(CHUNKED + b"0\r\n", b"x-trailer: 1\r\n", id="endless trailers"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n", id="endless headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx-long: ", b"v" * 1000, id="an endless header"),
        pytest.param(b"HTTP/1.1 200 ", b"O" * 1000, id="an endless reason"),
    ],
)
async def test_what_never_ends_and_says_nothing_stops_at_a_budget(
    caller: Caller, listen: Listen, begin: bytes, rest: bytes
) -> None:
    target = await listen(endless(begin, rest * 20))

    outcome = await caller.start(target)

    assert (outcome.response, outcome.error) == (None, ErrorKind.PROTOCOL)
    await target.until(lambda: target.open == 0)


async def test_a_header_section_beyond_the_limit_is_refused_even_if_it_ends(caller: Caller, listen: Listen) -> None:
    flood = b"".join(b"x-%d: %b\r\n" % (i, b"v" * 400) for i in range(RESPONSE_HEADER_LIMIT // 200))

    outcome = await caller.start(await listen(answering(b"HTTP/1.1 200 OK\r\n" + flood + b"\r\n")))

    assert outcome.error is ErrorKind.PROTOCOL


async def test_an_endless_chunk_extension_after_enough_body_does_not_spoil_the_answer(
    caller: Caller, listen: Listen
) -> None:
    size = RESPONSE_BODY_LIMIT + 1
    target = await listen(endless(CHUNKED + b"%x\r\n" % size + b"x" * size + b"\r\n1;", b"e" * RESPONSE_WIRE_LIMIT))

    outcome = await caller.start(target)

    assert outcome.response is not None
    assert outcome.response.truncated
