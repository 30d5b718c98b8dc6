"""When a connection is used again, when it is not, and what its loss means."""

from __future__ import annotations

import asyncio

import pytest

from gateway.delivery.transport import Request, Transport
from gateway.model import ErrorKind, Outcome

from .caller import Caller, Listen
from .conftest import MAX_CONNECTIONS
from .target import OK, Peer, Script, always_ok, answering

PARTIAL = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"


async def test_a_connection_is_kept_for_the_next_request(caller: Caller, listen: Listen) -> None:
    target = await listen(always_ok)

    outcomes = [await caller.start(target) for _ in range(5)]

    assert all(outcome.ok for outcome in outcomes)
    assert target.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_that_the_target_ends_is_not_used_again(
    caller: Caller, listen: Listen, answer: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await peer.hang()

    target = await listen(script)

    assert (await caller.start(target)).ok
    assert (await caller.start(target)).ok
    assert target.connections == 2


@pytest.mark.parametrize("excess", [b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", b"garbage"])
async def test_bytes_after_an_answer_never_become_the_next_answer(
    caller: Caller, listen: Listen, excess: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + excess)
        await peer.hang()

    target = await listen(script, always_ok)

    first = await caller.start(target)
    second = await caller.start(target)

    # An answer with garbage at its end may count or not; what follows it never does.
    assert first.ok or first.error is ErrorKind.PROTOCOL
    assert second.ok
    assert target.connections == 2


async def test_an_answer_that_nobody_asked_for_closes_an_idle_connection(caller: Caller, listen: Listen) -> None:
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await more.wait()
        await peer.send(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
        await peer.hang()

    target = await listen(script, always_ok)
    assert (await caller.start(target)).ok
    more.set()
    await target.until(lambda: target.open == 0)

    assert (await caller.start(target)).ok


async def test_a_failure_does_not_leak_into_the_next_answer(caller: Caller, listen: Listen) -> None:
    target = await listen(answering(PARTIAL), always_ok)

    first = await caller.start(target)
    second = await caller.start(target)

    assert first.error is ErrorKind.DISCONNECTED
    assert second.response is not None
    assert second.response.body == b"ok"


async def test_a_kept_connection_that_the_target_has_closed_is_replaced_unseen(caller: Caller, listen: Listen) -> None:
    target = await listen(answering(OK), always_ok)

    assert (await caller.start(target)).ok
    assert (await caller.start(target)).ok

    assert target.connections == 2


@pytest.mark.parametrize("ending", [Peer.reset, None])
async def test_a_request_that_dies_on_a_kept_connection_before_any_answer_is_sent_again_once(
    caller: Caller, listen: Listen, ending: object
) -> None:
    async def closes_on_the_second(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        if ending is not None:
            peer.reset()

    target = await listen(closes_on_the_second, always_ok)
    assert (await caller.start(target)).ok

    assert (await caller.start(target)).ok

    assert (len(target.received), target.connections) == (3, 2)


async def test_a_request_is_not_sent_again_once_its_answer_has_begun(caller: Caller, listen: Listen) -> None:
    target = await listen(answering(OK, PARTIAL), always_ok)
    assert (await caller.start(target)).ok

    outcome = await caller.start(target)

    assert outcome.error is ErrorKind.DISCONNECTED
    assert (len(target.received), target.connections) == (2, 1)


async def closed_before_an_answer(peer: Peer) -> None:
    await peer.request()


async def reset_before_an_answer(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def reset_in_the_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(PARTIAL)
    await asyncio.sleep(0.05)  # the half must have been read: a reset discards what is still in the buffers
    peer.reset()


@pytest.mark.parametrize(
    "script",
    [
        closed_before_an_answer,
        reset_before_an_answer,
        reset_in_the_body,
        answering(b"HTTP/1.1 200 OK\r\ncontent-le"),
        answering(PARTIAL),
        answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"),
    ],
    ids=["closed at once", "reset at once", "reset in the body", "closed in the header", "in the body", "in chunks"],
)
async def test_a_connection_lost_before_the_answer_is_whole_is_a_failure(
    caller: Caller, listen: Listen, script: Script
) -> None:
    target = await listen(script)

    outcome = await caller.start(target)

    assert (outcome.response, outcome.error) == (None, ErrorKind.DISCONNECTED)
    assert target.connections == 1


async def test_an_answer_before_the_request_was_read_counts_and_ends_the_connection(
    caller: Caller, listen: Listen
) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await asyncio.Event().wait()

    target = await listen(script, always_ok)

    outcome = await caller.start(target, body=b"x" * 20_000_000)

    assert outcome.response is not None
    assert outcome.response.status == 413
    assert (await caller.start(target)).ok
    assert target.connections == 2


async def test_requests_under_way_together_have_connections_of_their_own(caller: Caller, listen: Listen) -> None:
    target = await listen(always_ok)

    outcomes = await asyncio.gather(*(caller.start(target) for _ in range(MAX_CONNECTIONS)))

    assert all(outcome.ok for outcome in outcomes)
    assert target.connections <= MAX_CONNECTIONS


async def test_there_are_never_more_connections_than_the_pool_may_have(caller: Caller, listen: Listen) -> None:
    together = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await together.wait()
            await peer.send(OK)

    target = await listen(script)
    attempts = [caller.start(target) for _ in range(3 * MAX_CONNECTIONS)]
    await target.until(lambda: len(target.received) == MAX_CONNECTIONS)
    together.set()

    assert all(outcome.ok for outcome in await asyncio.gather(*attempts))
    assert target.connections == MAX_CONNECTIONS


async def test_closing_the_pool_abandons_what_is_under_way(caller: Caller, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.hang()

    target = await listen(script)
    attempt = caller.start(target)
    just_started = [caller.start(target) for _ in range(2 * MAX_CONNECTIONS)]
    await target.until(lambda: len(target.received) > 0)
    just_started.append(caller.start(target))

    await caller.pool.close()

    assert all(ended.done() for ended in (attempt, *just_started))
    assert {ended.result().error for ended in (attempt, *just_started)} == {ErrorKind.ABANDONED}
    await target.until(lambda: target.open == 0)


async def test_a_closed_pool_abandons_every_request(caller: Caller, listen: Listen) -> None:
    target = await listen(always_ok)
    await caller.pool.close()

    outcome = await caller.start(target)

    assert outcome.error is ErrorKind.ABANDONED
    assert target.connections == 0


async def test_closing_the_transport_closes_its_pools(transport: Transport, caller: Caller, listen: Listen) -> None:
    target = await listen(always_ok)
    assert (await caller.start(target)).ok

    await transport.close()

    await target.until(lambda: target.open == 0)
    assert (await caller.start(target)).error is ErrorKind.ABANDONED


async def test_pools_share_no_connection(transport: Transport, listen: Listen) -> None:
    target = await listen(always_ok)

    for _ in range(2):
        assert (await Caller(transport.pool(max_connections=1)).start(target)).ok

    assert target.connections == 2


async def test_a_caller_that_cannot_take_an_outcome_harms_no_other(transport: Transport, listen: Listen) -> None:
    target = await listen(always_ok)
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    pool = transport.pool(max_connections=1)

    def broken(outcome: Outcome) -> None:
        raise LookupError(outcome.duration_us)

    pool.send(Request("POST", target.url("/"), b"", b"", 5.0), broken)
    await target.until(lambda: len(target.received) == 1)
    outcome = await Caller(pool).start(target)

    assert outcome.ok
    assert [type(complaint["exception"]) for complaint in complaints] == [LookupError]
