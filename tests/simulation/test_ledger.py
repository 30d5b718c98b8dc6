"""The checks themselves: what they must see, and what they must not take for a fault."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from gateway.model import ErrorKind, Outcome, WebhookState
from tests.simulation.history import webhook_of
from tests.simulation.ledger import Ledger

WEBHOOK = replace(webhook_of(Random(1), 1), rate_per_s=None)
PAIR = "e1", WEBHOOK.id


class Time:
    now = 0.0


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ledger(time: Time) -> Ledger:
    made = Ledger(now=lambda: time.now, webhooks={WEBHOOK.id: WEBHOOK}, tell=lambda *_: None)
    made.lease_until["p1"] = made.lease_until["p2"] = 100.0
    return made


def test_what_was_replayed_before_its_first_request_need_not_wait_after_a_failure(ledger: Ledger) -> None:
    ledger.asked_again(PAIR)
    for _ in range(2):
        ledger.sent("p1", PAIR)
        ledger.saw("p1", PAIR, Outcome(1000, error=ErrorKind.CONNECT_REFUSED))
    assert ledger.violations == []


def test_a_row_of_what_a_take_over_had_found_open_allows_one_more_request(ledger: Ledger, time: Time) -> None:
    ledger.owned("p1")
    time.now = 1.0
    ledger.success_committed(*PAIR, settles=True)
    ledger.row_added("p1", *PAIR)
    time.now = 2.0
    ledger.owned("p2")
    ledger.sent("p2", PAIR)
    assert ledger.violations == []


def test_a_row_of_what_was_settled_before_the_take_over_is_seen(ledger: Ledger, time: Time) -> None:
    ledger.success_committed(*PAIR, settles=True)
    time.now = 1.0
    ledger.owned("p1")
    ledger.row_added("p1", *PAIR)
    assert "was settled before it took over" in ledger.violations[0]


def test_a_request_to_a_paused_webhook_is_seen(ledger: Ledger) -> None:
    ledger.configured("p1", replace(WEBHOOK, state=WebhookState.PAUSED))
    ledger.sent("p1", PAIR)
    assert "that is paused" in ledger.violations[0]
