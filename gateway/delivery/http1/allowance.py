"""How many connections all pools together may have, so that the process never runs out of file descriptors.

Invariant: a pool without a connection is served before any that has one, so however many hang at hostile targets,
a healthy one waits at the longest until somebody's next attempt ends.
"""

from __future__ import annotations

import resource
from typing import Protocol

CONNECTIONS_LIMIT = 8_192
"""More would cost memory and bring nothing: one event loop does not keep so many busy."""
DESCRIPTORS_WANTED = 16_384
SHARE = 0.75
"""Of the file descriptors. The rest is for the switch, the console, the database and files."""


class Claimant(Protocol):
    """A pool, as the allowance sees it."""

    @property
    def held(self) -> int:
        """Its connections and dials."""

    def use_room(self) -> None:
        """Dial for what waits, as far as the allowance lets it; claim again if something still waits."""

    def spare_one(self) -> bool:
        """Close a connection that is idle, if there is one."""


class Allowance:
    """Counts connections from the start of their dial. Nothing in it waits: pools are called back when one ends."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._claims: dict[Claimant, None] = {}
        self._holders: dict[Claimant, None] = {}
        """Pools that may have an idle connection, the one that dialled least recently first."""
        self._serving = False

    def has_room_for(self, pool: Claimant) -> bool:
        """May this pool have one more? None gets more than it leaves for all the others together."""
        return pool.held < self._left

    @property
    def is_short(self) -> bool:
        """Whether pools wait and nothing is left: who is done with a connection shall give it up."""
        return self._left <= 0 and bool(self._claims)

    def take(self, pool: Claimant) -> None:
        self._left -= 1
        self._holders.pop(pool, None)
        self._holders[pool] = None

    def give(self, pool: Claimant) -> None:
        self._left += 1
        if not pool.held:
            self._holders.pop(pool, None)
        self._serve()

    def claim(self, pool: Claimant) -> None:
        """Call `use_room` when there may be some. A pool that has nothing at all is given an idle one of another's."""
        self._claims.setdefault(pool)
        if self._left <= 0 and not pool.held:
            any(holder.spare_one() for holder in tuple(self._holders))

    def forget(self, pool: Claimant) -> None:
        self._claims.pop(pool, None)

    def _serve(self) -> None:
        if self._serving or not self._claims:
            return
        self._serving = True  # what is served may end another connection, which comes here again
        try:
            for pool in sorted(self._claims, key=lambda claimant: claimant.held):  # stable: in the order of the claims
                if self.has_room_for(pool):
                    del self._claims[pool]
                    pool.use_room()
        finally:
            self._serving = False


def connections_allowed() -> int:
    """As many as this process has file descriptors for; asks the system for enough of them first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return CONNECTIONS_LIMIT if soft == resource.RLIM_INFINITY else min(int(soft * SHARE), CONNECTIONS_LIMIT)
