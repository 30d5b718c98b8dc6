"""Whom a transport trusts, and what it says of those whom it does not."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from gateway.model import ErrorKind

from .caller import Caller, Listen
from .target import LOOPBACK, OK, Peer, always_ok, answering

NAME = "target.test"


def presenting(certificate: trustme.LeafCert) -> ssl.SSLContext:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(tls)
    return tls


async def test_a_target_with_a_certificate_from_a_known_authority_is_called(
    caller: Caller, listen: Listen, authority: trustme.CA
) -> None:
    target = await listen(always_ok, tls=presenting(authority.issue_cert(NAME)))

    outcomes = [await caller.start(target) for _ in range(3)]

    assert all(outcome.ok for outcome in outcomes)
    assert target.connections == 1


async def test_a_certificate_may_be_for_an_address(caller: Caller, listen: Listen, authority: trustme.CA) -> None:
    target = await listen(always_ok, tls=presenting(authority.issue_cert(LOOPBACK)))

    assert (await caller.start(target, host=LOOPBACK)).ok


async def test_a_large_body_and_a_close_framed_answer_pass_through_tls(
    caller: Caller, listen: Listen, authority: trustme.CA
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end"
    target = await listen(answering(answer), tls=presenting(authority.issue_cert(NAME)))

    outcome = await caller.start(target, body=b"b" * 1_000_000)

    assert outcome.response is not None
    assert outcome.response.body == b"to the end"
    assert target.received[0].body == b"b" * 1_000_000


@pytest.mark.parametrize(
    ("validity", "word"),
    [
        ((datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)), "expired"),
        ((datetime.now(UTC) + timedelta(days=2), datetime.now(UTC) + timedelta(days=9)), "not valid yet"),
    ],
)
async def test_a_certificate_out_of_its_time_is_named(
    caller: Caller, listen: Listen, authority: trustme.CA, validity: tuple[datetime, datetime], word: str
) -> None:
    certificate = authority.issue_cert(NAME, not_before=validity[0], not_after=validity[1])

    outcome = await caller.start(await listen(always_ok, tls=presenting(certificate)))

    assert outcome.error is ErrorKind.TLS_EXPIRED
    assert word in (outcome.detail or "")


@pytest.mark.parametrize("host", [NAME, LOOPBACK])
async def test_a_certificate_for_another_name_is_named(
    caller: Caller, listen: Listen, authority: trustme.CA, host: str
) -> None:
    certificate = authority.issue_cert("another.test", "127.0.0.9")

    outcome = await caller.start(await listen(always_ok, tls=presenting(certificate)), host=host)

    assert outcome.error is ErrorKind.TLS_NAME


async def test_an_unknown_authority_is_not_trusted(caller: Caller, listen: Listen) -> None:
    certificate = trustme.CA().issue_cert(NAME)

    outcome = await caller.start(await listen(always_ok, tls=presenting(certificate)))

    assert outcome.error is ErrorKind.TLS_UNTRUSTED


async def test_a_self_signed_certificate_is_not_trusted(caller: Caller, listen: Listen) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    itself = trustme.CA()
    with itself.cert_pem.tempfile() as certificate, itself.private_key_pem.tempfile() as key:
        tls.load_cert_chain(certificate, key)

    outcome = await caller.start(await listen(always_ok, tls=tls))

    assert outcome.error is ErrorKind.TLS_UNTRUSTED
    assert "self-signed" in (outcome.detail or "")


async def test_a_target_that_speaks_no_tls_is_named(caller: Caller, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(OK)
        await peer.hang()

    target = await listen(script)

    outcome = await caller.start(target, secure=True)

    assert outcome.error is ErrorKind.TLS_FAILED


async def test_a_target_that_hangs_up_in_the_handshake_is_named(caller: Caller, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.some()

    outcome = await caller.start(await listen(script), secure=True)

    assert outcome.error is ErrorKind.TLS_FAILED


async def test_a_handshake_that_hangs_is_named(caller: Caller, listen: Listen) -> None:
    outcome = await caller.start(await listen(Peer.hang), secure=True, timeout_s=0.2)

    assert outcome.error is ErrorKind.TLS_TIMEOUT
    assert "handshake" in (outcome.detail or "")


async def test_an_old_version_of_tls_is_refused(caller: Caller, listen: Listen, authority: trustme.CA) -> None:
    tls = presenting(authority.issue_cert(NAME))
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1

    outcome = await caller.start(await listen(always_ok, tls=tls))

    assert outcome.error is ErrorKind.TLS_FAILED
