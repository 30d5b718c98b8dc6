"""The 202 of a push, written in one piece: aiohttp's own response takes 10 us to find the same bytes.

Invariant: on the wire it is what `web.Response` with this body would be, less the Server header.
"""

from __future__ import annotations

from email.utils import formatdate
from time import time

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

HEAD = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: "
JSON = {"Content-Type": "application/json"}


class DateHeader:
    """The Date header's value (RFC 9110 §6.6.1), made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._value = ""

    def now(self) -> str:
        second = int(time())
        if second != self._second:
            self._second = second
            self._value = formatdate(second, usegmt=True)
        return self._value


class Accepted(web.StreamResponse):
    """For HTTP/1.1 requests that leave the connection open."""

    def __init__(self, wire: bytes) -> None:
        super().__init__(status=202)
        self._wire = wire

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the caller has gone")
        transport.write(self._wire)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        pass


def accepted(request: web.BaseRequest, event_id: str, duplicate: bool, date: DateHeader) -> web.StreamResponse:
    body = f'{{"id":"{event_id}","duplicate":{"true" if duplicate else "false"}}}'
    if request.version != HttpVersion11 or not request.keep_alive:
        return web.Response(body=body.encode(), status=202, headers=JSON)
    return Accepted(f"{HEAD}{len(body)}\r\nDate: {date.now()}\r\n\r\n{body}".encode())
