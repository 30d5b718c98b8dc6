"""Naughty values in every member and parameter: each is taken or refused in words, and none is a failure of ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from .conftest import CREDENTIAL, HOOK, KEY, Api

TEXTS = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\r\nEvil: 1",
    "\x1b[31m",
    "\x7f",
    "\u2028",
    "\u202eabc",
    "\ufeff",
    "\U0001f4a9" * 50,
    "Ω≈ç√∫˜µ≤≥÷",
    "a" * 100_000,
    "%00",
    "../../etc/passwd",
    "'; DROP TABLE webhooks; --",
    "<script>alert(1)</script>",
    "{{ 7*7 }}",
    "${jndi:ldap://127.0.0.1/a}",
    "http://①②⑦.⓪.⓪.①/",
    "http://１２７.0.0.1/",
    "http://127。0。0。1/",
    "http://0x7f.1/",
    "http://2130706433/",
    "http://[::ffff:127.0.0.1]/",
    "http://[fe80::1%25eth0]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://user:pass@example.com/",
    "http://example.com:99999/",
    "http://example.com\t.evil.com/",
    "https://localhost/",
    "NaN",
    "-1",
    "1e999",
    "9" * 400,
    "2030-01-01T00:00:00Z",
]
OTHERS: list[object] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    2**63,
    2**64,
    -(2**63),
    1e308,
    [],
    {},
    [[]],
    [None],
    {"a": {}},
]
NAUGHTY: list[object] = [*TEXTS, *OTHERS, [TEXTS[2]], {TEXTS[2]: 1}]

SHAPES: dict[str, dict[str, Any]] = {
    "/access": {**CREDENTIAL, **KEY, "tenant": "acme"},
    "/webhooks": {
        **HOOK,
        "name": "n",
        "method": "POST",
        "access_id": None,
        "state": "active",
        "timeout_s": 1,
        "max_in_flight": 1,
        "rate_per_s": 1,
        "retry_schedule": [1],
        "order_wait_s": 1,
        "tenant": "acme",
    },
    "/tokens": {"role": "viewer", "name": "n", "tenant": "acme", "expires_in": 60, "expires_at": None},
    "/ports": {"port": 8443, "host": "example.com", "tenant": "acme", "state": "open"},
    "/tenants": {"name": "acme"},
}


@pytest.mark.parametrize("path", SHAPES)
async def test_no_value_of_a_new_resource_makes_the_gateway_fail(api: Api, path: str) -> None:
    for member in SHAPES[path]:
        for value in NAUGHTY:
            answer = await api.call("POST", path, {**SHAPES[path], member: value})
            assert answer.status in (201, 409, 422), (member, value, answer.text)
            if answer.status == 201 and path != "/tenants":
                assert (await api.call("DELETE", answer.headers["Location"].removeprefix("/api/v1"))).status in (
                    204,
                    409,
                )
    await api.registry.load()


async def test_no_value_of_a_change_makes_the_gateway_fail(api: Api) -> None:
    made = {
        "/access": await api.make("/access", CREDENTIAL),
        "/webhooks": await api.make("/webhooks", HOOK),
        "/ports": await api.make("/ports", {"port": 8443}),
    }
    for path, resource in made.items():
        for member in SHAPES[path]:
            for value in NAUGHTY:
                answer = await api.call("PATCH", f"{path}/{resource['id']}", {member: value})
                assert answer.status in (200, 409, 422), (path, member, value, answer.text)
    again = api.new_registry()
    await again.load()
    assert again.webhooks() == api.registry.webhooks() and again.accesses() == api.registry.accesses()


async def test_no_id_and_no_parameter_makes_the_gateway_fail(api: Api) -> None:
    for text in TEXTS:
        part = quote(text[:2000], safe="")
        for path in ("/access", "/webhooks", "/ports", "/tokens"):
            method = "DELETE" if path == "/tokens" else "GET"
            assert (await api.call(method, f"{path}/{part or 'x'}")).status == 404
        for path in ("/access", "/webhooks", "/ports", "/tokens", "/tenants", "/audit"):
            for name in ("limit", "cursor", "tenant", part or "x"):
                assert (await api.call("GET", f"{path}?{name}={part}")).status == 422


async def test_deep_or_odd_json_is_refused(api: Api) -> None:
    for raw in (
        b'{"name":' * 900 + b"1" + b"}" * 900,
        b"[" * 100_000,
        b'{"name": "a", "name": ["b"]}',
        b'{"name": "\\ud800"}',
        b'{"name": "\\u0000"}',
        b'\xef\xbb\xbf{"name": "a"}',
        b'{"name": 1e999}',
        b"{'name': 'a'}",
        b'{"name": "a",}',
    ):
        assert (await api.call("POST", "/tenants", raw=raw)).status in (400, 422)
