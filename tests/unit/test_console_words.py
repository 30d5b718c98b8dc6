"""How the console says things: times, audit entries, forms, what is wrong with a field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.audit_words import told
from gateway.console.forms import Form, field_errors, sentence
from gateway.console.webhook_form import as_data, as_form, span
from gateway.console.words import ago, duration
from gateway.errors import FieldError, Problem
from gateway.ids import IdSource
from gateway.model import Access, PortRule, PortState, Webhook, WebhookState
from gateway.setting_values import parse_duration_s
from gateway.store.audit import AuditEntry

IDS = IdSource()


class Held:
    """One port rule and nothing else."""

    def access(self, access_id: str) -> Access | None:
        return None

    def webhook(self, webhook_id: str) -> Webhook | None:
        return None

    def port(self, rule_id: str) -> PortRule | None:
        return PortRule(rule_id, 8443, "crm.example.com", None, PortState.OPEN)


def entry(action: str, **detail: object) -> AuditEntry:
    return AuditEntry(IDS.next(), None, "me (abc)", action, "some-id", detail)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.0123, "12.3 ms"), (2.5, "2.5 s"), (90, "1 min 30 s"), (5400, "1 h 30 min"), (86_400, "1 d")],
)
def test_a_duration_is_said_in_its_largest_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_time_is_said_from_now() -> None:
    now = datetime.now(UTC)
    assert ago(now - timedelta(minutes=3, seconds=5)) == "3 min ago"
    assert ago(now + timedelta(hours=2, seconds=30)) == "in 2 h"
    assert ago(now) == "just now"


@given(st.floats(1e-6, 30 * 86_400) | st.integers(1, 30 * 86_400))
def test_a_wait_in_a_form_can_be_typed_back(wait_s: float) -> None:
    assert parse_duration_s(span(wait_s)) == wait_s


def test_a_form_that_was_left_as_it_came_says_what_the_webhook_has() -> None:
    webhook = Webhook(
        "id", 1, "", frozenset({"call.ended"}), "PUT", "https://a.example/", None, WebhookState.ACTIVE, None, (b"k",),
        timeout_s=2.5, max_in_flight=3, rate_per_s=None, retry_schedule_s=(), order_wait_s=None,
    )  # fmt: skip
    assert as_data(as_form(webhook)) == {
        "name": None,
        "events": ["call.ended"],
        "method": "PUT",
        "url": "https://a.example/",
        "access_id": None,
        "timeout_s": 2.5,
        "max_in_flight": 3,
        "rate_per_s": None,
        "retry_schedule": [],
        "order_wait_s": None,
    }


def test_blanks_around_a_text_go_and_those_of_a_secret_stay() -> None:
    form = Form([("name", "  a "), ("secret", " s "), ("blank", "  ")])
    assert (form.text("name"), form.raw("secret"), "blank" in form) == ("a", " s ", False)


def test_an_error_stands_at_its_field_in_plain_words() -> None:
    problem = Problem(
        422,
        "validation",
        "no",
        errors=[
            FieldError("/events", "List should have at least 1 item after validation, not 0"),
            FieldError("/retry_schedule/1", "give seconds"),
            FieldError("", "all of it is wrong"),
        ],
    )
    errors = field_errors(problem)
    assert errors == {"events": "Choose at least one.", "retry_schedule": "Give seconds.", "": "All of it is wrong."}
    assert errors["url"] == "" and "url" not in errors


def test_a_problem_without_fields_stands_above_the_form() -> None:
    assert field_errors(Problem(409, "conflict", "in use by crm")) == {"": "In use by crm."}
    assert sentence("") == ""


def test_a_change_is_told_with_before_and_after() -> None:
    shown = told(entry("webhook.change", timeout_s=[10.0, 2.5], name=["a", "b"], signing_secrets="changed"), Held())
    assert (shown.did, shown.what, shown.path) == ("changed the webhook", "b", "")
    assert shown.changes == [("timeout", "10s → 2.5s"), ("name", "a → b"), ("signing secrets", "changed")]


def test_what_was_added_is_told_with_its_values() -> None:
    shown = told(entry("webhook.create", name="crm", events=["call.created", "call.ended"]), Held())
    assert (shown.did, shown.what) == ("added the webhook", "crm")
    assert shown.changes == [("events", "call.created, call.ended")]


@pytest.mark.parametrize(
    ("action", "detail", "said"),
    [
        ("port.create", {"port": 8443, "host": "a.example", "state": "asked"}, "asked for port 8443 for a.example"),
        ("port.change", {"state": ["asked", "open"]}, "opened port 8443 for crm.example.com"),
        ("port.delete", {"port": 9000, "state": "denied"}, "took back the decision on port 9000 for crm.example.com"),
        ("moon.eclipse", {}, "eclipse the moon some-id"),
    ],
)
def test_every_action_makes_a_sentence(action: str, detail: dict[str, object], said: str) -> None:
    shown = told(entry(action, **detail), Held())
    assert f"{shown.did} {shown.what}" == said
