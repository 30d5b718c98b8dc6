"""One change to the configuration while it is being made: to a copy in memory and in one transaction.

Owned by the registry, which adopts the copy once the transaction is committed. Invariant: after each step
a webhook is `blocked` exactly if it is not paused and its target's port is not open, and each closed port
that a webhook needs has a row in which an operator can see and decide it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from gateway.audit_detail import created, differences
from gateway.errors import EgressRefused
from gateway.model import Access, PortRule, PortState, Tenant, Token, Webhook, WebhookState
from gateway.registry.state import State, TargetPolicy, Way
from gateway.store.audit import AuditEntry
from gateway.store.config import Change


class Edit:
    """Writes each change to the store and to its own `state`, with an audit entry in the name of `by`."""

    def __init__(
        self, state: State, change: Change, *, policy: TargetPolicy, next_id: Callable[[], str], by: str
    ) -> None:
        self.state = state
        self._change = change
        self._policy = policy
        self._next_id = next_id
        self._by = by
        self._decided: dict[int, list[PortRule]] | None = None

    async def audit(
        self, action: str, resource: str, tenant_id: int | None, detail: Mapping[str, object] | None = None
    ) -> None:
        await self._change.audit(AuditEntry(self._next_id(), tenant_id, self._by, action, resource, detail or {}))

    async def add_tenant(self, name: str) -> Tenant:
        tenant = await self._change.add_tenant(name)
        self.state.tenants[tenant.id] = tenant
        await self.audit("tenant.create", name, tenant.id)
        return tenant

    async def limit_tenant(self, tenant: Tenant, rate_per_s: float | None) -> Tenant:
        limited = replace(tenant, rate_per_s=rate_per_s)
        self.state.tenants[tenant.id] = limited
        await self._change.limit_tenant(limited)
        if limited != tenant:
            await self.audit("tenant.change", tenant.name, tenant.id, {"rate_per_s": [tenant.rate_per_s, rate_per_s]})
        return limited

    async def save_access(self, access: Access) -> None:
        """Add or change an access; the webhooks that use it use the new one at once."""
        old = self.state.accesses.get(access.id)
        self.state.accesses[access.id] = access
        await self._change.save_access(access)
        await self._audit_saved("access", access, old)
        for webhook in self.state.using(access.id):
            self.state.webhooks[webhook.id] = replace(webhook, access=access)

    async def remove_access(self, access: Access) -> None:
        del self.state.accesses[access.id]
        await self._change.remove_access(access.id)
        await self.audit("access.delete", access.id, access.tenant_id, {"name": access.name})

    async def save_webhook(self, webhook: Webhook, *, old_until: datetime | None = None) -> None:
        """Add or change a webhook. `old_until` starts the overlap of a rotation; None keeps the one under way."""
        if old_until is not None:
            self.state.old_until[webhook.id] = old_until
        self.take_apart(webhook)
        await self._write_webhook(self._settled(webhook))
        await self._ask()

    def take_apart(self, webhook: Webhook) -> None:
        try:
            self.state.targets[webhook.id] = self._policy.parse_target(webhook.url)
        except EgressRefused:
            self.state.targets.pop(webhook.id, None)

    async def _write_webhook(self, webhook: Webhook) -> None:
        old = self.state.webhooks.get(webhook.id)
        self.state.webhooks[webhook.id] = webhook
        await self._change.save_webhook(webhook, old_secret_until=self.state.old_until.get(webhook.id))
        await self._audit_saved("webhook", webhook, old)

    async def remove_webhook(self, webhook: Webhook) -> None:
        del self.state.webhooks[webhook.id]
        for known in (self.state.old_until, self.state.targets, self.state.closed):
            known.pop(webhook.id, None)
        await self._change.remove_webhook(webhook.id)
        await self.audit("webhook.delete", webhook.id, webhook.tenant_id, created(webhook))
        await self._ask()

    async def add_token(self, token: Token) -> None:
        self.state.tokens[token.id] = token
        await self._change.add_token(token)
        await self._audit_saved("token", token, None)

    async def remove_token(self, token: Token) -> None:
        del self.state.tokens[token.id]
        await self._change.remove_token(token.id)
        await self.audit("token.revoke", token.id, token.tenant_id, {"name": token.name, "prefix": token.prefix})

    async def save_port(self, rule: PortRule) -> None:
        """Decide on a port; the webhooks that it concerns are unblocked or blocked."""
        await self._write_port(rule)
        await self.settle()

    async def remove_port(self, rule: PortRule) -> None:
        """As if nobody had ever decided; webhooks that need the port are blocked and ask for it anew."""
        await self._erase_port(rule)
        await self.settle()

    async def _write_port(self, rule: PortRule) -> None:
        old = self.state.ports.get(rule.id)
        self.state.ports[rule.id] = rule
        self._decided = None
        await self._change.save_port(rule)
        await self._audit_saved("port", rule, old)

    async def _erase_port(self, rule: PortRule) -> None:
        del self.state.ports[rule.id]
        self._decided = None
        await self._change.remove_port(rule.id)
        await self.audit("port.delete", rule.id, rule.tenant_id, created(rule))

    async def settle(self) -> None:
        """Bring the webhooks' states and the questions to the operators in line with the ports that are open."""
        for webhook in list(self.state.webhooks.values()):
            settled = self._settled(webhook)
            if settled is not webhook:
                await self._write_webhook(settled)
        await self._ask()

    def _settled(self, webhook: Webhook) -> Webhook:
        """The same webhook, unless its port demands another state; a pause is the user's and stays."""
        target = self.state.targets.get(webhook.id)
        if target is None:
            self.state.closed.pop(webhook.id, None)
            return webhook
        way = (target.port, target.host, webhook.tenant_id)
        rules = self._decisions(target.port)
        state, reason = WebhookState.ACTIVE, None
        if self._policy.port_is_open(target, webhook.tenant_id, rules):
            self.state.closed.pop(webhook.id, None)
        else:
            self.state.closed[webhook.id] = way
            state = WebhookState.BLOCKED
            reason = closed_reason(target.port, denied=any(_covers(rule, way) for rule in rules))
        if webhook.state is WebhookState.PAUSED or (webhook.state, webhook.reason) == (state, reason):
            return webhook
        return replace(webhook, state=state, reason=reason)

    def _decisions(self, port: int) -> list[PortRule]:
        """The rules for a port that decide something: a thousand questions must not slow each answer down."""
        if self._decided is None:
            self._decided = {}
            for rule in self.state.ports.values():
                if rule.state is not PortState.ASKED:
                    self._decided.setdefault(rule.port, []).append(rule)
        return self._decided.get(port, [])

    async def _ask(self) -> None:
        """A row for each closed port that nobody has decided on, and none for those that nobody needs any more."""
        rules = self.state.ports.values()
        asked = {(rule.port, rule.host, rule.tenant_id): rule for rule in rules if rule.state is PortState.ASKED}
        wanted = {
            way for way in self.state.closed.values() if not any(_covers(rule, way) for rule in self._decisions(way[0]))
        }
        for way in asked.keys() - wanted:
            await self._erase_port(asked[way])
        for port, host, tenant_id in wanted - asked.keys():
            await self._write_port(PortRule(self._next_id(), port, host, tenant_id, PortState.ASKED))

    async def _audit_saved(
        self, kind: str, new: Access | Webhook | Token | PortRule, old: Access | Webhook | Token | PortRule | None
    ) -> None:
        if old is None:
            await self.audit(f"{kind}.create", new.id, new.tenant_id, created(new))
        elif detail := differences(old, new):
            await self.audit(f"{kind}.change", new.id, new.tenant_id, detail)


def _covers(rule: PortRule, wanted: Way) -> bool:
    port, host, tenant_id = wanted
    return rule.port == port and rule.host in (None, host) and rule.tenant_id in (None, tenant_id)


def closed_reason(port: int, *, denied: bool) -> str:
    """Why a webhook is blocked, and who can change that."""
    said = f"an operator has denied port {port}" if denied else f"port {port} is not open"
    return f"{said}; an operator opens it with `gateway port open {port}` or POST /api/v1/ports"
