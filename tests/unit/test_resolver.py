"""Names to addresses: vetted each time, asked for once, and never at the cost of other names."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from gateway.egress import resolver as module
from gateway.egress.policy import EgressPolicy
from gateway.egress.resolver import Resolver, is_local
from gateway.errors import EgressRefused
from gateway.model import PortRule, PortState


class Names:
    """A DNS: what each name leads to, how often it was asked for, and names that hang until `release`."""

    def __init__(self, **names: Sequence[str] | Exception) -> None:
        self.names = {name.replace("_", "."): value for name, value in names.items()}
        self.asked: Counter[str] = Counter()
        self.release = threading.Event()
        self.hanging: set[str] = set()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked[host] += 1
        if host in self.hanging:
            self.release.wait(30)
        value = self.names[host]
        if isinstance(value, Exception):
            raise value
        return value


class Clock:
    """Moves the loop's clock, which the cache's ages are measured by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_s = 0.0
        loop = asyncio.get_running_loop()
        real = loop.time
        monkeypatch.setattr(loop, "time", lambda: real() + self.ahead_s)


async def refusal(resolver: Resolver, host: str, port: int = 443) -> EgressRefused:
    with pytest.raises(EgressRefused) as refused:
        await resolver.resolve(host, port)
    return refused.value


async def test_a_name_leads_to_its_addresses_in_the_systems_order_without_repeats() -> None:
    resolver = Resolver(EgressPolicy(), look_up=Names(a_example=["2606:4700::1111", "1.1.1.1", "1.1.1.1", "1.0.0.1"]))
    assert await resolver.resolve("a.example", 443) == ("2606:4700::1111", "1.1.1.1", "1.0.0.1")


async def test_an_address_answers_for_itself_and_is_vetted() -> None:
    names = Names()
    resolver = Resolver(EgressPolicy(allow=[ip_network("127.0.0.0/8")]), look_up=names)
    assert await resolver.resolve("1.1.1.1", 443) == ("1.1.1.1",)
    assert resolver.cached("2606:4700::1111", 443) == ("2606:4700::1111",)
    assert resolver.cached("127.0.0.1", 80) == ("127.0.0.1",)
    assert (await refusal(resolver, "10.0.0.1")).kind == "address"
    assert not names.asked


@pytest.mark.parametrize("bad", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1%lo", "::ffff:127.0.0.1"])
async def test_one_refused_address_refuses_the_whole_name(bad: str) -> None:
    many = [f"1.1.1.{n}" for n in range(1, 40)]
    resolver = Resolver(EgressPolicy(), look_up=Names(a_example=[*many, bad]))
    refused = await refusal(resolver, "a.example")
    assert refused.kind == "address"
    assert "a.example leads to" in refused.detail


async def test_a_port_that_is_not_open_is_refused_before_anybody_is_asked() -> None:
    names = Names(a_example=["1.1.1.1"])
    policy = EgressPolicy()
    resolver = Resolver(policy, look_up=names)
    assert (await refusal(resolver, "a.example", 8443)).kind == "port"
    assert not names.asked
    policy.replace_rules([PortRule("id", 8443, None, None, PortState.OPEN)])
    assert await resolver.resolve("a.example", 8443) == ("1.1.1.1",)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "does not exist"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "temporary"),
        (socket.gaierror(socket.EAI_FAIL, "it broke"), "it broke"),
        (OSError("too many open files"), "too many open files"),
        (UnicodeError("label too long"), "label too long"),
        ([], "no address"),
    ],
)
async def test_a_name_that_leads_nowhere_is_refused_with_the_reason(
    failure: Exception | Sequence[str], says: str
) -> None:
    refused = await refusal(Resolver(EgressPolicy(), look_up=Names(a_example=failure)), "a.example")
    assert refused.kind == "dns"
    assert "a.example" in refused.detail
    assert says in refused.detail


async def test_an_answer_is_kept_for_its_time_and_then_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    names, clock = Names(a_example=["1.1.1.1"]), Clock(monkeypatch)
    resolver = Resolver(EgressPolicy(), look_up=names)
    assert resolver.cached("a.example", 443) is None
    await resolver.resolve("a.example", 443)
    names.names["a.example"] = ["1.0.0.1"]
    assert resolver.cached("a.example", 443) == await resolver.resolve("a.example", 80) == ("1.1.1.1",)
    clock.ahead_s += module.TTL_S
    assert resolver.cached("a.example", 443) is None
    assert await resolver.resolve("a.example", 443) == ("1.0.0.1",)
    assert names.asked["a.example"] == 2


async def test_a_failure_is_kept_for_less_long(monkeypatch: pytest.MonkeyPatch) -> None:
    names, clock = Names(a_example=socket.gaierror(socket.EAI_AGAIN, "x")), Clock(monkeypatch)
    resolver = Resolver(EgressPolicy(), look_up=names)
    await refusal(resolver, "a.example")
    with pytest.raises(EgressRefused):
        resolver.cached("a.example", 443)
    names.names["a.example"] = ["1.1.1.1"]
    clock.ahead_s += module.FAILURE_TTL_S
    assert await resolver.resolve("a.example", 443) == ("1.1.1.1",)


async def test_a_kept_answer_is_vetted_by_the_rules_of_now() -> None:
    policy = EgressPolicy(allow=[ip_network("127.0.0.0/8")])
    resolver = Resolver(policy, look_up=Names(a_example=["127.0.0.1"]))
    assert await resolver.resolve("a.example", 443) == ("127.0.0.1",)
    policy.replace_listeners([("127.0.0.1", 443)])
    with pytest.raises(EgressRefused, match="this gateway itself"):
        resolver.cached("a.example", 443)


async def test_a_name_that_moves_inside_after_it_was_vetted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names, clock = Names(a_example=["1.1.1.1"]), Clock(monkeypatch)
    resolver = Resolver(EgressPolicy(), look_up=names)
    await resolver.resolve("a.example", 443)
    names.names["a.example"] = ["127.0.0.1"]
    clock.ahead_s += module.TTL_S
    assert (await refusal(resolver, "a.example")).kind == "address"


async def test_many_who_ask_for_one_name_at_once_ask_once() -> None:
    names = Names(a_example=["1.1.1.1"])
    names.hanging.add("a.example")
    resolver = Resolver(EgressPolicy(), look_up=names)
    asking = [asyncio.create_task(resolver.resolve("a.example", 443)) for _ in range(50)]
    await asyncio.sleep(0)
    names.release.set()
    assert set(await asyncio.gather(*asking)) == {("1.1.1.1",)}
    assert names.asked["a.example"] == 1


async def test_one_who_no_longer_waits_does_not_end_the_look_up_of_the_others() -> None:
    names = Names(a_example=["1.1.1.1"])
    names.hanging.add("a.example")
    resolver = Resolver(EgressPolicy(), look_up=names)
    impatient, patient = (asyncio.create_task(resolver.resolve("a.example", 443)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    names.release.set()
    assert await patient == ("1.1.1.1",)
    assert impatient.cancelled()


async def test_names_that_hang_do_not_hold_up_others_once_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKUP_TIMEOUT_S", 0.05)
    monkeypatch.setattr(module, "LOOKUPS", 2)
    monkeypatch.setattr(module, "SUSPECT_LOOKUPS", 1)
    names = Names(good_example=["1.1.1.1"], bad_example=["1.0.0.1"], worse_example=["1.0.0.1"])
    names.hanging |= {"bad.example", "worse.example"}
    resolver = Resolver(EgressPolicy(), look_up=names)
    for bad in ("bad.example", "worse.example"):
        assert "did not answer" in (await refusal(resolver, bad)).detail  # each holds a slot, both are suspects now
    names.release.set()
    assert await resolver.resolve("bad.example", 443) == await resolver.resolve("worse.example", 443) == ("1.0.0.1",)
    assert await resolver.resolve("good.example", 443) == ("1.1.1.1",)


async def test_a_suspect_name_does_not_take_the_last_slot_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKUP_TIMEOUT_S", 0.05)
    monkeypatch.setattr(module, "FAILURE_TTL_S", 0.0)
    monkeypatch.setattr(module, "LOOKUPS", 1)
    names = Names(good_example=["1.1.1.1"], bad_example=socket.gaierror(socket.EAI_AGAIN, "x"))
    names.hanging.add("bad.example")
    resolver = Resolver(EgressPolicy(), look_up=names)
    for _ in range(2):  # the second one joins the same look-up, which is late by then
        await refusal(resolver, "bad.example")
    names.release.set()
    while resolver._under_way:
        await asyncio.sleep(0.001)
    names.release.clear()
    await refusal(resolver, "bad.example")  # hangs again, now in the suspects' slot
    monkeypatch.setattr(module, "LOOKUP_TIMEOUT_S", 5.0)
    assert await resolver.resolve("good.example", 443) == ("1.1.1.1",)
    names.release.set()
    await resolver.close()


async def test_the_memory_for_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_NAMES", 3)
    names = Names(**{f"a{n}_example": ["1.1.1.1"] for n in range(9)})
    resolver = Resolver(EgressPolicy(), look_up=names)
    for host in names.names:
        await resolver.resolve(host, 443)
    assert [host for host in names.names if resolver.cached(host, 443)] == ["a6.example", "a7.example", "a8.example"]


async def test_more_names_than_can_wait_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_LOOKUPS", 1)
    names = Names(a_example=["1.1.1.1"], b_example=["1.1.1.1"])
    names.hanging.add("a.example")
    resolver = Resolver(EgressPolicy(), look_up=names)
    first = asyncio.create_task(resolver.resolve("a.example", 443))
    await asyncio.sleep(0)
    assert "too many names" in (await refusal(resolver, "b.example")).detail
    names.release.set()
    await first


async def test_closing_does_not_wait_for_a_name_that_hangs() -> None:
    names = Names(a_example=["1.1.1.1"])
    names.hanging.add("a.example")
    resolver = Resolver(EgressPolicy(), look_up=names)
    asking = asyncio.create_task(resolver.resolve("a.example", 443))
    await asyncio.sleep(0.01)
    await resolver.close()
    assert (await asyncio.gather(asking, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    names.release.set()


async def test_localhost_is_looked_up_and_vetted_like_any_name() -> None:
    allowed = EgressPolicy(allow=[ip_network("127.0.0.0/8"), ip_network("::1/128")], ports=[9])
    assert set(await Resolver(allowed).resolve("localhost", 9)) <= {"127.0.0.1", "::1"}
    assert (await refusal(Resolver(EgressPolicy(ports=[9])), "localhost", 9)).kind == "address"


def test_an_address_of_this_machine_is_known_as_such() -> None:
    assert is_local(ip_address("127.0.0.1"))
    assert is_local(ip_address("127.9.9.9"))
    assert not is_local(ip_address("192.0.2.1"))
    assert not is_local(ip_address("2001:db8::1"))
