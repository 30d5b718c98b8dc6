"""Which addresses are dialled: those that the address book gave, and no others."""

from __future__ import annotations

import socket

import pytest

from gateway.errors import EgressRefused
from gateway.model import ErrorKind

from .caller import Caller, Listen
from .target import LOOPBACK, Names, always_ok


async def test_the_address_that_the_book_gave_is_the_one_dialled(caller: Caller, listen: Listen, names: Names) -> None:
    target = await listen(always_ok)
    names.addresses["crm.example"] = (LOOPBACK,)

    outcome = await caller.start(target, host="crm.example")

    assert outcome.ok
    assert names.asked == ["crm.example"]


async def test_a_literal_address_is_asked_for_like_a_name(caller: Caller, listen: Listen, names: Names) -> None:
    target = await listen(always_ok)
    names.refusals[LOOPBACK] = EgressRefused("address", "loopback addresses are refused")

    outcome = await caller.start(target, host=LOOPBACK)

    assert (outcome.error, outcome.detail) == (ErrorKind.EGRESS, "loopback addresses are refused")
    assert target.connections == 0


async def test_a_literal_address_that_was_vetted_is_dialled(caller: Caller, listen: Listen) -> None:
    target = await listen(always_ok)

    assert (await caller.start(target, host=LOOPBACK)).ok


async def test_a_literal_address_is_not_dialled_where_the_book_gave_another(
    caller: Caller, listen: Listen, names: Names
) -> None:
    target = await listen(always_ok)
    names.addresses["127.0.0.2"] = (LOOPBACK,)
    names.addresses[LOOPBACK] = ("127.0.0.3",)

    outcome = await caller.start(target, host=LOOPBACK)

    assert not outcome.ok
    assert target.connections == 0


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("dns", ErrorKind.DNS),
        ("address", ErrorKind.EGRESS),
        ("url", ErrorKind.EGRESS),
        ("port", ErrorKind.PORT),
    ],
)
async def test_a_refusal_is_reported_in_its_own_words(
    caller: Caller, listen: Listen, names: Names, kind: str, error: ErrorKind
) -> None:
    names.refusals["crm.example"] = EgressRefused(kind, "no, because")

    outcome = await caller.start(await listen(always_ok), host="crm.example")

    assert (outcome.error, outcome.detail) == (error, "no, because")


async def test_the_next_address_is_tried_where_one_refuses(caller: Caller, listen: Listen, names: Names) -> None:
    target = await listen(always_ok)
    names.addresses["crm.example"] = ("127.0.0.2", "::1", LOOPBACK)

    assert (await caller.start(target, host="crm.example")).ok


async def test_a_port_where_nothing_listens_is_a_refused_connection(caller: Caller, listen: Listen) -> None:
    target = await listen(always_ok)
    with socket.create_server((LOOPBACK, 0)) as taken:
        target.port, port = taken.getsockname()[1], target.port

    outcome = await caller.start(target)

    target.port = port
    assert outcome.error is ErrorKind.CONNECT_REFUSED
    assert LOOPBACK not in (outcome.detail or "")
