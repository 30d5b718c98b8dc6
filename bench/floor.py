"""The floor: the least that accepting an event and forwarding it can cost with the gateway's own libraries.

The accept is an aiohttp server on uvloop that reads the body and finds `data` in it; the forward is the gateway's own
transport. There is no database, no log, no order, no signature, no retry: what the gateway costs beyond this is
what its promises cost.

Invariant: it answers 202 only when a forward has a place among `IN_FLIGHT`, so its queue cannot grow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from uuid import uuid4

import msgspec
import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

IN_FLIGHT = 64
"""Forwards under way to one target."""
BODY_LIMIT_BYTES = 8 * 1024 * 1024

Forward = Callable[[str, str, bytes], Awaitable[None]]


class Envelope(msgspec.Struct):
    type: str
    data: msgspec.Raw


class Floor:
    """Accepts on the three routes of the switch, forwards to every target."""

    def __init__(self, targets: list[str], session: ClientSession) -> None:
        self._targets = targets
        self._session = session
        self._places = [asyncio.Semaphore(IN_FLIGHT) for _ in targets]
        self._one = msgspec.json.Decoder(Envelope)
        self._many = msgspec.json.Decoder(list[Envelope])
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, request: web.Request) -> web.Response:
        envelope = self._one.decode(await request.read())
        event_id = await self._take(envelope.type, bytes(envelope.data))
        return _accepted(b'{"id":"%b","duplicate":false}' % event_id.encode())

    async def accept_raw(self, request: web.Request) -> web.Response:
        event_id = await self._take(request.match_info["type"], await request.read())
        return _accepted(b'{"id":"%b","duplicate":false}' % event_id.encode())

    async def accept_batch(self, request: web.Request) -> web.Response:
        envelopes = self._many.decode(await request.read())
        results = []
        for envelope in envelopes:
            event_id = await self._take(envelope.type, bytes(envelope.data))
            results.append(b'{"id":"%b","duplicate":false}' % event_id.encode())
        return _accepted(b'{"results":[' + b",".join(results) + b"]}")

    async def _take(self, type: str, payload: bytes) -> str:
        event_id = str(uuid4())
        for url, places in zip(self._targets, self._places, strict=True):
            await places.acquire()
            task = asyncio.create_task(self._forward(url, event_id, type, payload, places))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return event_id

    async def _forward(self, url: str, event_id: str, type: str, payload: bytes, places: asyncio.Semaphore) -> None:
        headers = {"Content-Type": "application/json", "webhook-id": event_id, "webhook-event": type}
        try:
            async with self._session.post(url, data=payload, headers=headers) as response:
                await response.read()
        finally:
            places.release()


def _accepted(body: bytes) -> web.Response:
    return web.Response(status=202, body=body, content_type="application/json")


async def serve(targets: list[str], authority: str | None) -> None:
    """Serves on a free loopback port, which it prints, until cancelled."""
    connector = TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=authority))
    async with ClientSession(connector=connector, timeout=ClientTimeout(total=10), auto_decompress=False) as session:
        floor = Floor(targets, session)
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
