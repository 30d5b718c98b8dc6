"""All pools share one allowance of connections; none of them can take it from the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.delivery.http1 import Http1Transport
from gateway.model import ErrorKind

from .caller import Caller, Listen
from .target import Names, Peer, always_ok

ALLOWED = 8


@pytest.fixture
async def fast(names: Names) -> AsyncIterator[Http1Transport]:
    transport = Http1Transport(names, max_connections=ALLOWED)
    yield transport
    await transport.close()


async def hangs(peer: Peer) -> None:
    await peer.request()
    await peer.hang()


async def test_a_pool_that_hangs_leaves_connections_to_the_others(fast: Http1Transport, listen: Listen) -> None:
    hung, healthy = await listen(hangs), await listen(always_ok)
    greedy, modest = Caller(fast.pool(max_connections=100)), Caller(fast.pool(max_connections=100))
    stuck = [greedy.start(hung) for _ in range(100)]
    await hung.until(lambda: hung.connections == ALLOWED // 2)

    for _ in range(20):
        assert (await modest.start(healthy)).ok

    assert hung.connections == ALLOWED // 2
    assert not any(each.done() for each in stuck)


async def test_all_pools_together_never_have_more_than_is_allowed_and_all_of_them_get_on(
    fast: Http1Transport, listen: Listen
) -> None:
    most = 0

    async def notes_most(peer: Peer) -> None:
        nonlocal most
        most = max(most, target.open)
        await always_ok(peer)

    target = await listen(notes_most)
    callers = [Caller(fast.pool(max_connections=5)) for _ in range(4 * ALLOWED)]

    outcomes = await asyncio.gather(*(caller.start(target) for caller in callers for _ in range(10)))

    assert all(outcome.ok for outcome in outcomes)
    assert 1 < most <= 2 * ALLOWED  # without the allowance 160; the target learns of a closed one a moment later


async def test_a_pool_with_nothing_gets_the_idle_connection_of_another(fast: Http1Transport, listen: Listen) -> None:
    target = await listen(always_ok)
    for _ in range(ALLOWED):
        assert (await Caller(fast.pool(max_connections=1)).start(target)).ok

    assert (await Caller(fast.pool(max_connections=1)).start(target)).ok

    await target.until(lambda: target.open == ALLOWED)


async def test_an_attempt_that_never_had_a_connection_is_not_held_against_its_target(
    fast: Http1Transport, listen: Listen
) -> None:
    hung, healthy = await listen(hangs), await listen(always_ok)
    stuck = [Caller(fast.pool(max_connections=1)).start(hung) for _ in range(ALLOWED)]
    await hung.until(lambda: hung.connections == ALLOWED)

    outcome = await Caller(fast.pool(max_connections=1)).start(healthy, timeout_s=0.1)

    assert outcome.error is ErrorKind.ABANDONED and "no connection to spare" in (outcome.detail or "")
    assert not any(each.done() for each in stuck)


async def test_a_connection_that_ends_goes_to_the_pool_that_has_none(fast: Http1Transport, listen: Listen) -> None:
    hung, healthy = await listen(hangs), await listen(always_ok)
    stuck = [Caller(fast.pool(max_connections=1)).start(hung, timeout_s=0.2) for _ in range(ALLOWED)]
    await hung.until(lambda: hung.connections == ALLOWED)

    assert (await Caller(fast.pool(max_connections=1)).start(healthy)).ok
    assert {(await each).error for each in stuck} == {ErrorKind.TIMEOUT}
