"""How an event becomes a request."""

from __future__ import annotations

import json
import re
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier

from gateway.delivery.request import Wire, splice
from gateway.egress.target import parse_target
from gateway.ids import IdSource
from gateway.model import Access, AccessType, Event, KeyLocation, Webhook
from tests.unit.delivery.rig import webhook

SECRETS = (b"1" * 24, b"2" * 24, b"3" * 24)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.text().filter(lambda name: name != "k"), JSON, max_size=4)
SPACE = st.sampled_from(["", " ", "\n", "\r\n\t "])


def event(payload: bytes = b'{"a": 1}') -> Event:
    return Event(IdSource().next(), 1, "call.created", "1", None, payload, ())


def basic(**changes: str) -> Access:
    made = {"client_id": "hcc", "client_secret": "s3cret", **changes}
    return Access("a", 1, "crm", AccessType.BASIC, "Authorization", **made)  # type: ignore[arg-type]


def wire(**changes: object) -> Wire:
    hook: Webhook = webhook(**{"signing_secrets": SECRETS, **changes})  # type: ignore[arg-type]
    return Wire(hook, parse_target)


@given(OBJECT, st.text(), SPACE, SPACE, SPACE)
def test_a_spliced_member_is_added_and_changes_nothing_else(
    data: dict[str, object], value: str, before: str, inside: str, after: str
) -> None:
    text = json.dumps(data)
    payload = f"{before}{text[:-1]}{inside}}}{after}".encode()
    spliced = splice(payload, b'"k":' + json.dumps(value).encode())
    assert json.loads(spliced) == data | {"k": value}
    assert spliced.startswith(payload.rstrip()[:-1]) and spliced.endswith(b"}" + after.encode())


def test_an_empty_object_takes_the_key_without_a_comma() -> None:
    assert splice(b"{}", b'"k":1') == b'{"k":1}'
    assert splice(b"{ \n }", b'"k":1') == b'{ \n "k":1}'
    assert splice(b'{"a":"}"} ', b'"k":1') == b'{"a":"}","k":1} '


def test_the_body_is_signed_with_the_newest_two_secrets_as_standard_webhooks_verifies() -> None:
    built = wire().build(event(), attempt=3, now_s=_now())
    headers = dict(re.findall(r"(?m)^([\w-]+): (.*)\r$", built.request.head.decode()))
    assert built.request.body == b'{"a": 1}' and headers["webhook-attempt"] == "3"
    for secret in SECRETS[:2]:
        assert Verifier(secret).verify(b'{"a": 1}', headers) == {"a": 1}
    assert len(headers["webhook-signature"].split(" ")) == 2


def test_credentials_travel_in_the_head_and_are_masked_where_it_is_shown() -> None:
    built = wire(access=basic()).build(event(), attempt=1, now_s=1)
    assert b"Authorization: Basic aGNjOnMzY3JldA==\r\n" in built.request.head
    assert b"aGNjOnMzY3JldA" not in built.shown_headers and b"Authorization: " in built.shown_headers


def test_a_key_in_the_body_is_spliced_in_and_signed_and_is_in_no_header() -> None:
    access = Access("a", 1, "crm", AccessType.API_KEY, "k", KeyLocation.BODY, api_key='s"3')
    built = wire(access=access).build(event(b"{}"), attempt=1, now_s=_now())
    assert built.request.body == b'{"k":"s\\"3"}' and b"s\\" not in built.request.head
    headers = dict(re.findall(r"(?m)^([\w-]+): (.*)\r$", built.request.head.decode()))
    Verifier(SECRETS[0]).verify(built.request.body, headers)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@given(OBJECT)
def test_without_a_body_the_scalar_members_travel_in_the_query(method: str, data: dict[str, object]) -> None:
    hook = wire(method=method, url="https://crm.example.com/hooks?x=1")
    request = hook.build(event(json.dumps(data).encode()), attempt=1, now_s=1).request
    pairs = parse_qsl(urlsplit(request.target.path).query, keep_blank_values=True, errors="surrogatepass")
    scalars = {name: value for name, value in data.items() if not isinstance(value, dict | list)}
    spelled = {
        name: "" if value is None else value if isinstance(value, str) else json.dumps(value)
        for name, value in scalars.items()
    }
    assert request.body is None and pairs == [("x", "1"), *spelled.items()]


def test_a_number_in_the_query_is_spelled_as_the_switch_did() -> None:
    request = (
        wire(method="GET").build(event(b'{"a": 1.50e+3, "b": 12345678901234567890123}'), attempt=1, now_s=1).request
    )
    assert request.target.path == "/hooks?a=1.50e%2B3&b=12345678901234567890123"


def test_what_a_target_echoes_is_masked() -> None:
    hook = wire(access=basic())
    assert b"s3cret" not in hook.mask(b"you sent s3cret") and b"aGNjOnMzY3JldA" not in hook.mask(
        b"Basic aGNjOnMzY3JldA=="
    )


def _now() -> int:
    return int(time.time())
