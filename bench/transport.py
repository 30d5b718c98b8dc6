"""CPU and latency of one request through a transport, against a bare HTTP server in a process of its own.

Run: `python -m bench.transport [--tls] [--transport http1|aiohttp] [--requests N] [--in-flight N]`.
The CPU counted is the client process's alone; the server answers 200 with two bytes as fast as asyncio can.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import ssl
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import cast

import httptools
import trustme
import uvloop

from bench.aiohttp_transport import AiohttpTransport
from gateway.delivery.http1 import Http1Transport
from gateway.delivery.transport import Pool, Request, Target, Transport
from gateway.model import Outcome

TRANSPORTS: dict[str, Callable[..., Transport]] = {"http1": Http1Transport, "aiohttp": AiohttpTransport}
HOST = "target.test"
BODY = b'{"call_id": 99123, "account_id": "A-1", "disposition": "Promise to pay"}'.ljust(640)
HEAD = (
    b"Content-Type: application/json\r\nUser-Agent: gateway-bench\r\nAccept-Encoding: identity\r\n"
    b"Authorization: Basic YWJjOmRlZg==\r\nwebhook-id: 01980000-0000-7000-8000-000000000000\r\n"
    b"webhook-timestamp: 1750000000\r\nwebhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=\r\n"
    b"webhook-event: call.saved\r\nwebhook-attempt: 1\r\n"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"
)


class Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write  # uvloop's is one by shape, not by descent
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._write(ANSWER)


class Loopback:
    async def resolve(self, host: str, port: int, /) -> tuple[str, ...]:
        return ("127.0.0.1",)


def serve(certificate: bytes | None, ready: Connection) -> None:
    """Runs in a process of its own, until it is terminated."""

    async def run() -> None:
        tls = None
        if certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            with trustme.Blob(certificate).tempfile() as path:
                tls.load_cert_chain(path)
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, ssl=tls)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


class Load:
    """Keeps a number of requests under way until all have ended."""

    def __init__(self, pool: Pool, request: Request, total: int) -> None:
        self._pool = pool
        self._request = request
        self._left_to_send = self._left_to_end = total
        self._ended = asyncio.Event()
        self.durations_us: list[int] = []

    async def run(self, in_flight: int) -> None:
        for _ in range(in_flight):
            self._send()
        await self._ended.wait()

    def _send(self) -> None:
        self._left_to_send -= 1
        self._pool.send(self._request, self._done)

    def _done(self, outcome: Outcome) -> None:
        if not outcome.ok:
            sys.exit(f"a request failed: {outcome}")
        self.durations_us.append(outcome.duration_us)
        self._left_to_end -= 1
        if self._left_to_send > 0:
            self._send()
        elif self._left_to_end == 0:
            self._ended.set()


async def measure(options: argparse.Namespace, port: int, tls: ssl.SSLContext | None) -> None:
    transport = TRANSPORTS[options.transport](Loopback(), tls=tls)
    pool = transport.pool(max_connections=options.in_flight)
    target = Target("https" if tls else "http", HOST, port, f"{HOST}:{port}", "/hook")
    request = Request("POST", target, HEAD, BODY, 10.0)
    await Load(pool, request, options.in_flight * 20).run(options.in_flight)  # connections, caches
    for _ in range(options.rounds):
        load = Load(pool, request, options.requests)
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        await load.run(options.in_flight)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
        print(
            f"{options.transport:8} {target.scheme:5} in flight {options.in_flight:3}: "
            f"{cpu_s / options.requests * 1e6:6.1f} µs CPU a request, {options.requests / wall_s:7.0f}/s, "
            f"median {statistics.median(load.durations_us):5.0f} µs"
        )
    if options.profile:
        with cProfile.Profile() as profile:
            await Load(pool, request, options.requests).run(options.in_flight)
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)
    await transport.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transport", choices=TRANSPORTS, default="http1")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--requests", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--profile", action="store_true", help="print where one more round spends its time")
    options = parser.parse_args()

    certificate, client_tls = None, None
    if options.tls:
        authority = trustme.CA()
        certificate = authority.issue_cert(HOST).private_key_and_cert_chain_pem.bytes()
        client_tls = ssl.create_default_context()
        authority.configure_trust(client_tls)
    processes = get_context("spawn")
    here, there = processes.Pipe()
    server = processes.Process(target=serve, args=(certificate, there), daemon=True)
    server.start()
    try:
        uvloop.run(measure(options, here.recv(), client_tls))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
