"""Which webhooks an event matches."""

from __future__ import annotations

from gateway.model import WebhookState
from gateway.routing import Routing
from tests.unit.delivery.rig import webhook

A, B, C = (f"00000000-0000-7000-8000-00000000000{n}" for n in "123")


def test_a_match_is_by_tenant_and_type_oldest_first() -> None:
    both = frozenset({"call.created", "call.ended"})
    routing = Routing([webhook(B, events=both), webhook(A), webhook(C, tenant_id=2)])
    assert routing.match(1, "call.created") == (A, B)
    assert routing.match(1, "call.ended") == (B,)
    assert routing.match(2, "call.created") == (C,)
    assert routing.match(1, "call.saved") == routing.match(9, "call.created") == ()


def test_a_paused_or_blocked_webhook_matches_too() -> None:
    routing = Routing([webhook(A, state=WebhookState.PAUSED), webhook(B, state=WebhookState.BLOCKED)])
    assert routing.match(1, "call.created") == (A, B)


def test_changes_count_from_the_next_event_on() -> None:
    routing = Routing()
    assert routing.match(1, "call.created") == ()
    routing.webhook_changed(webhook(A))
    assert routing.match(1, "call.created") == (A,)
    routing.webhook_changed(webhook(A, events=frozenset({"call.saved"})))
    assert routing.match(1, "call.created") == () and routing.match(1, "call.saved") == (A,)
    routing.webhook_removed(A)
    routing.webhook_removed(A)
    assert routing.match(1, "call.saved") == ()
