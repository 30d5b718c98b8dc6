"""Keeps the lease: renews it once a second, and shuts the gate the moment that it may be another's.

Invariant: no attempt starts while the lease is not certainly valid on this process's own clock; so a process
that was frozen and wakes up starts nothing. The gate looks at that clock itself: after a freeze, answers that
came meanwhile are taken before this loop has its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.delivery.gate import Gate
from gateway.errors import Fenced, Unavailable

RENEW_S = 1.0

log = structlog.get_logger(__name__)


class Lease(Protocol):
    """The right to deliver, carried by an epoch that fences earlier owners."""

    @property
    def is_valid(self) -> bool: ...

    async def renew(self, watermark: str) -> None:
        """Renew it, and save up to where everything is settled. Raises `Fenced` or `Unavailable`."""


class LeaseKeeper:
    def __init__(self, lease: Lease, *, gate: Gate, watermark: Callable[[], str]) -> None:
        self._lease = lease
        self._gate = gate
        self._watermark = watermark
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled; ends with `Fenced` when the shards have another owner."""
        while True:
            await asyncio.sleep(RENEW_S)
            if not self._lease.is_valid:
                self._gate.shut("lease")
            try:
                await self.save()
            except Unavailable as error:
                log.warning("lease_not_renewed", error=str(error))
            except Fenced:
                self._gate.shut("lease")
                raise
            if self._lease.is_valid:
                self._gate.open("lease")
            else:
                self._gate.shut("lease")

    async def save(self) -> None:
        async with self._lock:
            await self._lease.renew(self._watermark())
