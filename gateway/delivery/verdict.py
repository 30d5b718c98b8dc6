"""What a failed attempt means for its delivery: when it is due again, or that it has failed for good.

Pure: time and chance come in as arguments. Invariant: only what the target did costs a place in the retry schedule.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.delivery.retry import next_wait_s, parse_retry_after
from gateway.model import DeliveryState, ErrorKind, Outcome

GONE = 410
"""The status that pauses a webhook: its target says that it wants nothing more, ever."""


class Verdict(msgspec.Struct, frozen=True):
    """The state of the delivery's row, its tries, and the seconds until it is due."""

    state: DeliveryState
    tries: int
    wait_s: float


def judge(outcome: Outcome, tries: int, *, schedule_s: Sequence[float], chance: float, now_s: float) -> Verdict:
    """What follows from a failure, where `tries` were made before it. `now_s` is Unix time, `chance` in [0, 1)."""
    if outcome.error is ErrorKind.ABANDONED:  # it was the gateway that gave up, not the target
        return Verdict(DeliveryState.RETRYING if tries else DeliveryState.QUEUED, tries, 0.0)
    if says_gone(outcome):  # the webhook is paused; when it is resumed this is tried at once
        return Verdict(DeliveryState.QUEUED, tries, 0.0)
    tries += 1
    wait_s = next_wait_s(schedule_s, tries, retry_after_s=_retry_after_s(outcome, now_s), chance=chance)
    if wait_s is None:
        return Verdict(DeliveryState.FAILED, tries, 0.0)
    return Verdict(DeliveryState.RETRYING, tries, wait_s)


def says_gone(outcome: Outcome) -> bool:
    return outcome.response is not None and outcome.response.status == GONE


def reason(outcome: Outcome) -> str:
    """Of a failure, in a word or two."""
    return str(outcome.error) if outcome.response is None else f"HTTP {outcome.response.status}"


def _retry_after_s(outcome: Outcome, now_s: float) -> float | None:
    if outcome.response is None:
        return None
    for name, value in outcome.response.headers:
        if name == "retry-after":
            return parse_retry_after(value, now_s)
    return None
