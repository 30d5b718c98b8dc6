"""Whether the database answers at this moment, asked several times a second.

Between two pushes nothing else would notice within a second or two that it is away: the lease, which is renewed
once a second, is good for ten. Invariant: a question that has no answer in time counts as none, so a database
that is frozen, and takes connections and statements without an end, is away like one that refuses them.
"""

from __future__ import annotations

import asyncio

import asyncpg

from gateway.errors import Unavailable
from gateway.log import OutcomeUnknown
from gateway.store.session import Connect, Session

ASK_EVERY_S = 0.3
ANSWER_S = 1.5
"""With the pause before it within the 2 s in which a push is answered as well."""


class Pulse:
    """One loop, on a connection of its own. `beats` starts as True: a start has just used the database."""

    def __init__(self, dsn: str, *, connect: Connect = asyncpg.connect) -> None:
        self._session = Session(dsn, name="gateway pulse", timeout_s=ANSWER_S, connect=connect)
        self.beats = True

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self.beats = await self._answers()
                await asyncio.sleep(ASK_EVERY_S)
        finally:
            await self._session.close()

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_S):
                try:
                    await self._session.fetch("SELECT 1")
                except OutcomeUnknown:  # one connection was cut, which says nothing about the next
                    await self._session.fetch("SELECT 1")
        except (Unavailable, TimeoutError):
            return False
        return True
