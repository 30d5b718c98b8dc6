"""Which addresses and ports a target may have."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.egress.addresses import AddressRules
from gateway.egress.policy import EgressPolicy
from gateway.egress.ports import port_is_open
from gateway.errors import EgressRefused
from gateway.model import PortRule, PortState

REFUSED_NETWORKS = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    *("::/128", "::1/128", "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23"),
    *("2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
]
PUBLIC = ["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"]
PUBLIC += ["169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "193.0.0.0", "198.17.255.255", "198.20.0.0"]
PUBLIC += [
    "223.255.255.255",
    "168.63.129.17",
    "2000::",
    "2001:200::1",
    "2003::1",
    "2606:4700::1111",
    "3ffe::1",
    "3fff:1000::",
]
EXACT = [
    "169.254.169.254",
    "169.254.0.1",
    "168.63.129.16",
    "100.100.100.200",
    "fe80::1",
    "fd00:ec2::254",
    "fd20:ce::254",
]


def allowing(*networks: str) -> AddressRules:
    return AddressRules(ip_network(network) for network in networks)


@pytest.mark.parametrize("network", REFUSED_NETWORKS)
def test_an_address_that_is_not_public_is_refused_from_the_first_to_the_last(network: str) -> None:
    rules = AddressRules()
    first, last = ip_network(network)[0], ip_network(network)[-1]
    for address in (first, last, ip_address((int(first) + int(last)) // 2) if first.version == 4 else last):
        with pytest.raises(EgressRefused) as refused:
            rules.check(address)
        assert refused.value.kind == "address"
        assert str(address) in refused.value.detail


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed_up_to_the_borders_of_the_others(address: str) -> None:
    AddressRules().check(ip_address(address))


@given(st.integers(0, 2**128 - 1).map(IPv6Address) | st.integers(0, 2**32 - 1).map(IPv4Address))
def test_what_is_allowed_is_always_within_the_published_bounds(address: IPv4Address | IPv6Address) -> None:
    inside = any(address in ip_network(n) for n in REFUSED_NETWORKS if ip_network(n).version == address.version)
    public = not inside and (address.version == 4 or address in ip_network("2000::/3"))
    assert AddressRules().allows(address) is public


def test_an_address_with_a_scope_is_refused_even_in_an_opened_network() -> None:
    assert not allowing("2000::/3", "fe80::1/128").allows(IPv6Address("fe80::1%eth0"))
    assert not allowing("2000::/3").allows(IPv6Address("2606:4700::1111%1"))


def test_an_opened_network_is_open_and_its_neighbours_stay_closed() -> None:
    rules = allowing("10.20.0.0/16", "fd00:1::/64", "127.0.0.0/8")
    for address in ("10.20.255.255", "fd00:1::9", "127.0.0.1"):
        assert rules.allows(ip_address(address))
    for address in ("10.21.0.0", "fd00:1:0:1::", "::1", "192.168.0.1"):
        assert not rules.allows(ip_address(address))


@pytest.mark.parametrize("address", EXACT)
def test_a_metadata_service_is_opened_by_its_own_address_and_by_no_wider_network(address: str) -> None:
    target = ip_address(address)
    wide = allowing(
        "0.0.0.0/0", "::/0", "169.254.0.0/16", "169.254.169.254/31", "fe80::/10", "fd00::/8", "fd00:ec2::254/127"
    )
    with pytest.raises(EgressRefused, match=f"{address}/{target.max_prefixlen}"):
        wide.check(target)
    assert allowing(address).allows(target)


@pytest.mark.parametrize("wrapped", ["::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::169.254.169.254"])
def test_a_metadata_service_inside_an_ipv6_address_is_not_opened_by_a_wide_network(wrapped: str) -> None:
    assert not allowing("::/0", "0.0.0.0/0").allows(ip_address(wrapped))
    assert not allowing("169.254.169.254/32").allows(ip_address(wrapped))
    assert not allowing("2002::/16").allows(ip_address("2002:a9fe:a9fe::1"))


def test_an_opened_ipv4_network_does_not_open_its_ipv6_forms() -> None:
    rules = allowing("127.0.0.0/8")
    assert not rules.allows(ip_address("::ffff:127.0.0.1"))
    assert not rules.allows(ip_address("64:ff9b::127.0.0.1"))


def test_a_refusal_says_what_where_and_what_to_do() -> None:
    with pytest.raises(EgressRefused) as refused:
        AddressRules().check(ip_address("10.0.0.5"), of="crm.example.com")
    assert refused.value.detail.startswith("crm.example.com leads to 10.0.0.5, a private address")
    assert "GATEWAY_EGRESS_ALLOW" in refused.value.detail


def test_a_literal_address_is_checked_and_a_name_is_left_to_the_dial() -> None:
    policy = EgressPolicy()
    policy.check_literal(policy.parse_target("http://internal.example/"))
    with pytest.raises(EgressRefused, match="loopback"):
        policy.check_literal(policy.parse_target("http://127.0.0.1/"))
    with pytest.raises(EgressRefused, match="loopback"):
        policy.check_literal(policy.parse_target("http://[::1]/"))


def test_localhost_may_be_written_where_loopback_is_open() -> None:
    opened = EgressPolicy(allow=[ip_network("127.0.0.0/8")])
    assert opened.parse_target("http://localhost:9/").host == "localhost"
    with pytest.raises(EgressRefused):
        EgressPolicy(allow=[ip_network("10.0.0.0/8")]).parse_target("http://localhost:9/")


def test_the_gateways_own_listener_is_refused_even_in_an_opened_network() -> None:
    policy = EgressPolicy(allow=[ip_network("127.0.0.0/8"), ip_network("::ffff:0:0/96"), ip_network("0.0.0.0/32")])
    policy.replace_listeners([("127.0.0.1", 8080)])
    for own in ("127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"):
        with pytest.raises(EgressRefused, match="this gateway itself"):
            policy.check_address(ip_address(own), 8080)
    policy.check_address(ip_address("127.0.0.1"), 8081)
    policy.check_address(ip_address("127.0.0.2"), 8080)


def test_a_listener_on_all_addresses_is_at_each_address_of_the_machine() -> None:
    local = {ip_address("127.0.0.1"), ip_address("9.9.9.9")}
    policy = EgressPolicy(allow=[ip_network("127.0.0.0/8")], is_local=local.__contains__)
    for bound in ("0.0.0.0", "::"):
        policy.replace_listeners([(bound, 8080)])
        for own in local:
            with pytest.raises(EgressRefused, match="this gateway itself"):
                policy.check_address(own, 8080)
        policy.check_address(ip_address("8.8.8.8"), 8080)


def rule(state: str, *, port: int = 8443, host: str | None = None, tenant: int | None = None) -> PortRule:
    return PortRule("id", port, host, tenant, PortState(state))


def is_open(*rules: PortRule, port: int = 8443, host: str = "a.example", tenant: int = 1) -> bool:
    return port_is_open(port, host=host, tenant_id=tenant, rules=rules, open_from_start=frozenset({80, 443}))


def test_only_the_ports_of_the_setting_are_open_from_the_start() -> None:
    assert [is_open(port=port) for port in (80, 443, 8443, 22)] == [True, True, False, False]


def test_an_operator_opens_a_port_for_all_or_for_a_host_or_for_a_tenant() -> None:
    assert is_open(rule("open"))
    assert is_open(rule("open", host="a.example"))
    assert is_open(rule("open", tenant=1))
    assert not is_open(rule("open", host="b.example"))
    assert not is_open(rule("open", tenant=2))
    assert not is_open(rule("open", port=8444))


def test_a_port_that_is_only_asked_for_is_not_decided() -> None:
    assert not is_open(rule("asked"))
    assert is_open(rule("asked", port=443), port=443)


def test_a_denial_closes_a_port_of_the_setting() -> None:
    assert not is_open(rule("denied", port=443), port=443)
    assert not is_open(rule("denied", port=443, host="a.example"), port=443)


def test_the_more_specific_decision_counts() -> None:
    assert is_open(rule("denied"), rule("open", host="a.example"))
    assert not is_open(rule("open"), rule("denied", tenant=1))
    assert is_open(rule("denied", host="a.example"), rule("open", host="a.example", tenant=1))


def test_among_equally_specific_decisions_a_denial_counts_in_any_order() -> None:
    equal = [rule("open", host="a.example"), rule("denied", tenant=1), rule("asked", host="a.example")]
    assert not any(is_open(*order) for order in itertools.permutations(equal))


@pytest.mark.parametrize("written", ["A.Example", "a.example"])
def test_a_rules_host_may_be_written_in_any_case(written: str) -> None:
    assert is_open(rule("open", host=written))


def test_a_rules_host_may_be_an_international_name_or_an_address() -> None:
    assert is_open(rule("open", host="münchen.example"), host="xn--mnchen-3ya.example")
    assert is_open(rule("open", host="[2001:DB8::0:1]"), host="2001:db8::1")
    assert not is_open(rule("open", host="not a host"))


def test_where_a_connection_is_made_a_port_must_be_open_to_somebody() -> None:
    policy = EgressPolicy()
    with pytest.raises(EgressRefused, match="operator") as refused:
        policy.check_port("a.example", 8443)
    assert refused.value.kind == "port"
    policy.replace_rules([rule("open", host="a.example", tenant=7)])
    policy.check_port("a.example", 8443)
    with pytest.raises(EgressRefused):
        policy.check_port("b.example", 8443)


def test_a_port_that_one_tenant_is_denied_stays_open_to_the_others() -> None:
    policy = EgressPolicy()
    policy.replace_rules([rule("denied", port=443, tenant=7)])
    policy.check_port("a.example", 443)
    policy.replace_rules([rule("denied", port=443)])
    with pytest.raises(EgressRefused):
        policy.check_port("a.example", 443)
