"""Targets that do everything that a target must not: each kind by name, on a port of its own.

Invariant: leaving the block closes every socket, whatever the gateway still holds open.
"""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import trustme

from bench.process import free_port
from tests.contract.transport.target import LOOPBACK, OK, Peer, Script, ScriptedTarget

HEAD = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(100 * 1024 * 1024), 9)
EVERY_S = 0.05


async def silent(peer: Peer) -> None:
    await peer.hang()


async def trickles_head(peer: Peer) -> None:
    await peer.request()
    await peer.trickle(HEAD + b"X-Slow: " + b"x" * 100_000, every_s=EVERY_S)


async def trickles_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD + b"Content-Length: 100000\r\n\r\n")
    await peer.trickle(b"x" * 100_000, every_s=EVERY_S)


async def endless_chunks(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    await peer.endless(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


async def endless_interim(peer: Peer) -> None:
    await peer.request()
    await peer.endless(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)


async def tiny_chunks(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    await peer.endless(b"1\r\nx\r\n" * 1_000)


async def gzip_bomb(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)


async def header_flood(peer: Peer) -> None:
    await peer.request()
    await peer.send(HEAD)
    await peer.endless(b"X-Flood: " + b"x" * 1_000 + b"\r\n")


async def closes(peer: Peer) -> None:
    await peer.head()


async def answers_early(peer: Peer) -> None:
    await peer.send(OK * 3)
    await peer.hang()


async def resets(peer: Peer) -> None:
    await peer.head()
    peer.reset()


async def redirects(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")


SCRIPTS: Mapping[str, Script] = {
    "dead": silent,
    "trickles its head": trickles_head,
    "trickles its body": trickles_body,
    "sends chunks for ever": endless_chunks,
    "sends 1xx for ever": endless_interim,
    "sends chunks of one byte": tiny_chunks,
    "sends a gzip bomb": gzip_bomb,
    "floods headers": header_flood,
    "closes before it answers": closes,
    "answers before it is asked": answers_early,
    "resets": resets,
    "redirects": redirects,
}


@asynccontextmanager
async def hostile_targets() -> AsyncIterator[dict[str, str]]:
    """The URL of one target of each kind."""
    async with AsyncExitStack() as stack:
        urls = {}
        for name, script in SCRIPTS.items():
            urls[name] = await _started(stack, script)
        urls["hangs in TLS"] = (await _started(stack, silent)).replace("http:", "https:")
        certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("other.example.com").configure_cert(certificate)
        urls["has a wrong certificate"] = await _started(stack, closes, certificate)
        urls["refuses"] = f"http://{LOOPBACK}:{free_port()}/hook"
        urls["hangs in connect"] = f"http://{LOOPBACK}:{stack.enter_context(_full_backlog())}/hook"
        yield urls


async def _started(stack: AsyncExitStack, script: Script, tls: ssl.SSLContext | None = None) -> str:
    target = ScriptedTarget([script], tls=tls)
    await target.start()
    stack.push_async_callback(target.stop)
    return f"{'https' if tls else 'http'}://{LOOPBACK}:{target.port}/hook"


@contextmanager
def _full_backlog() -> Iterator[int]:
    """A port whose queue of connections is full, so that the next SYN is not answered."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen(0)
        waiting = []
        for _ in range(8):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
            waiting.append(each)
        try:
            yield listening.getsockname()[1]
        finally:
            for each in waiting:
                each.close()
