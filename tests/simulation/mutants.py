"""Gateways that are wrong in one thing each, so that the simulation can prove that it notices.

The last ones bring back what it has found. Invariant: each mutant is the real gateway with one part replaced, and the
real one passes the histories that catch it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway.delivery.breaker import BreakerState
from gateway.delivery.delivery import Delivery
from gateway.delivery.engine import Engine
from gateway.delivery.gate import Gate
from gateway.delivery.lane.lane import Lane
from gateway.delivery.lane.queue import LaneQueue
from gateway.delivery.recorder import Entry, Recorder
from gateway.delivery.surroundings import Surroundings
from gateway.delivery.verdict import Verdict
from gateway.delivery.watermark import Watermark
from gateway.ingress.intake import Intake, Waiting
from gateway.log import AttemptRecord, DeliveryRow, NewEvent
from gateway.model import Webhook
from gateway.store.log import PostgresLog
from tests.simulation.backend import Backend
from tests.simulation.database import Database, Row, Rows
from tests.simulation.process import Parts
from tests.simulation.server import Server
from tests.simulation.troubles import DOUBTS, LATE, OWNERS, Trouble
from tests.simulation.world import Make


@dataclass(frozen=True, slots=True)
class Mutant:
    """It is put to histories of a mix that is aimed at it, or of any; `within` is how many are enough to catch it."""

    name: str
    make: Make
    mix: Sequence[Trouble] | None = None
    within: int = 1_000


# --- accepting -------------------------------------------------------------------------------------------------------


class AnswersBeforeTheCommit(Intake):
    async def _commit(self, batch: list[Waiting]) -> None:
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_result((waiting.new.event.id, False))
        await super()._commit(batch)


class ForgetsDoubts(Intake):
    def _put_back(self, batch: list[Waiting], *, doubtful: bool) -> None:
        super()._put_back(batch, doubtful=False)


class AnswersNothingTwice(PostgresLog):
    """Takes what is written already for another's."""

    async def append(self, batch: Sequence[NewEvent]) -> Any:
        return [None for _ in await super().append(batch)]


class AsksWithoutEndingTheDoubt(PostgresLog):
    async def existing(self, event_ids: Sequence[str]) -> set[str]:
        self._appender.pid = None
        return await super().existing(event_ids)


class NoOnConflict(Database):
    def insert_event(self, row: Row) -> bool:
        if row["id"] in self.events:
            raise asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
        return super().insert_event(row)

    def insert_attempt(self, id: str) -> bool:
        if id in self.attempts:
            raise asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
        return super().insert_attempt(id)


# --- owning ----------------------------------------------------------------------------------------------------------


class NoFence(Database):
    def fence_holds(self, args: Sequence[Any]) -> bool:
        return True


class LeavesConnections(Server):
    def _end_connections(self, backend: Backend, args: Sequence[Any]) -> Rows:
        return []


class TrustsTheLeaseForEver(Gate):
    @property
    def is_open(self) -> bool:
        return not self._reasons - {"lease"}


class RecoversNothingStored(Engine):
    async def recover(self) -> int:
        recovered = await super().recover()
        for lane in self._lanes.values():
            lane.backlog.spilling = False
        return recovered


class OneTooFar(Watermark):
    @property
    def value(self) -> str:
        reached = super().value
        return self._marks[0].last_id if self._marks else reached


class SettlesBeforeTheCommit(Recorder):
    def add(self, entry: Entry) -> None:
        super().add(entry)
        if entry.delivery is not None and entry.delivery.mark is not None:
            entry.delivery.mark.settle()
            entry.delivery.mark = None


# --- delivering ------------------------------------------------------------------------------------------------------


class WrongLanes(Engine):
    """An engine whose lanes are of another kind."""

    lane_type: type[Lane] = Lane

    def webhook_changed(self, webhook: Webhook) -> None:
        if webhook.id not in self._lanes:
            self._lanes[webhook.id] = self._loader.lanes[webhook.id] = self.lane_type(webhook, self._around)
        else:
            super().webhook_changed(webhook)


def lanes(kind: type[Lane]) -> Make:
    return Make(parts=Parts(engine=type(f"Engine{kind.__name__}", (WrongLanes,), {"lane_type": kind})))


class IgnoresParkedCalls(Lane):
    def offer(self, delivery: Delivery) -> None:
        self.backlog._parked.clear()
        super().offer(delivery)


class BelievesOldLoads(Lane):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)

        def is_outdated(row: DeliveryRow) -> bool:
            return row.event_id in self.backlog.in_memory

        self.backlog.is_outdated = is_outdated  # type: ignore[method-assign]


class KeepsRowsOfTheDelivered(Lane):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        write = self.rows.write

        def write_without_removal(entry: Entry, delivery: Delivery) -> None:
            write(Entry(delivery, entry.attempt, row=entry.row, recorded=entry.recorded), delivery)

        self.rows.write = write_without_removal  # type: ignore[method-assign]


class ReturnsWithoutAsking(Lane):
    def end_return(self, left: Sequence[tuple[str, str | None]] | None) -> None:
        super().end_return(None if left is None else [])


class ReturnsToWhatIsGone(Lane):
    def begin_return(self) -> bool:
        """Notes no row that is removed meanwhile, and so believes that it is left."""
        begins = super().begin_return()
        if begins:
            self.backlog._forgotten = _Forgetful()
        return begins


class _Forgetful(set[str]):
    def add(self, element: str) -> None:
        return None


class TriesAtOnce(Lane):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        fail = self.rows.fail

        def fail_at_once(delivery: Delivery, record: AttemptRecord, verdict: Verdict) -> None:
            fail(delivery, record, Verdict(verdict.state, verdict.tries, 0.0))

        self.rows.fail = fail_at_once  # type: ignore[method-assign]


class KnowsNoRest(Lane):
    def pump(self) -> None:
        self.target.breaker.state = BreakerState.CLOSED
        super().pump()


class KnowsNoCalls(LaneQueue):
    """Whatever is queued may start."""

    def add(self, delivery: Delivery) -> None:
        self.count(delivery)
        (self.retries if delivery.tries else self.fresh).append(delivery)

    def succeeded(self, delivery: Delivery) -> None:
        self.discount(delivery)

    def failed(self, delivery: Delivery) -> Sequence[Delivery]:
        self.discount(delivery)
        return ()


class StartsAnything(Lane):
    def __init__(self, webhook: Webhook, surroundings: Surroundings) -> None:
        super().__init__(webhook, surroundings)
        self.queue = KnowsNoCalls(surroundings.budget, surroundings.limits)


# --- what the simulation has found -----------------------------------------------------------------------------------


class RecordsOverADoubt(PostgresLog):
    """A statement of the recorder that was given up came back after the next ones, and with it removed rows."""

    async def _record(self, statement: str, *args: Any) -> Any:
        self._record_is_undecided = False
        return await super()._record(statement, *args)


class HoldsAnythingAside(Lane):
    """A return to direct that took long held whatever came meanwhile in memory."""

    def _hold_aside(self, delivery: Delivery) -> None:
        assert self._return.aside is not None
        self.queue.count(delivery)
        self._return.aside.append(delivery)


class LoadsPastTheHeld(Database):
    """A later event was queued behind one in memory, and passed those between in secret."""

    def load_due(self, args: Sequence[Any]) -> Rows:
        return [{**row, "earlier": row["earlier"][:1]} for row in super().load_due(args)]


MUTANTS = (
    Mutant("the answer comes before the commit", Make(parts=Parts(intake=AnswersBeforeTheCommit))),
    Mutant("a doubtful commit is forgotten", Make(parts=Parts(intake=ForgetsDoubts)), DOUBTS),
    Mutant("a used key is not noticed", Make(parts=Parts(log=AnswersNothingTwice))),
    Mutant(
        "a doubt is asked about while it may still be committed",
        Make(parts=Parts(log=AsksWithoutEndingTheDoubt)),
        DOUBTS,
    ),
    Mutant("ON CONFLICT is removed", Make(database=NoOnConflict), DOUBTS),
    Mutant("fencing is off", Make(database=NoFence), OWNERS),
    Mutant("a take-over leaves the old connections", Make(server=LeavesConnections), LATE),
    Mutant("the lease is trusted for ever", Make(parts=Parts(gate=TrustsTheLeaseForEver)), OWNERS),
    Mutant("recovery forgets what is stored", Make(parts=Parts(engine=RecoversNothingStored))),
    Mutant("the watermark is one too far", Make(parts=Parts(watermark=OneTooFar))),
    Mutant("a delivery is settled before the commit", Make(parts=Parts(recorder=SettlesBeforeTheCommit))),
    Mutant("a parked call is ignored", lanes(IgnoresParkedCalls)),
    Mutant("a load from before a commit is believed", lanes(BelievesOldLoads)),
    Mutant("a success leaves its row", lanes(KeepsRowsOfTheDelivered)),
    Mutant("a lane returns without asking what is left", lanes(ReturnsWithoutAsking)),
    Mutant("a lane returns to what is gone", lanes(ReturnsToWhatIsGone)),
    Mutant("a retry does not wait", lanes(TriesAtOnce)),
    Mutant("the breaker never opens", lanes(KnowsNoRest)),
    Mutant("a lane knows no calls", lanes(StartsAnything)),
    Mutant("the recorder goes on over a doubt", Make(parts=Parts(log=RecordsOverADoubt)), LATE),
    Mutant("a returning lane holds anything aside", lanes(HoldsAnythingAside)),
    Mutant("what waits behind one in memory passes those between", Make(database=LoadsPastTheHeld)),
)
