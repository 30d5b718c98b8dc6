"""What the audit tells of a change, and what it keeps to itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from gateway.audit_detail import created, differences, without_query
from gateway.model import Access, AccessType, Role, Token, Webhook, WebhookState

ACCESS = Access("a", 1, "crm", AccessType.BASIC, "Authorization", client_id="id", client_secret="s3cr3t")
HOOK = Webhook(
    id="w",
    tenant_id=1,
    name="crm",
    events=frozenset({"call.saved", "call.ended"}),
    method="POST",
    url="https://crm.example.com/h",
    access=ACCESS,
    state=WebhookState.ACTIVE,
    reason=None,
    signing_secrets=(b"first",),
)


def test_a_changed_secret_is_told_without_its_value() -> None:
    detail = differences(ACCESS, replace(ACCESS, client_secret="other", name="new"))
    assert detail == {"client_secret": "changed", "name": ["crm", "new"]}
    assert differences(HOOK, replace(HOOK, signing_secrets=(b"second", b"first"))) == {"signing_secrets": "changed"}


def test_a_webhooks_access_is_told_by_its_name() -> None:
    assert differences(HOOK, replace(HOOK, access=None)) == {"access": ["crm", None]}


def test_nothing_secret_is_in_what_is_told_of_a_new_resource() -> None:
    token = Token("t", "wall", Role.VIEWER, None, "abcdefgh", b"digest", datetime.now(UTC), datetime.now(UTC))
    told = json.dumps([created(each) for each in (ACCESS, HOOK, token)])
    for secret in ("s3cr3t", "first", "digest"):
        assert secret not in told


def test_a_url_is_told_without_its_query() -> None:
    assert without_query("https://a.example/p?key=t0p&x=?2") == "https://a.example/p?…"
    assert without_query("https://a.example/p?t0psecret") == "https://a.example/p?…"
    assert without_query("https://a.example/p") == "https://a.example/p"
