"""aiohttp's client, held to what a transport promises: vetted addresses, a budget of wire bytes, no stray answers.

aiohttp offers no public place for the last two, so this is the one module that leans on its internals;
`tests/contract/transport/` fails if they move.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

from gateway.delivery.transport import RESPONSE_WIRE_LIMIT


class LimitExceeded(Exception):
    """A response was larger than a limit; the message says which."""


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector, its connections counting what they read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp offers no place to count the bytes off the wire but the protocol that it builds here.
        counting = functools.partial(_Handler, loop=asyncio.get_running_loop())
        self._factory = counting  # type: ignore[assignment]  # partial is invariant; the handler is a subclass


class _Handler(ResponseHandler):
    """aiohttp's connection, with a budget of wire bytes for each response, and deaf while nothing was asked."""

    _left_bytes = 0
    _asked = False

    def set_response_params(self, **params: Any) -> None:
        """aiohttp calls this as each request starts."""
        self._left_bytes = RESPONSE_WIRE_LIMIT
        self._asked = True
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """aiohttp calls this with the head of each response, interim ones included."""
        message, payload = data
        if message.code >= HTTPStatus.OK:
            payload.on_eof(self._ended)
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        if data and not self._asked:
            self.abort()  # else aiohttp would keep these bytes, and take them for the next request's answer
            return
        within = data[: self._left_bytes]
        self._left_bytes -= len(within)
        super().data_received(within)
        if len(within) < len(data):
            # Later, so that a reader whom this part satisfies has it before the exception comes.
            self._loop.call_soon(self._exhausted)

    def _ended(self) -> None:
        self._asked = False

    def _exhausted(self) -> None:
        error = LimitExceeded(f"the response took more than {RESPONSE_WIRE_LIMIT // 1024} KiB on the wire")
        if self._payload is not None:
            self._payload.set_exception(error)
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


class VettedAddresses(AbstractResolver):
    """What aiohttp asks for addresses: it gets those that were vetted for the attempt that asks."""

    def __init__(self, addresses: Callable[[], Sequence[str]]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses()
        ]

    async def close(self) -> None:
        """Nothing is held."""
