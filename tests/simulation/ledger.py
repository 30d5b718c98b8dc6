"""What every observer of a history has seen, and what must never be seen: the checks.

Invariant: a rule here is about what the switch, the database and the targets saw, and hardly ever about the inside of
the gateway, so it holds for any implementation of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.model import Outcome, Webhook, WebhookState
from tests.simulation.manners import Manners
from tests.simulation.patience import Patience

SLACK_S = 0.002
"""Ids and retry times are in milliseconds."""


@dataclass(slots=True)
class Seen:
    """What one process has seen: whose success, and when it became the owner of the shards."""

    owned_at: float | None = None
    owned_after: int = 0
    successes: set[tuple[str, str]] = field(default_factory=set)


class Ledger:
    """Pairs are (event id, webhook id). `violations` says what went wrong, in the order in which it did."""

    def __init__(self, *, now: Callable[[], float], webhooks: dict[str, Webhook], tell: Callable[..., None]) -> None:
        self.violations: list[str] = []
        self.accepted: dict[str, str] = {}
        self.committed_at: dict[str, float] = {}
        self.call_of: dict[str, str | None] = {}
        self.matched: dict[str, Sequence[str]] = {}
        self.calls: defaultdict[str, list[str]] = defaultdict(list)
        self.replayed: set[tuple[str, str]] = set()
        self.processed: Counter[tuple[str, str]] = Counter()
        self.sent_times: Counter[tuple[str, str]] = Counter()
        self.seen: defaultdict[str, Seen] = defaultdict(Seen)
        self.failed: set[tuple[str, str]] = set()
        self.success_at: dict[tuple[str, str], float] = {}
        self.settled_at: dict[tuple[str, str], float] = {}
        self.seen_successful: set[tuple[str, str]] = set()
        self.lease_until: dict[str, float] = {}
        self.paused: set[tuple[str, str]] = set()
        """Processes, and webhooks that they have been told to leave alone."""
        self.manners: dict[tuple[str, str], Manners] = {}
        self._ids_of_keys: dict[str, str] = {}
        self.patience: Patience | None = None
        """Of histories in which nothing but single events is wrong."""
        self.webhooks = webhooks
        self.tell = tell
        self._now = now

    def violated(self, what: str) -> None:
        self.violations.append(f"{self._now():.3f}: {what}")

    # --- the switch --------------------------------------------------------------------------------------------

    def answered(self, push: str, key: str | None, event_id: str) -> None:
        """202."""
        self.accepted[event_id] = push
        if event_id not in self.committed_at:
            self.violated(f"{push} was answered 202 as {event_id}, which is not committed")
        if key is not None and self._ids_of_keys.setdefault(key, event_id) != event_id:
            self.violated(f"key {key} was answered as {event_id} and as {self._ids_of_keys[key]}")

    # --- the database ------------------------------------------------------------------------------------------

    def committed(
        self, event_id: str, call_key: str | None, webhook_ids: Sequence[str], key: str | None, watermark: str
    ) -> None:
        self.committed_at[event_id] = self._now()
        self.call_of[event_id] = call_key
        self.matched[event_id] = webhook_ids
        if call_key is not None:
            self.calls[call_key].append(event_id)
        if event_id <= watermark:
            self.violated(f"{event_id} was committed below the watermark {watermark}")

    def success_committed(self, event_id: str, webhook_id: str, *, settles: bool) -> None:
        self.success_at.setdefault((event_id, webhook_id), self._now())
        if settles:
            self.settled_at.setdefault((event_id, webhook_id), self._now())

    def row_added(self, process: str, event_id: str, webhook_id: str) -> None:
        """A process that took over before a success was recorded may have found it open: it is, then."""
        pair = event_id, webhook_id
        settled_at, owned_at = self.settled_at.get(pair), self.seen[process].owned_at
        if settled_at is None or pair in self.replayed:
            return
        if owned_at is not None and settled_at < owned_at:
            self.violated(f"{process} stores {pair}, which was settled before it took over")
        del self.settled_at[pair]

    def failed_for_good(self, event_id: str, webhook_id: str) -> None:
        self.failed.add((event_id, webhook_id))

    def watermark_moved(self, watermark: str, *, unsettled: Sequence[tuple[str, str]]) -> None:
        if unsettled:
            self.violated(f"the watermark {watermark} is past {unsettled}, which is not settled")

    # --- the processes -----------------------------------------------------------------------------------------

    def owned(self, process: str) -> None:
        self.seen[process].owned_at = self._now()

    def configured(self, process: str, webhook: Webhook) -> None:
        """A process has been told of a webhook's settings."""
        if webhook.state is WebhookState.ACTIVE:
            self.paused.discard((process, webhook.id))
        else:
            self.paused.add((process, webhook.id))

    def sent(self, process: str, pair: tuple[str, str]) -> None:
        """A request left the process."""
        if self.patience is not None and (left := self.patience.sends(pair[1], self._now())) is not None:
            self.violated(left)
        self.sent_times[pair] += 1
        wrong = self._manners(process, pair[1]).sends(pair[0], self._now())
        if wrong is not None:
            self.violated(f"{process} to {pair[1]}: {wrong}")
        if (process, pair[1]) in self.paused:
            self.violated(f"{process} sends {pair} to a webhook that is paused")
        if self._now() > self.lease_until[process]:
            self.violated(f"{process} sends {pair}, and its lease has run out")
        if pair in self.replayed:
            return
        seen = self.seen[process]
        if pair in seen.successes:
            self.violated(f"{process} sends {pair} again, whose success it has seen")
        settled_at = self.settled_at.get(pair)
        if settled_at is not None and seen.owned_at is not None and settled_at < seen.owned_at:
            self.violated(f"{process} sends {pair} again, which was settled before it took over")

    def saw(self, process: str, pair: tuple[str, str], outcome: Outcome) -> None:
        """An attempt ended, as far as its process can tell."""
        self._manners(process, pair[1]).sees(pair[0], outcome, self._now())
        if self.patience is not None:
            self.patience.sees(pair, self._now(), ok=outcome.ok)
        if outcome.ok:
            self.seen[process].successes.add(pair)
            self.seen_successful.add(pair)

    def asked_again(self, pair: tuple[str, str]) -> None:
        """It was replayed: from now on it may come twice, late, and out of order."""
        self.replayed.add(pair)
        for (_, webhook_id), manners in self.manners.items():
            if webhook_id == pair[1]:
                manners.replayed(pair[0])

    def _manners(self, process: str, webhook_id: str) -> Manners:
        found = self.manners.get((process, webhook_id))
        if found is None:
            found = self.manners[process, webhook_id] = Manners(self.webhooks[webhook_id])
            for event_id, replayed_at in self.replayed:
                if replayed_at == webhook_id:
                    found.replayed(event_id)
        return found

    # --- the targets -------------------------------------------------------------------------------------------

    def arrived(self, pair: tuple[str, str], overtook: str | None) -> None:
        """A request reached its target: no earlier step of its call may be open."""
        event_id, webhook_id = pair
        webhook = self.webhooks[webhook_id]
        call_key = self.call_of.get(event_id)
        if event_id not in self.committed_at:
            self.violated(f"{pair} was sent and is not committed")
        if call_key is None or webhook.order_wait_s is None or pair in self.replayed:
            return
        for earlier in self.calls[call_key]:
            if earlier >= event_id or webhook_id not in self.matched[earlier] or self._is_settled(earlier, webhook_id):
                continue
            if overtook is None:
                self.violated(f"{event_id} overtook {earlier} of call {call_key} at {webhook_id}")
            elif self._now() < self.committed_at[event_id] + webhook.order_wait_s - SLACK_S:
                self.violated(f"{event_id} did not wait for {earlier} of call {call_key} at {webhook_id}")

    def _is_settled(self, event_id: str, webhook_id: str) -> bool:
        pair = event_id, webhook_id
        return pair in self.seen_successful or pair in self.success_at or pair in self.failed or pair in self.replayed

    # --- the end -----------------------------------------------------------------------------------------------

    def open_pairs(self) -> list[tuple[str, str]]:
        """What was committed and is neither delivered (and recorded so) nor failed for good."""
        return [
            (event_id, webhook_id)
            for event_id, webhook_ids in self.matched.items()
            for webhook_id in webhook_ids
            if (event_id, webhook_id) not in self.success_at and (event_id, webhook_id) not in self.failed
        ]

    def close(self) -> None:
        """After everything has healed and become quiet."""
        for event_id, push in self.accepted.items():
            if event_id not in self.committed_at:
                self.violated(f"{push} was answered 202 as {event_id} and is not in the log")
        for pair in self.open_pairs():
            self.violated(f"{pair} was committed and never settled")
        for pair in self.success_at:
            if not self.processed[pair]:
                self.violated(f"{pair} is recorded as delivered and was never processed by its target")
        for pair in self.failed - self.success_at.keys():
            schedule_s = self.webhooks[pair[1]].retry_schedule_s or ()
            if self.sent_times[pair] <= len(schedule_s):
                self.violated(f"{pair} was given up after {self.sent_times[pair]} attempts")
