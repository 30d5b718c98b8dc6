"""The configuration in memory, as it is at one moment, and the questions that it answers.

Invariant: a state that others can see is never altered; a change makes a copy, and the copy takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from gateway.egress.target import Target
from gateway.model import Access, PortRule, Tenant, Token, Webhook

Way: TypeAlias = tuple[int, str | None, int | None]
"""Port, host and tenant id: what a webhook needs and a rule covers."""


class TargetPolicy(Protocol):
    """What the registry asks of the egress policy. The checks raise `EgressRefused`."""

    def parse_target(self, url: str) -> Target: ...

    def check_literal(self, target: Target) -> None: ...

    def port_is_open(self, target: Target, tenant_id: int, rules: Iterable[PortRule]) -> bool: ...

    def replace_rules(self, rules: Iterable[PortRule]) -> None: ...


@dataclass(slots=True)
class State:
    """The whole configuration by id. `old_until` says when a webhook's older signing secret goes out of force."""

    tenants: dict[int, Tenant] = field(default_factory=dict)
    accesses: dict[str, Access] = field(default_factory=dict)
    webhooks: dict[str, Webhook] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    ports: dict[str, PortRule] = field(default_factory=dict)
    old_until: dict[str, datetime] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    """The URLs of the webhooks, taken apart. One that the policy would refuse today has none, and keeps its state."""
    closed: dict[str, Way] = field(default_factory=dict)
    """What the webhooks on closed ports need, by webhook; `Edit` keeps it."""

    def copy(self) -> State:
        return State(
            dict(self.tenants),
            dict(self.accesses),
            dict(self.webhooks),
            dict(self.tokens),
            dict(self.ports),
            dict(self.old_until),
            dict(self.targets),
            dict(self.closed),
        )

    def using(self, access_id: str) -> list[Webhook]:
        """The webhooks that use an access."""
        return [webhook for webhook in self.webhooks.values() if webhook.access and webhook.access.id == access_id]


class View:
    """Answers from memory, at once. A list of one tenant's is asked for by its id, everyone's by None."""

    def __init__(self) -> None:
        self._state = State()
        self._names: Mapping[str, Tenant] = {}

    def tenant(self, name: str) -> Tenant | None:
        return self._names.get(name)

    def tenant_by_id(self, tenant_id: int) -> Tenant:
        return self._state.tenants[tenant_id]

    def tenants(self, tenant_id: int | None = None) -> list[Tenant]:
        return [each for each in self._state.tenants.values() if tenant_id in (None, each.id)]

    def access(self, access_id: str) -> Access | None:
        return self._state.accesses.get(access_id)

    def accesses(self, tenant_id: int | None = None) -> list[Access]:
        return [each for each in self._state.accesses.values() if tenant_id in (None, each.tenant_id)]

    def webhook(self, webhook_id: str) -> Webhook | None:
        return self._state.webhooks.get(webhook_id)

    def webhooks(self, tenant_id: int | None = None) -> list[Webhook]:
        return [each for each in self._state.webhooks.values() if tenant_id in (None, each.tenant_id)]

    def previous_secret_until(self, webhook_id: str) -> datetime | None:
        """When the older of two signing secrets goes out of force; None where there is one."""
        return self._state.old_until.get(webhook_id)

    def token(self, token_id: str) -> Token | None:
        return self._state.tokens.get(token_id)

    def tokens(self, tenant_id: int | None = None) -> list[Token]:
        return [each for each in self._state.tokens.values() if tenant_id in (None, each.tenant_id)]

    def port(self, rule_id: str) -> PortRule | None:
        return self._state.ports.get(rule_id)

    def ports(self, tenant_id: int | None = None) -> list[PortRule]:
        """Of one tenant, the rules for it and those for all."""
        return [each for each in self._state.ports.values() if tenant_id is None or each.tenant_id in (None, tenant_id)]
