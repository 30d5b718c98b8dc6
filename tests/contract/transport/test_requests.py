"""What goes over the wire to a target."""

from __future__ import annotations

import pytest

from .caller import Caller, Listen
from .target import OK, Received, always_ok


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_body_goes_out_byte_for_byte_with_its_length(caller: Caller, listen: Listen, method: str) -> None:
    target = await listen(always_ok)
    body = b'{"n": 1.10, "s": "\\u00e9\xc3\xa9"}'

    assert (await caller.start(target, method=method, body=body)).ok

    [request] = target.received
    assert request.line == f"{method} /hook HTTP/1.1".encode()
    assert request.values(b"content-length") == [b"%d" % len(body)]
    assert request.values(b"transfer-encoding") == []
    assert request.body == body


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_request_without_a_body_announces_none(caller: Caller, listen: Listen, method: str) -> None:
    target = await listen(always_ok)

    assert (await caller.start(target, method=method, path="/hook?call_id=1", body=None)).ok

    [request] = target.received
    assert request.line == f"{method} /hook?call_id=1 HTTP/1.1".encode()
    assert request.values(b"content-length") in ([], [b"0"])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_post_without_a_body_says_that_it_is_empty(caller: Caller, listen: Listen, method: str) -> None:
    target = await listen(always_ok)

    assert (await caller.start(target, method=method, body=None)).ok

    assert target.received[0].values(b"content-length") == [b"0"]


async def test_the_head_goes_out_as_it_was_given_after_host_and_nothing_is_added(
    caller: Caller, listen: Listen
) -> None:
    target = await listen(always_ok)
    head = b"Content-Type: application/json\r\nwebhook-id: 0198\r\nX-Api-Key: a:b, c\r\nX-Twice: 1\r\nX-Twice: 2\r\n"

    assert (await caller.start(target, head=head)).ok

    host = f"Host: {target.host}:{target.port}\r\n".encode()
    assert target.received[0].head == b"POST /hook HTTP/1.1\r\n" + host + head + b"Content-Length: 2\r\n\r\n"


async def test_the_path_is_sent_as_it_was_given(caller: Caller, listen: Listen) -> None:
    target = await listen(always_ok)
    path = "/a%2Fb/%7Ec/../d//e?q=%C3%A9&r=a+b&s"

    assert (await caller.start(target, path=path)).ok

    assert target.received[0].line == f"POST {path} HTTP/1.1".encode()


async def test_a_large_body_arrives_whole(caller: Caller, listen: Listen) -> None:
    target = await listen(always_ok)
    body = bytes(range(256)) * 8192

    assert (await caller.start(target, body=body)).ok

    assert target.received[0].body == body


async def test_a_proxy_from_the_environment_is_ignored(
    caller: Caller, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await listen(always_ok)
    target = await listen(always_ok)
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")

    assert (await caller.start(target)).ok

    assert (proxy.connections, target.connections) == (0, 1)


def test_the_suite_finds_every_value_of_a_header() -> None:
    received = Received(b"POST / HTTP/1.1\r\nA: 1\r\nb: 2\r\na:3\r\n\r\n", b"")

    assert received.values(b"a") == [b"1", b"3"]
    assert OK.endswith(b"ok")
