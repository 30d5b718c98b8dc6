"""One deadline covers the whole attempt, and the outcome says what had not ended when it passed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from gateway.model import ErrorKind

from .caller import Caller, Listen
from .conftest import MAX_CONNECTIONS
from .target import LOOPBACK, OK, Names, Peer, Script, always_ok

SHORT_S = 0.2


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose backlog is full, so that the kernel lets further connections wait."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            waiting.append(filler)
        yield listener.getsockname()[1]
        for filler in waiting:
            filler.close()


async def never_answers(peer: Peer) -> None:
    await peer.request()
    await peer.hang()


async def trickles_its_header(peer: Peer) -> None:
    await peer.request()
    await peer.trickle(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1000, every_s=0.02)


async def trickles_its_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    await peer.trickle(b"y" * 1000, every_s=0.02)


async def trickles_interim_answers(peer: Peer) -> None:
    await peer.request()
    while True:
        await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.02)


async def never_reads(peer: Peer) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("script", "timeout_s"),
    [
        (never_answers, SHORT_S),
        (never_answers, 1.0),  # from here on a transport may be coarse about it
        (trickles_its_header, SHORT_S),
        (trickles_its_body, SHORT_S),
        (trickles_interim_answers, SHORT_S),
        (never_reads, 1.0),  # its 20 MB are to be waiting by then, on a busy machine too
    ],
)
async def test_a_slow_target_is_left_at_the_deadline(
    caller: Caller, listen: Listen, script: Script, timeout_s: float
) -> None:
    target = await listen(script)
    body = b"x" * 20_000_000 if script is never_reads else b"{}"

    outcome = await caller.start(target, body=body, timeout_s=timeout_s)

    assert (outcome.response, outcome.error) == (None, ErrorKind.TIMEOUT)
    assert outcome.duration_us >= timeout_s * 1_000_000 * 0.95
    assert f"{timeout_s:g} s" in (outcome.detail or "")


async def test_a_connection_left_at_the_deadline_is_closed(caller: Caller, listen: Listen) -> None:
    target = await listen(never_answers, always_ok)

    await caller.start(target, timeout_s=SHORT_S)

    await target.until(lambda: target.open == 0)
    assert (await caller.start(target)).ok


async def test_an_answer_just_before_the_deadline_counts_and_the_next_has_its_own(
    caller: Caller, listen: Listen
) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.4)
            await peer.send(OK)

    target = await listen(script)

    assert (await caller.start(target, timeout_s=0.75)).ok
    assert (await caller.start(target, timeout_s=0.75)).ok
    assert target.connections == 1


async def test_a_name_look_up_that_hangs_is_named(caller: Caller, listen: Listen, names: Names) -> None:
    names.silent.add("slow.example")

    outcome = await caller.start(await listen(always_ok), host="slow.example", timeout_s=SHORT_S)

    assert outcome.error is ErrorKind.DNS
    assert "look-up" in (outcome.detail or "")


async def test_a_connect_that_hangs_is_named(caller: Caller, listen: Listen, full_port: int) -> None:
    target = await listen(always_ok)
    target.port = full_port

    outcome = await caller.start(target, timeout_s=SHORT_S)

    assert outcome.error is ErrorKind.CONNECT_TIMEOUT


async def test_waiting_for_a_free_connection_counts_too(caller: Caller, listen: Listen) -> None:
    target = await listen(never_answers)
    for _ in range(MAX_CONNECTIONS):
        caller.start(target)
    await target.until(lambda: len(target.received) == MAX_CONNECTIONS)

    outcome = await caller.start(target, timeout_s=SHORT_S)

    assert outcome.error is ErrorKind.TIMEOUT
    assert len(target.received) == MAX_CONNECTIONS
