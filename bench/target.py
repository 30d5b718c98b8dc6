"""The target: an HTTP server that takes webhooks, behaves as told, and keeps a ledger for each path.

`python -m bench.target` prints one JSON line with its ports and serves until it is ended. Paths that begin with
`/__` control it: `GET /__count`, `GET /__stats` (with `?paths` for each path too), `POST /__reset`, and
`POST /__set {"path", "latency_ms", "failure_rate", "failure_status", "hang"}`.

Invariant: it reads each request once and parses nothing that it does not need, so that it costs a fraction of
what it measures. It therefore speaks only the HTTP/1.1 that a webhook sender sends: bodies have a Content-Length.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import uvloop

from bench.ledger import Ledger, summary
from bench.traffic import DECLINED_RANK, STEPS

REQUEST_LIMIT = 4 * 1024 * 1024
RANKS = {type.encode(): rank for rank, type in enumerate(STEPS)}
END_OF_HEAD = b"\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one path answers. `hang` never answers; `failure_rate` is the share answered with `failure_status`."""

    latency_ms: float = 0.0
    failure_rate: float = 0.0
    failure_status: int = 500
    hang: bool = False


class Target:
    """Behaviour and ledger for each path. A path without a behaviour of its own has that of the path `*`."""

    def __init__(self, new_ledger: Callable[[], Ledger] = Ledger) -> None:
        self.ledgers: dict[bytes, Ledger] = {}
        self.statuses: Counter[int] = Counter()
        self.connections = 0
        self._behaviours: dict[bytes, Behaviour] = {b"*": Behaviour()}
        self._random = random.Random(1)
        self._new_ledger = new_ledger

    def behaviour(self, path: bytes) -> Behaviour:
        return self._behaviours.get(path) or self._behaviours[b"*"]

    def ledger(self, path: bytes) -> Ledger:
        ledger = self.ledgers.get(path)
        if ledger is None:
            ledger = self.ledgers[path] = self._new_ledger()
        return ledger

    def fails(self, behaviour: Behaviour) -> bool:
        return behaviour.failure_rate > 0 and self._random.random() < behaviour.failure_rate

    def set(self, path: str, **changes: Any) -> None:
        """Changes the behaviour of `path`, or of all that have none of their own with `*`."""
        key = path.encode()
        self._behaviours[key] = replace(self.behaviour(key), **changes)

    def reset(self) -> None:
        self.ledgers.clear()
        self.statuses.clear()

    def stats(self, *, paths: bool) -> dict[str, Any]:
        stats = summary(list(self.ledgers.values()))
        stats["statuses"] = {str(status): count for status, count in self.statuses.items()}
        stats["connections"] = self.connections
        stats["cpu_s"] = time.process_time()
        if paths:
            stats["paths"] = {path.decode(): ledger.summary() for path, ledger in self.ledgers.items()}
        return stats


class TargetProtocol(asyncio.Protocol):
    """One connection. Requests on it are answered in the order in which they came; senders do not pipeline."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without being derived from it
        self._target.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._target.connections -= 1

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while buffer:
            head_end = buffer.find(END_OF_HEAD)
            if head_end < 0:
                break
            head = buffer[:head_end].lower()
            end = head_end + len(END_OF_HEAD) + int(header(head, b"content-length") or 0)
            if len(buffer) < end:
                break
            path = buffer[buffer.index(b" ") + 1 : head_end].split(b" ", 1)[0]
            self._request(path, head, buffer[head_end + len(END_OF_HEAD) : end])
            buffer = buffer[end:]
        assert len(buffer) <= REQUEST_LIMIT
        self._buffer = buffer

    def _request(self, path: bytes, head: bytes, body: bytes) -> None:
        if path.startswith(b"/__"):
            self._control(path, body)
            return
        now_ns = time.monotonic_ns()
        target = self._target
        ledger = target.ledger(path)
        rank = RANKS.get(header(head, b"webhook-event"), DECLINED_RANK)
        call_id = number(body, b'"call_id":') if rank < DECLINED_RANK else None
        ledger.arrived(call_id, rank, now_ns)
        behaviour = target.behaviour(path)
        if behaviour.hang:
            return
        if target.fails(behaviour):
            status, settle = behaviour.failure_status, None
        else:
            sent_ns = number(body, b'"sent_ns":')
            lag_ns = now_ns - sent_ns if sent_ns else 0
            event_id = header(head, b"webhook-id")
            ledger.taken(event_id)
            status, settle = 200, (event_id, call_id, rank, lag_ns)
        target.statuses[status] += 1
        if behaviour.latency_ms:
            asyncio.get_running_loop().call_later(behaviour.latency_ms / 1e3, self._finish, ledger, status, settle)
        else:
            self._finish(ledger, status, settle)

    def _finish(self, ledger: Ledger, status: int, settle: tuple[bytes, int | None, int, int] | None) -> None:
        """Answers, and only then holds the event for delivered: a later step that is here already has overtaken it."""
        if settle is not None:
            ledger.settled(*settle)
        self._answer(OK if status == 200 else failure(status))

    def _control(self, path: bytes, body: bytes) -> None:
        answer: dict[str, Any] = {}
        if path == b"/__count":
            answer = {"delivered": sum(len(ledger.delivered) for ledger in self._target.ledgers.values())}
        elif path.startswith(b"/__stats"):
            answer = self._target.stats(paths=path.endswith(b"?paths"))
        elif path == b"/__reset":
            self._target.reset()
        elif path == b"/__set":
            self._target.set(**json.loads(body))
        else:
            self._answer(failure(404))
            return
        encoded = json.dumps(answer).encode()
        self._answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(encoded), encoded))

    def _answer(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


def header(head: bytes, name: bytes) -> bytes:
    """The value of a header in a lower-cased head, or nothing."""
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else None].strip()


def number(body: bytes, member: bytes) -> int | None:
    """The integer that follows `member` (a quoted name and its colon), without decoding the whole body."""
    start = body.find(member)
    if start < 0:
        return None
    start += len(member)
    end = body.find(b",", start)
    return int(body[start:end])


def failure(status: int) -> bytes:
    body = b'{"error":"as told"}'
    head = b"HTTP/1.1 %d Failure\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


async def serve(*, port: int, tls_port: int, certificate: str | None, key: str | None) -> None:
    """Serves on loopback (port 0: any free one), plain and, with a certificate, over TLS, until cancelled."""
    loop = asyncio.get_running_loop()
    target = Target()
    plain = await loop.create_server(lambda: TargetProtocol(target), "127.0.0.1", port, backlog=1024)
    ports = {"port": plain.sockets[0].getsockname()[1]}
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        tls = await loop.create_server(lambda: TargetProtocol(target), "127.0.0.1", tls_port, ssl=context, backlog=1024)
        ports["tls_port"] = tls.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="any free one unless set")
    parser.add_argument("--tls-port", type=int, default=0)
    parser.add_argument("--certificate", help="PEM file; serves TLS on a second port")
    parser.add_argument("--key", help="PEM file of the certificate's key")
    uvloop.run(serve(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
