"""The simulated targets, and the transport that carries requests to them and their answers back.

Invariant: a request that has left is out of its process's hands: it arrives even if the process dies or freezes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from gateway.delivery.transport import Done, Request
from gateway.model import ErrorKind, Outcome, Response
from tests.simulation.kernel import SimulatedLoop
from tests.simulation.ledger import Ledger


@dataclass(slots=True)
class Mood:
    """How one target behaves. The shares are chances for each request; what is left is a 200."""

    latency_s: float = 0.01
    refuses: bool = False
    fails: float = 0.0
    """5xx, nothing processed."""
    rejects: float = 0.0
    """400: it is this event that it does not like."""
    swallows: float = 0.0
    """Processed, and the answer is lost or comes too late."""
    hangs: float = 0.0
    """Nothing processed, nothing answered."""


class Targets:
    """All targets; a webhook's URL names its own by the webhook's id."""

    def __init__(self, loop: SimulatedLoop, ledger: Ledger, chance: Random, tell: Callable[..., None]) -> None:
        self.moods: dict[str, Mood] = {}
        self.loop = loop
        self.ledger = ledger
        self.chance = chance
        self.tell = tell

    def arrive(self, sent: UnderWay) -> None:
        """A request has come: decide what becomes of it."""
        mood = self.moods[sent.webhook_id]
        if mood.refuses:
            sent.answer(Outcome(1000, error=ErrorKind.CONNECT_REFUSED))
            return
        self.ledger.arrived(sent.pair, sent.overtook)
        fate = self.chance.random() - mood.fails
        after_s = self.chance.expovariate(1.0) * mood.latency_s
        if fate < 0:
            status = self.chance.choice((500, 502, 503, 429))
            self.loop.call_later(after_s, sent.answer, answered(status, retry_after_s=self.chance.randrange(4)))
        elif (fate := fate - mood.rejects) < 0:
            self.loop.call_later(after_s, sent.answer, answered(400))
        elif (fate := fate - mood.hangs) < 0:
            return
        else:
            self.loop.call_later(after_s, self._process, sent, fate < mood.swallows)

    def _process(self, sent: UnderWay, answer_is_lost: bool) -> None:
        self.ledger.processed[sent.pair] += 1
        self.tell("%s processes %s attempt %s", sent.webhook_id[-1], sent.event_id, sent.attempt)
        if not answer_is_lost:
            sent.answer(answered(200))
        elif self.chance.random() < 0.5:
            sent.answer(Outcome(1000, error=ErrorKind.DISCONNECTED, detail=self.chance.choice((None, "cut\0off"))))


def answered(status: int, *, retry_after_s: int = 0) -> Outcome:
    headers = (("retry-after", str(retry_after_s)),) if retry_after_s else ()
    return Outcome(1000, response=Response(status, headers, b"", truncated=False))


class UnderWay:
    """One request on its way, and the one outcome of it that its process gets to see."""

    def __init__(self, process: SimulatedLoop, request: Request, done: Done, targets: Targets) -> None:
        names = dict(line.split(b": ", 1) for line in request.head.split(b"\r\n") if line)
        self.webhook_id = request.target.path[1:]
        self.event_id = names[b"webhook-id"].decode()
        self.attempt = int(names[b"webhook-attempt"])
        overtook = names.get(b"webhook-overtook")
        self.overtook = None if overtook is None else overtook.decode()
        self.pair = self.event_id, self.webhook_id
        self._process = process
        self._targets = targets
        self._done = done
        self._is_over = False
        self._deadline = process.call_later(request.timeout_s, self._ended, Outcome(1000, error=ErrorKind.TIMEOUT))

    def answer(self, outcome: Outcome) -> None:
        """The target's answer is on the process's socket; it takes it when it runs."""
        self._process.call_soon(self._ended, outcome)

    def _ended(self, outcome: Outcome) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._deadline.cancel()
        self._targets.ledger.saw(self._process.name, self.pair, outcome)
        answer = outcome.error if outcome.response is None else outcome.response.status
        self._targets.tell("%s sees %s of %s", self._process.name, answer, self.event_id)
        self._done(outcome)

    def abandon(self) -> None:
        self._ended(Outcome(1000, error=ErrorKind.ABANDONED))


class SimulatedTransport:
    """One process's; implements `gateway.delivery.transport.Transport`. `looked` is called at each request."""

    def __init__(self, process: SimulatedLoop, targets: Targets, looked: Callable[[], None]) -> None:
        self.process = process
        self.looked = looked
        self.targets = targets

    def pool(self, *, max_connections: int) -> SimulatedPool:
        return SimulatedPool(self)

    async def close(self) -> None:
        return None


class SimulatedPool:
    def __init__(self, transport: SimulatedTransport) -> None:
        self._transport = transport
        self._under_way: set[UnderWay] = set()
        self._is_closed = False

    def send(self, request: Request, done: Done) -> None:
        transport = self._transport
        targets = transport.targets
        sent = UnderWay(transport.process, request, done, targets)
        self._under_way = {each for each in self._under_way if not each._is_over} | {sent}
        if self._is_closed:
            transport.process.call_soon(sent.abandon)
            return
        targets.tell(
            "%s sends %s attempt %s to %s", transport.process.name, sent.event_id, sent.attempt, sent.webhook_id[-1]
        )
        targets.ledger.sent(transport.process.name, sent.pair)
        transport.looked()
        targets.loop.call_later(targets.chance.random() * 0.005, targets.arrive, sent)

    async def close(self) -> None:
        self._is_closed = True
        for sent in sorted(self._under_way, key=lambda each: each.pair):
            sent.abandon()
