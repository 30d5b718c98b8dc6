"""What all lanes share, handed to each of them when it is made.

Invariant: nothing in here belongs to one lane; each part has its own owner, and outlives the lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.delivery.budget import Budget
from gateway.delivery.gate import Gate
from gateway.delivery.limits import Limits
from gateway.delivery.recorder import Recorder
from gateway.delivery.transport import Target, Transport
from gateway.ids import IdSource
from gateway.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`gone` is told of a webhook, and of its URL that answered 410; `nudge` wakes the loader."""

    recorder: Recorder
    transport: Transport
    gate: Gate
    clock: Clock
    budget: Budget
    ids: IdSource
    metrics: Metrics
    parse_target: Callable[[str], Target]
    retry_schedule_s: tuple[float, ...]
    chance: Callable[[], float]
    gone: Callable[[str, str], None]
    nudge: Callable[[], None]
    limits: Limits = field(default_factory=Limits)
