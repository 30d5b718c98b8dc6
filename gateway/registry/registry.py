"""The configuration in memory, and the only way to change it.

Every part of the gateway that needs a tenant, an access, a webhook, a token or a port asks here, and
never the store. Invariant: memory never runs ahead of the store. A change is committed first, then adopted,
then told to the listeners, without anything else of this process running in between; changes are serial.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from gateway.errors import Problem, Unavailable
from gateway.ids import IdSource
from gateway.model import Access, PortRule, PortState, Tenant, Token, Webhook, WebhookState
from gateway.registry.changes import AccessChanges, Listener, TokenSink, WebhookChanges
from gateway.registry.checks import (
    check_access,
    check_not_last_admin,
    check_room,
    check_unused,
    check_url,
    found,
    is_paused_by_gateway,
    with_access,
)
from gateway.registry.edit import Edit
from gateway.registry.state import State, TargetPolicy, View
from gateway.store.config import Change, ConfigStore, Outrun

OVERLAP = timedelta(hours=24)
"""How long a rotated signing secret still signs, beside the new one."""
TEND_EVERY_S = 15.0
BY_GATEWAY = "gateway"
"""How the audit calls the program itself."""

log = structlog.get_logger(__name__)


class Registry(View):
    """A view that can be changed. Changes raise `Problem`, or `Unavailable` where it is not known to have worked.

    `by` is who changes, as the audit shall call them.
    """

    def __init__(
        self,
        store: ConfigStore,
        *,
        policy: TargetPolicy,
        tokens: TokenSink,
        ids: IdSource,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._store = store
        self._policy = policy
        self._token_sink = tokens
        self._ids = ids
        self._now = now
        self._listeners: list[Listener] = []
        self._lock = asyncio.Lock()
        self._stale = True

    # ── Life ────────────────────────────────────────────────────────────────────────────────────────────────────

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of every change from now on: of every webhook, where that is before `load`."""
        self._listeners.append(listener)

    def new_id(self) -> str:
        return self._ids.next()

    async def load(self) -> None:
        """Read everything from the store; at start, before anything asks.

        Ports that the settings open or close since the last start unblock and block webhooks here.
        """
        async with self._lock:
            await self._reload()

    async def run(self) -> None:
        """Tend to the configuration now and then, until cancelled."""
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            try:
                await self.tend()
            except Unavailable as error:
                log.warning("registry_waits", detail=str(error))

    async def tend(self) -> None:
        """What time and accidents leave to do: secrets to retire, a change in doubt to look up, what nobody is owed.

        A change is in doubt where the connection broke at its commit; it may be the revocation of a token.
        """
        async with self._lock:
            self._retire_secrets()
            if self._stale:
                await self._reload()
        await self._store.forget_deliveries()

    def _retire_secrets(self) -> None:
        """Drop each older signing secret whose overlap is over. The store's copy is ignored from then on."""
        state, now = self._state.copy(), self._now()
        over = [webhook_id for webhook_id, until in state.old_until.items() if until <= now]
        for webhook_id in over:
            del state.old_until[webhook_id]
            webhook = state.webhooks[webhook_id]
            state.webhooks[webhook_id] = replace(webhook, signing_secrets=webhook.signing_secrets[:1])
        if over:
            self._adopt(state)

    # ── Tenants and accesses ────────────────────────────────────────────────────────────────────────────────────

    async def add_tenant(self, name: str, *, by: str, rate_per_s: float | None = None) -> Tenant:
        """The tenant of this name, which may exist already, and then stays as it is."""
        async with self._edit(by) as edit:
            known = next((each for each in edit.state.tenants.values() if each.name == name), None)
            if known is not None:
                return known
            check_room(edit.state.tenants, "tenants")
            tenant = await edit.add_tenant(name)
            return tenant if rate_per_s is None else await edit.limit_tenant(tenant, rate_per_s)

    async def limit_tenant(self, tenant_id: int, rate_per_s: float | None, *, by: str) -> Tenant:
        """How many events a second it may push; None: as the setting says for all."""
        async with self._edit(by) as edit:
            return await edit.limit_tenant(edit.state.tenants[tenant_id], rate_per_s)

    async def add_access(self, access: Access, *, by: str) -> Access:
        async with self._edit(by) as edit:
            check_room(edit.state.accesses, "accesses")
            check_access(access, edit.state)
            await edit.save_access(access)
        return access

    async def change_access(self, access_id: str, changes: AccessChanges, *, by: str) -> Access:
        async with self._edit(by) as edit:
            access = replace(found(edit.state.accesses, access_id), **changes)
            check_access(access, edit.state)
            await edit.save_access(access)
        return access

    async def remove_access(self, access_id: str, *, by: str) -> None:
        """Problem 409 where webhooks use it."""
        async with self._edit(by) as edit:
            access = found(edit.state.accesses, access_id)
            check_unused(access, edit.state)
            await edit.remove_access(access)

    # ── Webhooks ────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_webhook(self, webhook: Webhook, *, by: str) -> Webhook:
        """As it was saved: `blocked`, where its port is not open."""
        async with self._edit(by) as edit:
            check_room(edit.state.webhooks, "webhooks")
            check_url(webhook.url, self._policy)
            await edit.save_webhook(with_access(webhook, edit.state))
        return self._state.webhooks[webhook.id]

    def checked_webhook(self, webhook: Webhook) -> Webhook:
        """As it could be saved, with its access as it is now. Problem 422 where it could not."""
        check_url(webhook.url, self._policy)
        return with_access(webhook, self._state)

    async def change_webhook(self, webhook_id: str, changes: WebhookChanges, *, by: str) -> Webhook:
        """As it was saved. A resumed one whose port is not open is `blocked`; a reason ends with its state."""
        async with self._edit(by) as edit:
            old = found(edit.state.webhooks, webhook_id)
            new = replace(old, **changes)
            if "state" in changes:  # who asks for a state takes it over: a pause of the gateway becomes the user's own
                new = replace(new, reason=None)
            if new.url != old.url:  # an old one that has come to be refused does not stand in the way of a pause
                check_url(new.url, self._policy)
            await edit.save_webhook(with_access(new, edit.state))
        return self._state.webhooks[webhook_id]

    async def pause_webhook(self, webhook_id: str, *, url: str, reason: str) -> bool:
        """Pause it, as the gateway itself, if it is active and still at this URL; whether that was so."""
        async with self._edit(BY_GATEWAY) as edit:
            webhook = edit.state.webhooks.get(webhook_id)
            if webhook is None or webhook.state is not WebhookState.ACTIVE or webhook.url != url:
                return False
            await edit.save_webhook(replace(webhook, state=WebhookState.PAUSED, reason=reason))
        return True

    async def resume_webhook(self, webhook_id: str, *, by: str) -> bool:
        """Resume it if the gateway itself has paused it; never what a user has paused. Whether it is active now."""
        async with self._edit(by) as edit:
            webhook = edit.state.webhooks.get(webhook_id)
            if webhook is None or not is_paused_by_gateway(webhook):
                return False
            await edit.save_webhook(replace(webhook, state=WebhookState.ACTIVE, reason=None))
        return self._state.webhooks[webhook_id].state is WebhookState.ACTIVE

    async def remove_webhook(self, webhook_id: str, *, by: str) -> None:
        async with self._edit(by) as edit:
            await edit.remove_webhook(found(edit.state.webhooks, webhook_id))

    async def rotate_secret(self, webhook_id: str, secret: bytes, *, by: str) -> Webhook:
        """The new secret signs from now on, and the one before beside it for `OVERLAP`."""
        async with self._edit(by) as edit:
            webhook = found(edit.state.webhooks, webhook_id)
            rotated = replace(webhook, signing_secrets=(secret, webhook.signing_secrets[0]))
            await edit.save_webhook(rotated, old_until=self._now() + OVERLAP)
        return rotated

    async def note_secret_read(self, webhook: Webhook, *, by: str) -> None:
        """Before a signing secret is shown, so that it is never shown without a trace."""
        async with self._edit(by) as edit:
            await edit.audit("webhook.read_secret", webhook.id, webhook.tenant_id)

    # ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_token(self, token: Token, *, by: str) -> Token:
        async with self._edit(by) as edit:
            check_room(edit.state.tokens, "tokens")
            await edit.add_token(token)
        return token

    async def remove_token(self, token_id: str, *, by: str) -> None:
        """Problem 409 for the last admin token that sees everything: without it nobody could make another."""
        async with self._edit(by) as edit:
            token = found(edit.state.tokens, token_id)
            check_not_last_admin(token, edit.state, self._now())
            await edit.remove_token(token)

    # ── Ports ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def decide_port(
        self, port: int, state: PortState, *, by: str, host: str | None = None, tenant_id: int | None = None
    ) -> PortRule:
        """Open or deny a port, for a host or a tenant or all; what was decided on just these before is replaced."""
        async with self._edit(by) as edit:
            check_room(edit.state.ports, "ports")
            known = {(each.port, each.host, each.tenant_id): each.id for each in edit.state.ports.values()}
            rule_id = known.get((port, host, tenant_id)) or self.new_id()
            rule = PortRule(rule_id, port, host, tenant_id, state)
            await edit.save_port(rule)
        return rule

    async def change_port(self, rule_id: str, state: PortState, *, by: str) -> PortRule:
        async with self._edit(by) as edit:
            rule = replace(found(edit.state.ports, rule_id), state=state)
            await edit.save_port(rule)
        return rule

    async def remove_port(self, rule_id: str, *, by: str) -> None:
        """Close it. Webhooks that still need it are blocked, and ask for it anew."""
        async with self._edit(by) as edit:
            await edit.remove_port(found(edit.state.ports, rule_id))

    # ── The mechanism ───────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _edit(self, by: str) -> AsyncIterator[Edit]:
        """One change: to a copy and to the store, adopted once it is committed.

        After an error that leaves open what the store holds now, the next change reads it all again first; a
        `Problem` alone does not: it was raised before anything was committed, by what memory and store agree on.
        """
        async with self._lock:
            if self._stale:
                await self._reload()
            state = self._state.copy()
            try:
                async with self._store.change() as change:
                    yield self._editing(state, change, by)
            except BaseException as error:
                self._stale = isinstance(error, Outrun) or not isinstance(error, Problem)
                raise
            self._adopt(state)

    def _editing(self, state: State, change: Change, by: str) -> Edit:
        return Edit(state, change, policy=self._policy, next_id=self.new_id, by=by)

    async def _reload(self) -> None:
        loaded = await self._store.load()
        state = State(
            tenants={each.id: each for each in loaded.tenants},
            accesses={each.id: each for each in loaded.accesses},
            webhooks={webhook.id: webhook for webhook, _ in loaded.webhooks},
            tokens={each.id: each for each in loaded.tokens},
            ports={each.id: each for each in loaded.ports},
            old_until={
                webhook.id: until for webhook, until in loaded.webhooks if until and webhook.signing_secrets[1:]
            },
        )
        async with self._store.change() as change:
            edit = self._editing(state, change, BY_GATEWAY)
            for webhook in state.webhooks.values():
                edit.take_apart(webhook)
            await edit.settle()
        self._adopt(state)
        self._stale = False

    def _adopt(self, state: State) -> None:
        """From here on `state` is what everyone sees; the listeners are told how it differs."""
        old, self._state = self._state, state
        self._names = {tenant.name: tenant for tenant in state.tenants.values()}
        self._token_sink.replace(state.tokens.values())
        self._policy.replace_rules(state.ports.values())
        for webhook_id in old.webhooks.keys() - state.webhooks.keys():
            for listener in self._listeners:
                listener.webhook_removed(webhook_id)
        for webhook in state.webhooks.values():
            known = old.webhooks.get(webhook.id)
            if known is not webhook and known != webhook:
                for listener in self._listeners:
                    listener.webhook_changed(webhook)
