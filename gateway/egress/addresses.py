"""Which addresses a target may have.

Invariant: everything is refused that is not plainly the public Internet, or opened by name in
GATEWAY_EGRESS_ALLOW. The lists are the IANA special-purpose registries (RFC 6890) and the clouds' metadata
services; `ipaddress.is_global` says True for several of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from gateway.errors import EgressRefused

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

REFUSED_IPV4 = {
    IPv4Network(network): what
    for network, what in {
        "0.0.0.0/8": "an address of “this network”",
        "10.0.0.0/8": "a private address",
        "100.64.0.0/10": "an address of a carrier's shared network",
        "127.0.0.0/8": "a loopback address",
        "169.254.0.0/16": "a link-local address",
        "172.16.0.0/12": "a private address",
        "192.0.0.0/24": "a protocol assignment",
        "192.0.2.0/24": "a documentation address",
        "192.88.99.0/24": "a 6to4 relay",
        "192.168.0.0/16": "a private address",
        "198.18.0.0/15": "a benchmarking address",
        "198.51.100.0/24": "a documentation address",
        "203.0.113.0/24": "a documentation address",
        "224.0.0.0/4": "a multicast address",
        "240.0.0.0/4": "a reserved address",
        "168.63.129.16/32": "a cloud's metadata service",
    }.items()
}
PUBLIC_IPV6 = IPv6Network("2000::/3")
REFUSED_IPV6 = {
    IPv6Network(network): what
    for network, what in {
        "2001::/23": "a protocol assignment (Teredo and others)",
        "2001:db8::/32": "a documentation address",
        "2002::/16": "a 6to4 address",
        "3fff::/20": "a documentation address",
    }.items()
}
EXACT_ONLY: tuple[Network, ...] = (
    IPv4Network("169.254.0.0/16"),
    IPv4Network("168.63.129.16/32"),  # Azure
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv6Network("fe80::/10"),
    IPv6Network("fd00:ec2::254/128"),  # AWS
    IPv6Network("fd20:ce::254/128"),  # Google
)
"""Link-local addresses and metadata services, which hand out credentials: a wider network never opens them."""
IPV4_INSIDE = tuple(IPv6Network(network) for network in ("::/96", "::ffff:0:0/96", "64:ff9b::/96"))
"""IPv6 networks whose last 32 bits are an IPv4 address: compatible, mapped, NAT64."""


class AddressRules:
    """The rules with the networks that an operator has opened. Pure; may be shared."""

    def __init__(self, allow: Iterable[Network] = ()) -> None:
        self._allow = tuple(allow)
        self._exact = frozenset(n.network_address for n in self._allow if n.prefixlen == n.max_prefixlen)

    def allows(self, address: Address) -> bool:
        return self._objection(address) is None

    def check(self, address: Address, *, of: str = "") -> None:
        """Raises `EgressRefused` of kind `address` where no target may be; `of` is the name that led there."""
        objection = self._objection(address)
        if objection is None:
            return
        where = f"{of} leads to {address}," if of and of != str(address) else f"{address} is"
        raise EgressRefused("address", f"{where} {objection}")

    def _objection(self, address: Address) -> str | None:
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return "an address with a scope id, which no target may have."
        if address in self._exact:
            return None
        inside = _ipv4_inside(address)
        for each in (address, inside):
            if each is not None and _in_any(each, EXACT_ONLY):
                return (
                    "a link-local address or a cloud's metadata service, where no target may be. "
                    f"An operator can open it by naming it exactly, {address}/{address.max_prefixlen}, "
                    "in GATEWAY_EGRESS_ALLOW."
                )
        if _in_any(address, self._allow):
            return None
        what = _special(address)
        if what is None:
            return None
        return (
            f"{what}, where no target may be. Use a public address; "
            "an operator can open its network in GATEWAY_EGRESS_ALLOW."
        )


def address_of(text: str) -> Address | None:
    """The address that `text` is, None for a name."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def _special(address: Address) -> str | None:
    """What an address is that is not plainly public."""
    if isinstance(address, IPv4Address):
        return next((what for network, what in REFUSED_IPV4.items() if address in network), None)
    if address not in PUBLIC_IPV6:
        return "a loopback address" if address.is_loopback else "not a public address"
    return next((what for network, what in REFUSED_IPV6.items() if address in network), None)


def _ipv4_inside(address: Address) -> IPv4Address | None:
    """The IPv4 address that a gateway or the kernel would make of an IPv6 one."""
    if isinstance(address, IPv4Address):
        return None
    if any(address in network for network in IPV4_INSIDE):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour


def _in_any(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
