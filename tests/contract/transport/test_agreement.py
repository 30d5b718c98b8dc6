"""On whatever a well-behaved target may answer, the transports agree to the byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.aiohttp_transport import AiohttpTransport
from gateway.delivery.http1 import Http1Transport
from gateway.delivery.transport import RESPONSE_BODY_LIMIT
from gateway.model import Outcome

from .caller import Caller
from .target import Names, Peer, ScriptedTarget

BODYLESS = (204, 304)
TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
FRAMING = {"content-length", "transfer-encoding", "connection", "upgrade", "content-encoding", "trailer"}

names = st.text(TOKEN, min_size=1, max_size=20).filter(lambda name: name.lower() not in FRAMING)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30).map(
    lambda value: value.strip(" \t\xa0\x85")
)
fields = st.lists(st.tuples(names, values), max_size=6).map(
    lambda pairs: "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1")
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.integers(RESPONSE_BODY_LIMIT - 3, RESPONSE_BODY_LIMIT + 3).map(lambda size: b"b" * size),
    st.just(b"long " * 10_000),
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """One well-formed answer, in any framing, behind any number of interim ones."""
    interim = b"".join(
        b"HTTP/1.1 103 Early Hints\r\n" + header + b"\r\n" for header in draw(st.lists(fields, max_size=2))
    )
    status = draw(st.sampled_from([200, 201, 301, 404, 503, *BODYLESS]))
    head = b"HTTP/1.1 %d %b\r\n%b" % (status, draw(st.sampled_from([b"", b"OK", b"Not Very"])), draw(fields))
    if status in BODYLESS:
        return interim + head + b"\r\n"
    body = draw(bodies)
    match draw(st.sampled_from(["length", "chunks", "close"])):
        case "length":
            return interim + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        case "close":
            return interim + head + b"Connection: close\r\n\r\n" + body
    size = draw(st.integers(max(1, len(body) // 20), len(body) + 1))
    extension = draw(st.sampled_from([b"", b";a=b", b';a="b c"']))
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return interim + head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n" + draw(fields) + b"\r\n"


@dataclass
class Both:
    """Both transports, calling one target that answers what it is told to."""

    answer: bytes = b""

    async def start(self) -> None:
        self.target = ScriptedTarget([self._say])
        await self.target.start()
        self.transports = (AiohttpTransport(Names()), Http1Transport(Names()))
        self.callers = [Caller(transport.pool(max_connections=1)) for transport in self.transports]

    async def stop(self) -> None:
        for transport in self.transports:
            await transport.close()
        await self.target.stop()

    async def ask(self, answer: bytes) -> list[Outcome]:
        self.answer = answer
        return [await caller.start(self.target) for caller in self.callers]

    async def _say(self, peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(self.answer)
            if b"Connection: close\r\n" in self.answer:
                break


def test_the_transports_read_the_same_out_of_every_well_formed_answer() -> None:
    both = Both()
    with asyncio.Runner() as runner:
        runner.run(both.start())

        @settings(max_examples=300, deadline=None)
        @given(answers())
        def agree(answer: bytes) -> None:
            reference, fast = runner.run(both.ask(answer))
            assert reference.response is not None
            assert fast.response == reference.response

        try:
            agree()
        finally:
            runner.run(both.stop())
