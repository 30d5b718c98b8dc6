"""The demo's parts: the calls that it makes up, its two books, its target's suspicion, its line."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import random
from datetime import datetime

import aiohttp
import pytest

from gateway import catalog
from gateway.cli import demo_setup, demo_view
from gateway.cli.demo_ledger import Ledger, percentile
from gateway.cli.demo_switch import Dialler, Step
from gateway.cli.demo_target import DemoTarget, signature_holds

NOW = datetime(2026, 1, 31, 12, 0)  # noqa: DTZ001 - the switch's times carry no zone
SECRET = b"k" * 24
BOTH = frozenset({"CRM", "Warehouse"})


def signed(body: bytes, *, event_id: str = "e1", at: int = 1000, secret: bytes = SECRET) -> dict[str, str]:
    digest = hmac.digest(secret, f"{event_id}.{at}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": event_id, "webhook-timestamp": str(at), "webhook-signature": signature}


def calls(count: int) -> list[list[Step]]:
    dialler = Dialler(random.Random(1), first_call_id=5000)
    return [list(dialler.dial(NOW)) for _ in range(count)]


# ── the switch ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_made_up_payload_is_what_the_catalog_takes() -> None:
    for step in itertools.chain(*calls(200)):
        sample = catalog.BY_NAME[step.type].fields
        assert set(step.data) == {field.name for field in sample}


def test_a_call_is_created_then_ended_then_maybe_saved() -> None:
    shapes = {tuple(step.type for step in call) for call in calls(300)}
    ended = ("call.created", "call.ended")
    assert shapes == {ended, (*ended, "call.saved"), ("reg_f.declined",)}


def test_a_calls_events_carry_one_call_id_that_no_other_call_has() -> None:
    ids = [{step.data.get("call_id") for step in call} for call in calls(100) if len(call) > 1]
    assert all(len(one) == 1 for one in ids)
    assert len(set().union(*ids)) == len(ids)


def test_what_is_saved_is_final() -> None:
    saved = next(step for step in itertools.chain(*calls(50)) if step.type == "call.saved")
    assert saved.data["call_duration"] >= saved.data["talk_time"] > 0
    assert saved.data["agent_disp"] > 0


def test_nobodys_phone_number_is_made_up() -> None:
    phones = {step.data.get("phone") or step.data.get("lead_phone") for step in itertools.chain(*calls(100))}
    assert all(str(phone)[3:8] == "55501" and len(str(phone)) == 10 for phone in phones)


# ── the two books ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_accepted_event_is_owed_until_every_webhook_has_it() -> None:
    ledger = Ledger()
    ledger.accept("e1", pushed_at=1.0, webhooks=BOTH)
    ledger.deliver("e1", webhook="CRM", attempt=1, at=1.002)
    assert ledger.figures().owed == 1
    ledger.deliver("e1", webhook="Warehouse", attempt=2, at=2.0)
    figures = ledger.figures()
    assert (figures.owed, figures.delivered, figures.retried) == (0, 2, 1)
    assert figures.lag_p50_ms == pytest.approx(2.0)


def test_a_delivery_may_arrive_before_the_202_is_read() -> None:
    ledger = Ledger()
    ledger.deliver("e1", webhook="CRM", attempt=1, at=1.003)
    ledger.accept("e1", pushed_at=1.0, webhooks=BOTH)
    assert ledger.figures().owed == 1
    assert ledger.figures().lag_p50_ms == pytest.approx(3.0)


def test_a_second_delivery_of_one_event_is_a_double() -> None:
    ledger = Ledger()
    ledger.accept("e1", pushed_at=1.0, webhooks=BOTH)
    for _ in range(2):
        ledger.deliver("e1", webhook="CRM", attempt=1, at=1.0)
    assert (ledger.figures().delivered, ledger.figures().doubled) == (1, 1)


def test_the_lag_is_to_the_first_request_even_where_that_was_turned_away() -> None:
    ledger = Ledger()
    ledger.accept("e1", pushed_at=1.0, webhooks=BOTH)
    ledger.turn_away("e1", at=1.004)
    ledger.deliver("e1", webhook="CRM", attempt=2, at=9.0)
    assert ledger.figures().lag_p99_ms == pytest.approx(4.0)


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentile([], 0.5) is None
    assert percentile([1.0], 0.99) == 1.0
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99.0


def test_the_line_names_what_should_not_be_only_where_it_is() -> None:
    ledger = Ledger()
    assert "NOT" not in demo_view.line(ledger.figures())
    ledger.forge()
    ledger.refuse()
    assert demo_view.line(ledger.figures()).endswith("NOT ACCEPTED 1  NOT GENUINE 1")


# ── the target ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_signature_holds_for_exactly_what_was_signed() -> None:
    headers = signed(b"body")
    assert signature_holds(SECRET, headers, b"body", now=1000)
    assert not signature_holds(SECRET, headers, b"bodY", now=1000)
    assert not signature_holds(b"other" * 5, headers, b"body", now=1000)
    assert not signature_holds(SECRET, headers | {"webhook-id": "e2"}, b"body", now=1000)
    assert not signature_holds(SECRET, headers | {"webhook-timestamp": "1001"}, b"body", now=1000)
    assert not signature_holds(SECRET, {}, b"body", now=1000)


def test_one_good_signature_among_several_is_enough() -> None:
    headers = signed(b"body")
    headers["webhook-signature"] = f"v1,old {headers['webhook-signature']} v2,unknown"
    assert signature_holds(SECRET, headers, b"body", now=1000)


def test_an_old_delivery_is_not_believed() -> None:
    assert not signature_holds(SECRET, signed(b"body"), b"body", now=1301)


async def test_the_target_takes_only_what_is_signed_and_authenticated() -> None:
    ledger = Ledger()
    crm, *_ = subscribers = demo_setup.make_subscribers()
    async with DemoTarget(subscribers, ledger, failure_share=0.0) as target, aiohttp.ClientSession() as session:
        target.trust({crm.name: "whsec_" + base64.b64encode(SECRET).decode()})
        now = int(datetime.now().timestamp())  # noqa: DTZ005 - a moment, not a date
        headers = signed(b"{}", at=now) | {"webhook-attempt": "1"}
        for credential in (crm.credential.value, "wrong"):
            sent = headers | {crm.credential.header: credential}
            async with session.post(target.url(crm), data=b"{}", headers=sent) as response:
                assert response.status == (200 if credential != "wrong" else 401)
    assert (ledger.figures().delivered, ledger.figures().forged) == (1, 1)


async def test_a_failing_target_takes_the_second_attempt() -> None:
    ledger = Ledger()
    crm, *_ = subscribers = demo_setup.make_subscribers()
    async with DemoTarget(subscribers, ledger, failure_share=1.0) as target, aiohttp.ClientSession() as session:
        target.trust({crm.name: "whsec_" + base64.b64encode(SECRET).decode()})
        now = int(datetime.now().timestamp())  # noqa: DTZ005 - a moment, not a date
        for attempt, status in ((1, 503), (2, 200)):
            sent = signed(b"{}", at=now) | {"webhook-attempt": str(attempt), "x-api-key": crm.credential.value}
            async with session.post(target.url(crm), data=b"{}", headers=sent) as response:
                assert response.status == status
    assert (ledger.figures().turned_away, ledger.figures().retried) == (1, 1)


async def test_a_target_that_is_not_set_up_yet_asks_to_come_again() -> None:
    ledger = Ledger()
    crm, *_ = subscribers = demo_setup.make_subscribers()
    async with (
        DemoTarget(subscribers, ledger, failure_share=0.0) as target,
        aiohttp.ClientSession() as session,
        session.post(target.url(crm), data=b"{}", headers=signed(b"{}")) as response,
    ):
        assert response.status == 503
    assert ledger.figures().forged == 0


async def test_the_last_line_is_shown_when_the_demo_ends(capsys: pytest.CaptureFixture[str]) -> None:
    stop = asyncio.Event()
    stop.set()
    await asyncio.wait_for(demo_view.show(Ledger().figures, stop), 5)
    assert capsys.readouterr().out.count("accepted 0") == 1
