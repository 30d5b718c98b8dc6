"""The wheel of deadlines: each attempt that is watched expires once, unless it has ended before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.delivery.http1 import attempt as attempts
from gateway.delivery.http1.attempt import Attempt, Deadlines
from gateway.delivery.transport import Request, Target
from gateway.model import ErrorKind, Outcome

TARGET = Target("http", "target.test", 80, "target.test", "/")


def ignore(outcome: Outcome) -> None:
    pass


class Watched:
    """An attempt under a deadline, and the outcome that it comes to."""

    def __init__(self, deadlines: Deadlines, timeout_s: float, then: Callable[[Outcome], None] = ignore) -> None:
        self.ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._then = then
        self.attempt = Attempt(Request("POST", TARGET, b"", b"", timeout_s), b"", self._done, deadlines)

    def _done(self, outcome: Outcome) -> None:
        self.ended.set_result(outcome)
        self._then(outcome)


@pytest.fixture(params=["exact", "coarse"])
def deadlines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Deadlines:
    """Deadlines for short timeouts, once with timers of their own and once on the wheel."""
    monkeypatch.setattr(attempts, "COARSE_FROM_S", 1.0 if request.param == "exact" else 0.0)
    return Deadlines()


@pytest.mark.parametrize("timeout_s", [0.0, 0.03, 0.12])
async def test_an_attempt_expires_at_its_deadline_and_no_sooner(deadlines: Deadlines, timeout_s: float) -> None:
    outcome = await Watched(deadlines, timeout_s).ended

    assert outcome.error is ErrorKind.TIMEOUT
    assert outcome.duration_us >= int(timeout_s * 1_000_000 * 0.99)


async def test_an_attempt_that_has_ended_does_not_expire(deadlines: Deadlines) -> None:
    early, late = Watched(deadlines, 0.05), Watched(deadlines, 0.15)
    early.attempt.end(Outcome(1))

    await late.ended  # a second outcome of `early` would have raised by now

    assert early.ended.result() == Outcome(1)


async def test_attempts_expire_in_the_order_of_their_deadlines(deadlines: Deadlines) -> None:
    order: list[int] = []

    def note(outcome: Outcome) -> None:
        order.append(outcome.duration_us)

    watched = [Watched(deadlines, timeout_s, note) for timeout_s in (0.3, 0.1, 0.2)]

    await asyncio.gather(*(each.ended for each in watched))

    assert order == sorted(order)
    assert len(order) == 3


async def test_the_end_of_one_may_be_the_end_of_another_that_is_due(deadlines: Deadlines) -> None:
    pair: list[Watched] = []

    def end_the_other(outcome: Outcome) -> None:
        for watched in pair:
            if not watched.ended.done():
                watched.attempt.end(Outcome(1))

    pair += [Watched(deadlines, 0.05, end_the_other), Watched(deadlines, 0.05, end_the_other)]
    outcomes = await asyncio.gather(*(watched.ended for watched in pair))

    assert sorted(outcome.duration_us == 1 for outcome in outcomes) == [False, True]


async def test_the_end_of_one_may_be_the_begin_of_another(deadlines: Deadlines) -> None:
    following: list[Watched] = []

    await Watched(deadlines, 0.05, lambda _: following.append(Watched(deadlines, 0.05))).ended

    assert (await following[0].ended).error is ErrorKind.TIMEOUT


async def test_a_caller_that_raises_does_not_stop_the_others_deadlines(deadlines: Deadlines) -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    def broken(outcome: Outcome) -> None:
        raise LookupError

    watched = [Watched(deadlines, 0.05, broken), Watched(deadlines, 0.05), Watched(deadlines, 0.2)]

    assert all(outcome.error for outcome in await asyncio.gather(*(each.ended for each in watched)))
    assert len(complaints) == 1
