"""Kill it under load, again and again, and compare the two ledgers: `python -m tests.acceptance.torture --rounds 200`.

Three webhooks: one that answers at once, one that takes its time, one that fails now and then, so that a kill
finds deliveries in every state. Invariant: what may be doubled is known by name before the program comes back:
what the target had been sent and the log did not yet hold.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import asyncpg
from rich.console import Console
from rich.table import Table

from tests.acceptance.administrator import Administrator
from tests.acceptance.program import Gateway, RecordTarget, Switch, add_webhook

PATHS = ("/t/quick", "/t/slow", "/t/flaky")
LINES = 24
RATE_PER_S = 300.0
VICTIMS = {
    "gateway": "kill -9",
    "restless": "kill -9 amid changes",
    "postgres": "kill -9 of the database",
    "both": "kill -9 of both at once",
    "stop": "SIGTERM",
    "frozen": "frozen past its lease",
}
UP_S = (0.1, 0.9)
"""Bounds of the random time between ready and the next kill."""
DRAIN_TIMEOUT_S = 60.0
BACK_TIMEOUT_S = 60.0
POLL_S = 0.01
PIPED_WIDTH = 150
RETRY_SCHEDULE = ",".join(["200ms"] * 99)


@dataclass(slots=True)
class Verdict:
    """The ledgers compared. `in_flight` counts, over all kills, what was sent to a target but not yet in the log."""

    kills: int = 0
    changes: int = 0
    ended_by_itself: int = 0
    accepted: int = 0
    delivered: int = 0
    lost: int = 0
    doubled: int = 0
    doubled_unexplained: int = 0
    in_flight: int = 0
    overtaken: int = 0
    unanswered: int = 0
    back_s: list[float] = field(default_factory=list)
    """From each kill until a push that was sent after it was answered 202, in seconds."""


class Torture:
    """A gateway, its switch and its target, and what is learned at each kill."""

    def __init__(self, folder: Path, *, seed: int = 1) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._target = RecordTarget()
        self._webhooks: dict[str, str] = {}
        self._in_flight: dict[str, set[str]] = {path: set() for path in PATHS}
        self._verdict = Verdict()
        self._owner: Gateway
        self._standby: Gateway
        self._switch: Switch
        self._starting: asyncio.Task[float]

    async def run(self, rounds: int, *, victim: str = "gateway", told: Callable[[int], None] | None = None) -> Verdict:
        """`rounds` times what `VICTIMS` says of `victim`, then everything is let through and counted."""
        strike = {
            "gateway": self._kill_gateway,
            "restless": self._kill_gateway,
            "postgres": self._kill_postgres,
            "both": self._kill_both,
            "stop": self._stop_gateway,
            "frozen": self._freeze_gateway,
        }[victim]
        async with self._target as target, AsyncExitStack() as stack:
            target.set("/t/slow", latency_ms=20.0)
            target.set("/t/flaky", failure_rate=0.05)
            self._owner, self._standby = self._gateway("first"), self._gateway("second")
            for gateway in (self._standby, self._owner):  # which closes first: it may have started the database
                stack.push_async_callback(gateway.close)
            await self._owner.start()
            for path in PATHS:
                self._webhooks[path] = await add_webhook(self._owner, target.url(path))
            self._switch = Switch(self._owner, lines=LINES, rate_per_s=RATE_PER_S)
            pushing = asyncio.create_task(self._switch.run())
            administrator = None
            if victim == "restless":
                administrator = Administrator(self._owner, target, self._webhooks, seed=self._random.randrange(1_000))
                await stack.enter_async_context(administrator)
            for round in range(rounds):
                if victim == "frozen":
                    await self._stand_by()
                await asyncio.sleep(self._random.uniform(*UP_S))
                struck = time.monotonic()
                await strike()
                await self._until_it_accepts(struck)
                self._verdict.kills += 1
                if told is not None:
                    told(round + 1)
            self._switch.stop()
            await pushing
            if administrator is not None:
                await administrator.settle()
                self._verdict.changes = administrator.changes
            await self._compare()
        return self._verdict

    def _gateway(self, name: str) -> Gateway:
        """One on the database of all."""
        gateway = Gateway(
            self._folder / "data",
            egress_ports=[self._target.port],
            environment={"GATEWAY_RETRY_SCHEDULE": RETRY_SCHEDULE},
        )
        gateway.log = self._folder / f"{name}.log"
        return gateway

    # ── What is done to it ──────────────────────────────────────────────────────────────────────────────────────

    async def _kill_gateway(self) -> None:
        self._owner.kill9()
        await self._owner.ended()
        await self._note_in_flight()
        await self._owner.start()

    async def _stop_gateway(self) -> None:
        """Not a kill but a polite stop, under load all the same: after it nothing may be in flight."""
        assert await self._owner.term() == 0, self._owner.log_tail()
        await self._owner.start()

    async def _kill_postgres(self) -> None:
        """The gateway is frozen for a moment, so that what is in flight can be looked up before the database dies."""
        os.kill(await self._freeze_and_note(self._owner), signal.SIGKILL)
        os.kill(self._owner.pid, signal.SIGCONT)

    async def _kill_both(self) -> None:
        """As when the machine loses its power, but for the file system."""
        os.kill(await self._freeze_and_note(self._owner), signal.SIGKILL)
        self._owner.kill9()
        await self._owner.ended()
        await self._owner.start()

    async def _freeze_gateway(self) -> None:
        """A standby takes over when the lease has run out. The old owner wakes up beside it, and has to end."""
        old, new = self._owner, self._standby
        await self._freeze_and_note(old)
        try:
            await self._starting
        finally:
            os.kill(old.pid, signal.SIGCONT)
        self._owner, self._standby = new, old
        self._switch.gateway = new
        assert await old.ended() not in (0, None), old.log_tail()

    async def _freeze_and_note(self, gateway: Gateway) -> int:
        """It stops as it is, and what it has in flight is noted; the id of the database's process."""
        os.kill(gateway.pid, signal.SIGSTOP)
        await self._note_in_flight()
        postmaster = gateway.postmaster_pid()
        assert postmaster is not None
        return postmaster

    async def _stand_by(self) -> None:
        """Start the other gateway, which waits for the lease of the first."""
        self._starting = asyncio.create_task(self._standby.start())
        while not await self._standby.stands_by():
            assert not self._starting.done(), self._standby.log_tail()
            await asyncio.sleep(POLL_S)

    async def _until_it_accepts(self, since: float) -> None:
        """Until a push that was sent after that is answered 202. A gateway that ended by itself is started again."""
        deadline = time.monotonic() + BACK_TIMEOUT_S
        while self._switch.accepted_until <= since:
            assert time.monotonic() < deadline, self._owner.log_tail()
            if not self._owner.running:
                self._verdict.ended_by_itself += 1
                await self._note_in_flight()
                await self._owner.start()
            await asyncio.sleep(POLL_S)
        self._verdict.back_s.append(time.monotonic() - since)

    # ── What came of it ─────────────────────────────────────────────────────────────────────────────────────────

    async def _note_in_flight(self) -> None:
        """What was delivered to a target, or is being, and has no successful attempt in the log."""
        connection = await asyncpg.connect(self._owner.dsn)
        try:
            for path, webhook_id in self._webhooks.items():
                sent = self._target.record(path).sent
                rows = await connection.fetch(
                    "SELECT event_id FROM attempts WHERE ok AND webhook_id = $1 AND event_id = ANY($2::uuid[])",
                    UUID(webhook_id),
                    [UUID(event_id) for event_id in sent],
                )
                unlogged = sent - {str(row["event_id"]) for row in rows}
                self._in_flight[path] |= unlogged
                self._verdict.in_flight += len(unlogged)
        finally:
            await connection.close()

    async def _compare(self) -> None:
        verdict, switch = self._verdict, self._switch
        verdict.accepted = len(switch.accepted)
        verdict.unanswered = switch.unanswered
        for path in PATHS:
            missing = await self._target.delivered(path, set(switch.accepted), timeout_s=DRAIN_TIMEOUT_S)
            verdict.lost += len(missing)
        await self._owner.term()  # whatever it might still have sent twice, it has sent when it has stopped
        for path in PATHS:
            record = self._target.record(path)
            verdict.delivered += len(record.ids)
            verdict.doubled += record.doubled.total()
            verdict.doubled_unexplained += len(set(record.doubled) - self._in_flight[path])
            verdict.overtaken += record.overtaken


def table(verdicts: dict[str, Verdict]) -> Table:
    shown = Table(title=f"under {RATE_PER_S:.0f} events/s to {len(PATHS)} webhooks", title_justify="left")
    shown.add_column("what was done", no_wrap=True)
    for heading in (
        "times",
        "accepted",
        "delivered",
        "lost",
        "doubled",
        "in flight then",
        "overtaken",
        "accepting after, s",
    ):
        shown.add_column(heading, justify="right")
    for victim, verdict in verdicts.items():
        back_s = sorted(verdict.back_s) or [0.0]
        unexplained = f" ({verdict.doubled_unexplained} not in flight)" if verdict.doubled_unexplained else ""
        shown.add_row(
            VICTIMS[victim] + (f", ended by itself {verdict.ended_by_itself}" if verdict.ended_by_itself else ""),
            *(f"{count:,}" for count in (verdict.kills, verdict.accepted, verdict.delivered, verdict.lost)),
            f"{verdict.doubled:,}{unexplained}",
            *(f"{count:,}" for count in (verdict.in_flight, verdict.overtaken)),
            f"{back_s[len(back_s) // 2]:.1f}, at most {back_s[-1]:.1f}",
        )
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="kills of the gateway")
    parser.add_argument("--restless-rounds", type=int, default=50, help="kills while somebody changes the webhooks")
    parser.add_argument("--postgres-rounds", type=int, default=20, help="kills of PostgreSQL")
    parser.add_argument("--both-rounds", type=int, default=20, help="kills of both at once")
    parser.add_argument("--stop-rounds", type=int, default=20, help="polite stops of the gateway")
    parser.add_argument("--frozen-rounds", type=int, default=10, help="take-overs by a standby from a frozen owner")
    parser.add_argument("--seed", type=int, default=1, help="when the kills fall")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    verdicts: dict[str, Verdict] = {}
    asked = {
        "gateway": arguments.rounds,
        "restless": arguments.restless_rounds,
        "postgres": arguments.postgres_rounds,
        "both": arguments.both_rounds,
        "stop": arguments.stop_rounds,
        "frozen": arguments.frozen_rounds,
    }
    for victim, rounds in asked.items():
        if rounds:
            with tempfile.TemporaryDirectory(prefix="torture-") as folder, console.status(victim) as status:
                Path(folder).chmod(0o755)
                torture = Torture(Path(folder), seed=arguments.seed)
                told = lambda done, of=rounds, name=victim: status.update(f"{name}: {done} of {of}")  # noqa: E731
                verdicts[victim] = asyncio.run(torture.run(rounds, victim=victim, told=told))
    console.print(table(verdicts))
    return 1 if any(each.lost or each.doubled_unexplained or each.overtaken for each in verdicts.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
