"""The floor: the least that accepting an event and forwarding it can cost with the gateway's own libraries.

The accept is an aiohttp server on uvloop that reads the body and finds `data` in it; the forward is the gateway's own
transport. There is no database, no log, no order, no credential, no signature, no retry: what the gateway costs
beyond this is what its promises cost.

Invariant: it answers 202 only when every forward has a place among `IN_FLIGHT`, so its queue cannot grow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import uvloop
from aiohttp import web

from gateway.delivery.http1 import Http1Transport
from gateway.delivery.transport import Request, Target, Transport
from gateway.model import Outcome

IN_FLIGHT = 64
"""Forwards under way to one target."""
BODY_LIMIT_BYTES = 8 * 1024 * 1024
TIMEOUT_S = 10.0


class Envelope(msgspec.Struct):
    type: str
    data: msgspec.Raw


class AsSpelled:
    """An address book for targets that are given as addresses."""

    async def resolve(self, host: str, port: int, /) -> Sequence[str]:
        return (host,)


class Forward:
    """One target with its connections."""

    def __init__(self, transport: Transport, url: str) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        self._target = Target(parts.scheme, host, port, parts.netloc, parts.path)
        self._pool = transport.pool(max_connections=IN_FLIGHT)
        self._places = asyncio.Semaphore(IN_FLIGHT)

    async def send(self, head: bytes, payload: bytes) -> None:
        """Returns when the request has a place; what becomes of it does not matter here."""
        await self._places.acquire()
        self._pool.send(Request("POST", self._target, head, payload, TIMEOUT_S), self._done)

    def _done(self, outcome: Outcome) -> None:
        self._places.release()


class Floor:
    """Accepts on the three routes of the switch, forwards to every target."""

    def __init__(self, forwards: Sequence[Forward]) -> None:
        self._forwards = forwards
        self._one = msgspec.json.Decoder(Envelope)
        self._many = msgspec.json.Decoder(list[Envelope])

    async def accept(self, request: web.Request) -> web.Response:
        envelope = self._one.decode(await request.read())
        return _accepted(await self._take(envelope.type, bytes(envelope.data)))

    async def accept_raw(self, request: web.Request) -> web.Response:
        return _accepted(await self._take(request.match_info["type"], await request.read()))

    async def accept_batch(self, request: web.Request) -> web.Response:
        envelopes = self._many.decode(await request.read())
        results = [await self._take(envelope.type, bytes(envelope.data)) for envelope in envelopes]
        return _accepted(b'{"results":[' + b",".join(results) + b"]}")

    async def _take(self, type: str, payload: bytes) -> bytes:
        event_id = str(uuid4())
        head = f"Content-Type: application/json\r\nwebhook-id: {event_id}\r\nwebhook-event: {type}\r\n".encode()
        for forward in self._forwards:
            await forward.send(head, payload)
        return b'{"id":"%b","duplicate":false}' % event_id.encode()


def _accepted(body: bytes) -> web.Response:
    return web.Response(status=202, body=body, content_type="application/json")


async def serve(targets: Sequence[str], authority: str | None) -> None:
    """Serves on a free loopback port, which it prints, until cancelled."""
    transport = Http1Transport(AsSpelled(), tls=ssl.create_default_context(cafile=authority))
    floor = Floor([Forward(transport, url) for url in targets])
    application = web.Application(client_max_size=BODY_LIMIT_BYTES)
    application.router.add_post("/v1/events", floor.accept)
    application.router.add_post("/v1/events/batch", floor.accept_batch)
    application.router.add_post("/v1/events/{type}", floor.accept_raw)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", metavar="URL")
    parser.add_argument("--authority", help="PEM file of the authority that TLS targets are checked against")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.targets, arguments.authority))


if __name__ == "__main__":
    main()
