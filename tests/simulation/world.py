"""Everything that takes part in one history, and what can happen to it.

Invariant: whatever is broken can be healed, and after `heal` nothing goes wrong any more: what is then still not
settled never will be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

from gateway.clock import Clock
from gateway.delivery.limits import Limits
from gateway.model import Webhook, WebhookState
from gateway.telemetry.metrics import Metrics
from tests.simulation import inside
from tests.simulation.database import Database
from tests.simulation.kernel import Kernel
from tests.simulation.ledger import Ledger
from tests.simulation.process import Parts, Process
from tests.simulation.server import Server, Weather
from tests.simulation.switch import Switch
from tests.simulation.targets import Mood, Targets


@dataclass(frozen=True, slots=True)
class Make:
    """What worlds are made of; a mutant replaces something."""

    parts: Parts = field(default_factory=Parts)
    database: type[Database] = Database
    server: type[Server] = Server


@dataclass(frozen=True, slots=True)
class Setting:
    """What a world begins with."""

    webhooks: Sequence[Webhook]
    limits: Limits
    budget_bytes: int
    weather: Weather
    standbys: int


class World:
    """`story` is None where nobody wants to read it."""

    def __init__(
        self, setting: Setting, chance: Random, *, make: Make, metrics: Metrics, story: list[str] | None
    ) -> None:
        self.chance = chance
        self.story = story
        self.metrics = metrics
        self.limits = setting.limits
        self.budget_bytes = setting.budget_bytes
        self.webhooks = {webhook.id: webhook for webhook in setting.webhooks}
        self.kernel = Kernel(chance, failed=self._failed)
        self.ledger = Ledger(now=lambda: self.kernel.now, webhooks=self.webhooks, tell=self.tell)
        self.loop = self.kernel.loop("world")
        self.clock = Clock(self.loop.time, self.kernel.wall_s)
        self.database = make.database(self.ledger)
        self.server = make.server(self.kernel, self.database, chance)
        self.server.weather = setting.weather
        self.targets = Targets(self.loop, self.ledger, chance, self.tell)
        self.targets.moods = {id: Mood() for id in self.webhooks}
        self.switch = Switch(self, chance)
        self.processes: list[Process] = []
        self.all: list[Process] = []
        self.is_closing = False
        self._parts = make.parts
        for _ in range(1 + setting.standbys):
            self.start()

    def _failed(self, what: str) -> None:
        self.ledger.violated(what)

    def tell(self, what: str, *args: object) -> None:
        if self.story is not None:
            self.story.append(f"{self.kernel.now:9.3f}  {what % args}")

    # --- processes ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """One more process: it owns the shards, or waits for them."""
        if not self.is_closing:
            process = Process(self, f"p{len(self.all) + 1}", parts=self._parts)
            self.tell("%s starts", process.name)
            self.processes.append(process)
            self.all.append(process)

    def some_process(self) -> Process | None:
        return self.chance.choice(self.processes) if self.processes else None

    def door(self) -> Process | None:
        """Where a push goes: to any process that takes pushes, or took them when it was last heard of."""
        ready = [process for process in self.processes if process.is_ready]
        return self.chance.choice(ready) if ready else None

    def kill(self, process: Process) -> None:
        """At one of its next steps."""

        def blown() -> None:
            self.tell("%s is killed", process.name)
            process.is_over = True
            self._gone(process)
            if not process.link.is_cut:
                self.server.client_died(process.link)

        process.loop.fuse = self.chance.randrange(8)
        process.loop.blown = blown

    def stop(self, process: Process) -> None:
        self.tell("%s is told to stop", process.name)
        process.stop()

    def freeze(self, process: Process) -> None:
        self.tell("%s is frozen", process.name)
        process.loop.runs = False

    def thaw(self, process: Process) -> None:
        if not process.is_over and not process.loop.runs:
            self.tell("%s goes on", process.name)
            process.loop.runs = True

    def cut(self, process: Process) -> None:
        self.tell("%s is cut off from the database", process.name)
        process.link.cut()

    def mend(self, process: Process) -> None:
        if process.link.is_cut:
            self.tell("%s reaches the database again", process.name)
            process.link.mend()
            if process.is_over:
                self.server.client_died(process.link)

    def process_ended(self, process: Process) -> None:
        """By itself, in order or not."""
        self.tell("%s has ended", process.name)
        self.loop.call_later(0.5, inside.no_task_is_left, self.ledger, process)
        self.server.client_died(process.link)
        self._gone(process)

    def _gone(self, process: Process) -> None:
        if process in self.processes:
            self.processes.remove(process)
        self.switch.died(process)
        self.loop.call_later(0.1 + self.chance.random(), self.start)

    # --- what else happens -------------------------------------------------------------------------------------

    def restart_database(self) -> None:
        self.tell("the database is restarted")
        self.server.restart()

    def freeze_database(self, for_s: float) -> None:
        self.tell("the database stands still for %s s", for_s)
        self.server.loop.runs = False
        self.loop.call_later(for_s, self._thaw_database)

    def _thaw_database(self) -> None:
        self.server.loop.runs = True

    def set_state(self, webhook_id: str, state: WebhookState) -> None:
        if self.webhooks[webhook_id].state is not state:
            self.tell("webhook %s is made %s", webhook_id[-1], state)
            self.webhooks[webhook_id] = replace(self.webhooks[webhook_id], state=state)
            for process in self.processes:
                process.loop.call_soon(process.configured, webhook_id)

    def replay(self, pair: tuple[str, str]) -> None:
        """Somebody asks for one delivery once more, through the owner's API."""
        event_id, webhook_id = pair
        self.tell("%s to %s is replayed", event_id, webhook_id[-1])
        self.ledger.asked_again(pair)
        wait_s = self.webhooks[webhook_id].order_wait_s
        now = self.clock.now()
        wait_until = None if wait_s is None else now + timedelta(seconds=wait_s)
        self.database.replay(event_id, webhook_id, now=now, wait_until=wait_until)
        for process in self.processes:
            process.loop.call_soon(process.replayed, webhook_id)

    def heal(self) -> None:
        """From now on all is well."""
        self.tell("everything heals")
        self.server.weather = Weather()
        self._thaw_database()
        for process in self.all:
            self.thaw(process)
            self.mend(process)
        for webhook_id in self.webhooks:
            self.targets.moods[webhook_id] = Mood()
            self.set_state(webhook_id, WebhookState.ACTIVE)

    def noise(self) -> str | None:
        """What is not settled, not recorded, not answered, or left over; None once all is quiet."""
        db = self.database
        pairs = self.ledger.open_pairs()
        if self.switch.open or pairs:
            return f"{self.switch.open} pushes and {pairs} are open"
        if rows := [row for webhook_id in self.webhooks for row in db.waiting(webhook_id)]:
            return f"there are rows of {[(row['event_id'], row['webhook_id']) for row in rows]}"
        if db.event_ids and db.watermark != db.event_ids[-1]:
            return f"the watermark is at {db.watermark}"
        owners = [process for process in self.processes if process.name == db.owner and process.is_ready]
        return inside.left_over(owners[0]) if owners else "nobody owns the shards"

    def bury(self) -> None:
        self.kernel.bury([process.loop for process in self.all])
