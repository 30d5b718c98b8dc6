"""What an access must be, and which webhooks it fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import EVENT_TYPES
from gateway.model import Access, AccessType, KeyLocation, Webhook, WebhookState
from gateway.webhook_rules import HEADER_NAME, access_errors, fit_error, header_name_error

BASIC = Access("a", 1, "crm", AccessType.BASIC, "Authorization", client_id="id", client_secret="secret")
KEY = Access("k", 1, "warehouse", AccessType.API_KEY, "x-api-key", api_key="key")
IN_BODY = replace(KEY, location=KeyLocation.BODY)
HOOK = Webhook(
    "w", 1, "", frozenset({"call.saved"}), "POST", "https://crm.example.com/", None, WebhookState.ACTIVE, None, (b"s",)
)


def test_what_can_be_sent_is_accepted() -> None:
    assert access_errors(BASIC) == access_errors(KEY) == access_errors(IN_BODY) == []


@pytest.mark.parametrize(
    "name", ["Host", "HOST", "content-length", "Connection", "TE", "webhook-id", "Webhook-Anything"]
)
def test_the_gateways_own_headers_are_refused(name: str) -> None:
    assert "set by the gateway itself" in (header_name_error(name) or "")


@given(st.text(max_size=30))
def test_a_header_name_is_accepted_only_if_it_is_an_rfc_9110_token(name: str) -> None:
    if header_name_error(name) is None:
        assert HEADER_NAME.fullmatch(name) and name.isascii() and not set(name) & set(' \t\r\n:;,"()[]{}<>@/?=\\')


@given(st.text(max_size=30))
def test_a_header_value_is_accepted_only_if_it_stays_on_its_line(value: str) -> None:
    if not access_errors(replace(KEY, api_key=value)):
        assert value == value.strip() and value.isascii() and not set(value) & set("\r\n\0")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    wrong = replace(BASIC, client_id="a:b", client_secret="", api_key="k", key_name="a b", location=KeyLocation.HEADER)
    assert {error.pointer for error in access_errors(wrong)} == {
        "/client_id",
        "/client_secret",
        "/api_key",
        "/key_name",
    }


def test_basic_authentication_does_not_travel_in_the_body() -> None:
    assert [error.pointer for error in access_errors(replace(BASIC, location=KeyLocation.BODY))] == ["/location"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_key_in_the_body_needs_a_body(method: str) -> None:
    assert f"a {method} has no body" in (fit_error(replace(HOOK, method=method), IN_BODY) or "")
    assert fit_error(replace(HOOK, method=method), KEY) is None


def test_a_key_in_the_body_is_no_member_of_any_published_payload() -> None:
    for event_type in EVENT_TYPES:
        hook = replace(HOOK, events=frozenset({event_type.name}))
        for field in event_type.fields:
            assert event_type.name in (fit_error(hook, replace(IN_BODY, key_name=field.name)) or "")
        assert fit_error(hook, IN_BODY) is None
