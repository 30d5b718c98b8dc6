"""Where webhooks may send to: the form of a URL, the addresses, the ports, and never the gateway itself.

Asked when a webhook is saved, and again for each address that is about to be dialled. Invariant: it decides
from what it is given and looks nothing up, so both questions get the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, ip_address

from gateway.egress import target as urls
from gateway.egress.addresses import Address, AddressRules, Network, address_of
from gateway.egress.ports import open_to_anyone, port_is_open
from gateway.egress.target import Target
from gateway.errors import EgressRefused
from gateway.model import PortRule

LOOPBACK = (ip_address("127.0.0.1"), ip_address("::1"))


def nowhere(address: Address) -> bool:
    """The answer of a machine that has no addresses."""
    return False


class EgressPolicy:
    """`allow` and `ports` are the operator's settings. The rules and own listeners change at run time.

    `is_local` says whether an address is this machine's; it is asked only where the gateway listens on all of them.
    """

    def __init__(
        self,
        *,
        allow: Iterable[Network] = (),
        ports: Iterable[int] = (80, 443),
        is_local: Callable[[Address], bool] = nowhere,
    ) -> None:
        self._addresses = AddressRules(allow)
        self.open_from_start = frozenset(ports)
        self._is_local = is_local
        self._rules: tuple[PortRule, ...] = ()
        self._listeners: frozenset[tuple[Address, int]] = frozenset()

    def replace_rules(self, rules: Iterable[PortRule]) -> None:
        self._rules = tuple(rules)

    def replace_listeners(self, listeners: Iterable[tuple[str, int]]) -> None:
        """The addresses and ports that the gateway's own sockets are bound to, as `getsockname` gives them."""
        self._listeners = frozenset((ip_address(host), port) for host, port in listeners)

    def parse_target(self, url: str) -> Target:
        """See `target.parse_target`; `localhost` may stand where a loopback address is allowed."""
        return urls.parse_target(url, localhost=any(self._addresses.allows(each) for each in LOOPBACK))

    def check_literal(self, target: Target) -> None:
        """Raises `EgressRefused` where the URL itself gives an address that no target may have."""
        address = address_of(target.host)
        if address is not None:
            self.check_address(address, target.port)

    def check_address(self, address: Address, port: int, *, of: str = "") -> None:
        """Raises `EgressRefused` of kind `address`; `of` is the name that led to the address, for the message."""
        self._addresses.check(address, of=of)
        if self._is_own(address, port):
            raise EgressRefused(
                "address", f"{of or address} on port {port} is this gateway itself. Use another target."
            )

    def port_is_open(self, target: Target, tenant_id: int, rules: Iterable[PortRule]) -> bool:
        """Whether the target's port would be open to that tenant under these rules."""
        return port_is_open(
            target.port, host=target.host, tenant_id=tenant_id, rules=rules, open_from_start=self.open_from_start
        )

    def check_port(self, host: str, port: int) -> None:
        """Raises `EgressRefused` of kind `port` where the rules in force open it to no tenant at all.

        Which tenant's it is, is not known where connections are made; webhooks are blocked by `port_is_open`.
        """
        if not open_to_anyone(port, host=host, rules=self._rules, open_from_start=self.open_from_start):
            raise EgressRefused("port", f"Port {port} is not open for {host}. Ask an operator to open it.")

    def _is_own(self, address: Address, port: int) -> bool:
        address = (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
        for bound, bound_port in self._listeners:
            if port != bound_port:
                continue
            if address == bound or address.is_unspecified or (bound.is_unspecified and self._is_local(address)):
                return True
        return False
