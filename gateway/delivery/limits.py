"""How much the delivery side keeps in memory. One object, so that a test or a simulation can make everything small.

Invariant: what is past a limit waits in the store, or does not start; nothing is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The first four are each lane's own."""

    queue_deliveries: int = 2_000
    """Fresh deliveries that wait in a lane; past them it spills."""
    queue_bytes: int = 8 * 1024 * 1024
    retries: int = 256
    """The queue of retries; the rest of them stays in the store until there is room."""
    parked_rows: int = 5_000
    """Stored deliveries that a direct lane remembers; past them it spills."""
    return_rows: int = 1_000
    """A spilling lane with no more stored deliveries than this may go back to direct."""
    uncommitted_entries: int = 10_000
    """What the recorder has not committed; past it no attempt starts, for what it did could not be kept."""
