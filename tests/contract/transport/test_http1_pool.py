"""What the fast transport does with its connections beyond what every transport must."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from gateway.delivery.http1 import Http1Transport, dial, pool
from gateway.delivery.http1.connection import Connection
from gateway.model import ErrorKind

from .caller import Caller, Listen
from .target import LOOPBACK, OK, Names, Peer, Script, always_ok, answering


@pytest.fixture
async def fast(names: Names) -> AsyncIterator[Http1Transport]:
    transport = Http1Transport(names)
    yield transport
    await transport.close()


@pytest.fixture
def uncollected() -> Iterator[Callable[[], int]]:
    """How many connections there are in memory, while nobody collects those that nobody can reach."""
    gc.disable()
    yield lambda: sum(isinstance(each, Connection) for each in gc.get_objects())
    gc.enable()


def noting(served: list[int]) -> Script:
    """Answers everything; writes down which connection each request came on."""
    connections = iter(range(1000))

    async def script(peer: Peer) -> None:
        connection = next(connections)
        while True:
            await peer.request()
            served.append(connection)
            await peer.send(OK)

    return script


async def test_a_connection_that_is_idle_for_too_long_is_closed(
    fast: Http1Transport, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "IDLE_LIMIT_S", 0.05)
    target = await listen(always_ok)
    caller = Caller(fast.pool(max_connections=2))
    await asyncio.gather(caller.start(target), caller.start(target))

    await target.until(lambda: target.open == 0)

    assert (await caller.start(target)).ok


async def test_the_connection_used_last_is_used_next(fast: Http1Transport, listen: Listen) -> None:
    served: list[int] = []
    target = await listen(noting(served))
    caller = Caller(fast.pool(max_connections=3))
    await asyncio.gather(*(caller.start(target) for _ in range(3)))

    for _ in range(5):
        await caller.start(target)

    assert len(set(served[:3])) == 3
    assert len(set(served[3:])) == 1


async def test_a_connection_that_has_reached_its_age_is_replaced(
    fast: Http1Transport, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "AGE_LIMIT_S", 0.0)
    target = await listen(always_ok)
    caller = Caller(fast.pool(max_connections=1))

    assert (await caller.start(target)).ok
    assert (await caller.start(target)).ok
    assert target.connections == 2


async def test_a_request_never_travels_on_a_connection_to_another_target(fast: Http1Transport, listen: Listen) -> None:
    one, other = await listen(always_ok), await listen(always_ok)
    caller = Caller(fast.pool(max_connections=1))

    for target in (one, other, one):
        assert (await caller.start(target)).ok

    assert (len(one.received), len(other.received)) == (2, 1)
    assert (one.connections, other.connections) == (2, 1)


async def test_a_waiting_request_never_travels_on_a_connection_to_another_target(
    fast: Http1Transport, listen: Listen
) -> None:
    one, other = await listen(always_ok), await listen(always_ok)
    caller = Caller(fast.pool(max_connections=1))

    outcomes = await asyncio.gather(*(caller.start(target) for target in (one, other, other, one)))

    assert all(outcome.ok for outcome in outcomes)
    assert (len(one.received), len(other.received)) == (2, 2)


async def test_a_name_of_several_paths_keeps_its_connection(fast: Http1Transport, listen: Listen) -> None:
    target = await listen(always_ok)
    caller = Caller(fast.pool(max_connections=1))

    for number in range(3):
        assert (await caller.start(target, method="GET", path=f"/?call_id={number}", body=None)).ok

    assert [request.line for request in target.received] == [b"GET /?call_id=%d HTTP/1.1" % n for n in range(3)]
    assert target.connections == 1


async def test_an_address_that_does_not_answer_has_its_turn_and_no_more(
    fast: Http1Transport, listen: Listen, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "TURN_S", 0.1)
    target = await listen(always_ok)
    names.addresses[target.host] = ("127.0.0.2", LOOPBACK)
    with socket.socket() as full, socket.socket() as filler, socket.socket() as more:
        full.bind(("127.0.0.2", target.port))
        full.listen(0)
        for client in (filler, more):
            client.setblocking(False)
            client.connect_ex(full.getsockname())

        assert (await Caller(fast.pool(max_connections=1)).start(target)).ok


async def test_an_attempt_that_expires_while_it_is_dialled_leaves_room_for_the_next(
    fast: Http1Transport, listen: Listen, names: Names
) -> None:
    target = await listen(always_ok)
    names.silent.add(target.host)
    caller = Caller(fast.pool(max_connections=1))
    stuck, waiting = caller.start(target, timeout_s=0.1), caller.start(target)
    while not names.asked:
        await asyncio.sleep(0)
    names.silent.clear()

    assert (await stuck).error is ErrorKind.DNS
    assert (await waiting).ok


@pytest.mark.parametrize("then", ["is cut off", "is closed"])
async def test_a_connection_that_has_ended_leaves_nothing_to_the_garbage_collector(
    fast: Http1Transport, listen: Listen, uncollected: Callable[[], int], then: str
) -> None:
    """Collections are rare: 1,000 connections that wait for one with what a hostile target sent take 60 MB."""

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.endless(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    target = await listen(endless if then == "is cut off" else answering(OK))
    caller = Caller(fast.pool(max_connections=1))
    before = uncollected()

    for _ in range(5):
        await caller.start(target)
        await target.until(lambda: target.open == 0)
    await caller.pool.close()

    assert uncollected() == before
