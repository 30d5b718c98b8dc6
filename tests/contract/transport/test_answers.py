"""What a target may answer, and what comes of it."""

from __future__ import annotations

import pytest

from gateway.model import ErrorKind, Response

from .caller import Caller, Listen
from .target import OK, Peer, answering


def joined(*lines: bytes) -> bytes:
    return b"\r\n".join(lines)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        pytest.param(OK, b"ok", id="with a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"", id="empty"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            b"abcde",
            id="in chunks",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n",
            b"abc",
            id="in chunks with an extension and a trailer",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end", b"to the end", id="until it closes"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nold", b"old", id="in HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", b"ok", id="without a reason"),
    ],
)
async def test_an_answer_is_read_whole_however_it_is_framed(
    caller: Caller, listen: Listen, answer: bytes, body: bytes
) -> None:
    outcome = await caller.start(await listen(answering(answer)))

    assert outcome.ok
    assert outcome.response is not None
    assert (outcome.response.status, outcome.response.body, outcome.response.truncated) == (200, body, False)
    assert outcome.error is None


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_an_answer_that_has_no_body_ends_with_its_header(caller: Caller, listen: Listen, status: bytes) -> None:
    target = await listen(answering(b"HTTP/1.1 " + status + b"\r\n\r\n", OK))

    first = await caller.start(target)
    second = await caller.start(target)

    assert first.response is not None
    assert first.response.body == b""
    assert second.ok
    assert target.connections == 1


async def test_interim_answers_are_skipped(caller: Caller, listen: Listen) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"

    outcome = await caller.start(await listen(answering(interim + OK)))

    assert outcome.response == Response(200, (("content-length", "2"),), b"ok", truncated=False)


async def test_header_names_come_in_lower_case_values_untouched_in_their_order(caller: Caller, listen: Listen) -> None:
    answer = joined(
        b"HTTP/1.1 200 OK", b"X-One: A  b", b"Set-Cookie: a=1", b"SET-COOKIE: b=\xe9", b"Content-Length: 0", b"", b""
    )

    outcome = await caller.start(await listen(answering(answer)))

    assert outcome.response is not None
    assert outcome.response.headers == (
        ("x-one", "A  b"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=\xe9"),
        ("content-length", "0"),
    )


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_reported_and_never_followed(caller: Caller, listen: Listen, status: int) -> None:
    elsewhere = await listen(answering(OK))
    location = f"http://{elsewhere.host}:{elsewhere.port}/".encode()
    answer = b"HTTP/1.1 %d Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, location)

    outcome = await caller.start(await listen(answering(answer)))

    assert not outcome.ok
    assert outcome.response is not None
    assert outcome.response.status == status
    assert elsewhere.connections == 0


@pytest.mark.parametrize("status", [400, 401, 410, 429, 500, 503])
async def test_an_error_status_is_a_response_like_any_other(caller: Caller, listen: Listen, status: int) -> None:
    outcome = await caller.start(await listen(answering(b"HTTP/1.1 %d No\r\ncontent-length: 1\r\n\r\n!" % status)))

    assert not outcome.ok
    assert outcome.error is None
    assert outcome.response == Response(status, (("content-length", "1"),), b"!", truncated=False)


async def test_a_compressed_answer_stays_compressed(caller: Caller, listen: Listen) -> None:
    packed = b"\x1f\x8b\x08\x00not really"
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(packed), packed)

    outcome = await caller.start(await listen(answering(answer)))

    assert outcome.response is not None
    assert outcome.response.body == packed


async def test_a_cookie_is_not_sent_back(caller: Caller, listen: Listen) -> None:
    target = await listen(answering(b"HTTP/1.1 200 OK\r\nset-cookie: a=1; Path=/\r\ncontent-length: 0\r\n\r\n", OK))

    await caller.start(target)
    await caller.start(target)

    assert [request.values(b"cookie") for request in target.received] == [[], []]


async def test_an_answer_cut_into_single_bytes_is_read_whole(caller: Caller, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.trickle(OK, every_s=0)

    outcome = await caller.start(await listen(script))

    assert outcome.response == Response(200, (("content-length", "2"),), b"ok", truncated=False)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"220 mail.test ESMTP\r\n", id="another protocol"),
        pytest.param(b"\x16\x03\x01\x00\xa5\x01\x00\x00", id="TLS on a plain port"),
        pytest.param(b"HTTP/1.1 OK\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", id="a header without a colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok", id="a length that is no number"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", id="a chunk without a size"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", id="a switch unasked"),
    ],
)
async def test_what_is_not_http_is_a_bad_response(caller: Caller, listen: Listen, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await peer.hang()

    target = await listen(script)
    outcome = await caller.start(target)

    assert (outcome.response, outcome.error) == (None, ErrorKind.PROTOCOL)
    assert outcome.detail
    await target.until(lambda: target.open == 0)


async def test_an_outcome_tells_how_long_it_took(caller: Caller, listen: Listen) -> None:
    outcome = await caller.start(await listen(answering(OK)))

    phases = dict(outcome.phases_ms)
    assert {"dns", "connect", "wait", "read"} <= phases.keys()
    assert all(phase_ms >= 0 for phase_ms in phases.values())
    assert sum(phases.values()) <= outcome.duration_us / 1000 + 1


async def test_a_failed_attempt_tells_in_which_phase_it_ended(caller: Caller, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()

    outcome = await caller.start(await listen(script))

    assert outcome.error is not None
    assert [name for name, _ in outcome.phases_ms] == ["dns", "connect", "wait"]
    assert sum(ms for _, ms in outcome.phases_ms) == pytest.approx(outcome.duration_us / 1000, abs=1)
