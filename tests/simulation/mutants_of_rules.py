"""Gateways that break one of the rules of delivering: the breaker, the waits, the rows, the recovery.

Each is put to a mix of troubles that is aimed at its rule. Invariant: as in `mutants.py`, each is the real gateway
with one part replaced.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.delivery.breaker import Breaker
from gateway.delivery.delivery import Delivery
from gateway.delivery.lane.lane import Lane
from gateway.delivery.recorder import Entry
from gateway.log import DeliveryRow
from gateway.store.log import PostgresLog
from tests.simulation.mutants import Mutant, lanes
from tests.simulation.process import Parts
from tests.simulation.troubles import DOUBTS, DOWN, OWNERS, PICKY
from tests.simulation.world import Make


class StaysOpen(Breaker):
    def _close(self) -> None:
        return None


class NeverTrustsAgain(Lane):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.target.breaker = StaysOpen()


class WaitsForEver(Lane):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.rows._set_deadline = lambda *_: None  # type: ignore[method-assign]


class WaitsForNobody(Lane):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)

        def set_deadline(delivery: Delivery, now_s: float) -> None:
            delivery.wait_until = datetime.fromtimestamp(now_s, UTC)

        self.rows._set_deadline = set_deadline  # type: ignore[method-assign]


class ForgetsRetries(Lane):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        write = self.rows.write

        def write_without_retry(entry: Entry, delivery: Delivery) -> None:
            row = None if entry.attempt is not None else entry.row
            write(Entry(delivery, entry.attempt, row=row, removed=entry.removed, recorded=entry.recorded), delivery)

        self.rows.write = write_without_retry  # type: ignore[method-assign]


class BelievesAnyLoad(Lane):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)

        def is_outdated(_: DeliveryRow) -> bool:
            return False

        self.backlog.is_outdated = is_outdated  # type: ignore[method-assign, assignment]


class RecoversOneTooLate(PostgresLog):
    async def read_unsettled(self, after_id: str, limit: int) -> Any:
        return (await super().read_unsettled(after_id, limit))[1:]


RULES = (
    Mutant("the breaker never closes", lanes(NeverTrustsAgain), mix=DOWN),
    Mutant("a call waits for ever", lanes(WaitsForEver), mix=PICKY),
    Mutant("a call waits for nobody", lanes(WaitsForNobody), mix=PICKY),
    Mutant("a retry gets no row", lanes(ForgetsRetries), mix=PICKY),
    Mutant("any load is believed", lanes(BelievesAnyLoad), mix=DOWN),
    Mutant("recovery starts one too late", Make(parts=Parts(log=RecoversOneTooLate)), mix=(*OWNERS, *DOUBTS)),
)
