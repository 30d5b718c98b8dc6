"""A connection for one attempt: name look-up, TCP, TLS.

Invariant: the address dialled is one that the address book gave for this attempt, and a dial that is
cancelled or fails leaves no socket behind.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from collections.abc import Sequence

from gateway.delivery.http1.attempt import Attempt
from gateway.delivery.http1.connection import Connection, Owner
from gateway.delivery.transport import AddressBook
from gateway.model import ErrorKind

AGE_LIMIT_S = 600.0
"""How old a connection may grow: its target's name may lead elsewhere by then."""
AGE_JITTER = 0.2
"""The part of that which is left to chance, so that connections do not all retire together."""
TURN_S = 3.0
"""How long one of several addresses has before the next one is tried."""


class Dialer:
    """What dials have in common: the address book and whom to trust."""

    def __init__(self, book: AddressBook, tls: ssl.SSLContext) -> None:
        self._book = book
        self._tls = tls

    async def dial(self, attempt: Attempt, owner: Owner) -> Connection:
        """A connection to the attempt's target. Raises `EgressRefused`, `ssl.SSLError` or `OSError`.

        `attempt.doing` says all along how far it has come, and `attempt.phases_ms` how long that took.
        """
        target, phases = attempt.target, _Phases(attempt)
        phases.begin("dns", ErrorKind.DNS)
        addresses = await self._book.resolve(target.host, target.port)
        phases.begin("connect", ErrorKind.CONNECT_TIMEOUT)
        connected = await _connect(addresses, target.port)
        loop = asyncio.get_running_loop()
        lifetime_s = AGE_LIMIT_S * random.uniform(1 - AGE_JITTER, 1)  # noqa: S311  # spread, not secrecy
        connection = Connection(owner, target, time.monotonic() + lifetime_s)
        try:
            if target.scheme == "https":
                phases.begin("tls", ErrorKind.TLS_TIMEOUT)
                name = target.host.rstrip(".")  # certificates name hosts without the root's dot
                await loop.create_connection(lambda: connection, sock=connected, ssl=self._tls, server_hostname=name)
            else:
                await loop.create_connection(lambda: connection, sock=connected)
        except BaseException:
            connection.close()
            raise
        phases.end()
        return connection


class _Phases:
    """Writes into an attempt how far its dial is."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._name = ""
        self._begun_s = 0.0

    def begin(self, name: str, doing: ErrorKind) -> None:
        self.end()
        self._name = name
        self._attempt.doing, self._attempt.phase = doing, name

    def end(self) -> None:
        now_s = time.monotonic()
        if self._name:
            self._attempt.phases_ms += ((self._name, (now_s - self._begun_s) * 1000),)
        self._begun_s = now_s


async def _connect(addresses: Sequence[str], port: int) -> socket.socket:
    """A TCP connection to the first of the addresses that takes one; raises what the last of them said."""
    *others, last = addresses
    for address in others:
        try:
            async with asyncio.timeout(TURN_S):
                return await _connect_to(address, port)
        except OSError:  # of which TimeoutError is one
            continue
    return await _connect_to(last, port)


async def _connect_to(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, (address, port))
    except BaseException:
        opened.close()
        raise
    return opened
