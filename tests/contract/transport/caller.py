"""The calling side of the suite: it sends requests, and counts how often each one ends."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Protocol

from gateway.delivery.transport import Pool, Request
from gateway.model import Outcome

from .target import Script, ScriptedTarget

PATIENCE_S = 20.0
"""The deadline of a request whose deadline is not the subject."""


class Listen(Protocol):
    async def __call__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> ScriptedTarget: ...


@dataclass
class Caller:
    """Sends requests through one pool."""

    pool: Pool
    endings: list[int] = field(default_factory=list)

    def start(
        self,
        target: ScriptedTarget,
        *,
        method: str = "POST",
        path: str = "/hook",
        host: str | None = None,
        head: bytes = b"",
        body: bytes | None = b"{}",
        timeout_s: float = PATIENCE_S,
        secure: bool | None = None,
    ) -> asyncio.Future[Outcome]:
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        index = len(self.endings)
        self.endings.append(0)

        def done(outcome: Outcome) -> None:
            self.endings[index] += 1
            if not ended.done():
                ended.set_result(outcome)

        self.pool.send(Request(method, target.url(path, host=host, secure=secure), head, body, timeout_s), done)
        assert self.endings[index] == 0, "done was called before send had returned"
        return ended
