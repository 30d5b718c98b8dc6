"""Which ports a target may have: those of GATEWAY_EGRESS_PORTS, and what operators have decided since.

Invariant: of the decisions that fit a target the most specific counts (naming host or tenant is more specific
than naming neither, naming both is more than one), and among equals a denial. A rule that is merely asked for
decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.egress.target import normal_host
from gateway.errors import EgressRefused
from gateway.model import PortRule, PortState


def port_is_open(
    port: int, *, host: str, tenant_id: int, rules: Iterable[PortRule], open_from_start: frozenset[int]
) -> bool:
    """Whether a target at `host` (as `Target.host` spells it) of that tenant may have that port."""
    fitting = [
        rule
        for rule in rules
        if rule.port == port
        and rule.state is not PortState.ASKED
        and rule.tenant_id in (None, tenant_id)
        and (rule.host is None or rule_host(rule.host) == host)
    ]
    if not fitting:
        return port in open_from_start
    return max(fitting, key=_weight).state is PortState.OPEN


def open_to_anyone(port: int, *, host: str, rules: Iterable[PortRule], open_from_start: frozenset[int]) -> bool:
    """Whether some tenant's target at `host` may have that port: what is known where a connection is made."""
    rules = tuple(rules)
    tenants = {rule.tenant_id for rule in rules if rule.tenant_id is not None}
    return any(
        port_is_open(port, host=host, tenant_id=tenant_id, rules=rules, open_from_start=open_from_start)
        for tenant_id in (*tenants, NO_TENANT)
    )


NO_TENANT = 0
"""Stands for every tenant that no rule names; ids begin at 1."""


def rule_host(host: str) -> str:
    """A rule's host as `Target.host` would spell it; one that can be no target's stays as it is, and fits none."""
    try:
        return normal_host(host)
    except EgressRefused:
        return host


def _weight(rule: PortRule) -> tuple[int, bool]:
    return (rule.host is not None) + (rule.tenant_id is not None), rule.state is PortState.DENIED
