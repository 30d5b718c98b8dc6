"""How much the delivery side keeps in memory. One object, so that a test or a simulation can make everything small.

Invariant: what is past a limit waits in the store, or does not start; nothing is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """All but the last are each lane's own."""

    queue_deliveries: int = 8_000
    """Fresh deliveries that wait in a lane; past them it spills. Fewer than `uncommitted_entries`: they may all have
    to be put away at once."""
    queue_bytes: int = 32 * 1024 * 1024
    retries: int = 256
    """The queue of retries; the rest of them stays in the store until there is room."""
    parked_rows: int = 5_000
    """Stored deliveries that a direct lane remembers; past them it spills."""
    return_rows: int = 1_000
    """A spilling lane with no more stored deliveries than this may go back to direct."""
    loaded: int = 1_024
    """Stored deliveries that a spilling lane reads ahead of its target, while that takes them fast enough."""
    swept_rows: int = 1_000
    """Stored deliveries that a lane looks through again in a second, for one that waited behind another."""
    uncommitted_entries: int = 10_000
    """What the recorder has not committed; past it no attempt starts, for what it did could not be kept."""
