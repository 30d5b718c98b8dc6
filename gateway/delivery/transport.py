"""The one interface between the lanes and the network: send a request, get an outcome.

Two things implement it: one on aiohttp's client, the reference, and one on an asyncio protocol of our
own, for what is hot. `tests/contract/transport/` is what both must do. Invariant: an attempt
ends in exactly one `Outcome`, whatever its target does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from gateway.egress.target import Target as Target
from gateway.model import Outcome

RESPONSE_BODY_LIMIT = 16 * 1024
"""Bytes of a response body that are read and kept; past them the connection is closed."""
RESPONSE_WIRE_LIMIT = 64 * 1024
"""Bytes off the wire that one response may take in all: headers, 1xx, chunk framing and body."""
RESPONSE_HEADER_LIMIT = 16 * 1024
"""Bytes until the end of a response's header section, interim (1xx) responses before it included."""
IDLE_LIMIT_S = 30.0
"""How long a connection may wait for its next request: less than what common servers allow it."""


class Request(msgspec.Struct, frozen=True):
    """One request, ready for the wire.

    `head` is the header lines after Host, each ended by CR LF, in ASCII, with neither the Host line
    nor the final empty line nor anything that frames the body; the transport adds
    the request line, `Host`, `Content-Length` (if there is a body or the method is POST, PUT or
    PATCH) and the empty line. `body` is None for none.
    """

    method: str
    target: Target
    head: bytes
    body: bytes | None
    timeout_s: float


Done = Callable[[Outcome], None]


class Pool(Protocol):
    """The connections to one webhook's target: shared by nobody else, bounded, closed with the lane."""

    def send(self, request: Request, done: Done) -> None:
        """Start one attempt; `done` is called once, later, from the event loop, and never raises back.

        The caller bounds how many are under way. The deadline covers name look-up, connect, TLS, the
        write and the answer. A pool that is closing answers `ErrorKind.ABANDONED`.
        """

    async def close(self) -> None:
        """Close every connection; attempts under way end as `ABANDONED` before this returns."""


class AddressBook(Protocol):
    """Names to vetted addresses: what a transport asks before it dials, and the only place it asks."""

    async def resolve(self, host: str, port: int, /) -> Sequence[str]:
        """Address literals that `host` may be dialled at, best first, each vetted; a literal answers for itself.

        Raises `errors.EgressRefused`: kind `dns` where the name leads nowhere, `url`, `address` or
        `port` where it leads to what no target may be.
        """


class Transport(Protocol):
    """Makes pools. It owns what they share: the resolver, the TLS context, the egress policy."""

    def pool(self, *, max_connections: int) -> Pool: ...

    async def close(self) -> None: ...
