"""The configuration in PostgreSQL: tenants, accesses, webhooks, tokens and ports, with their audit.

Only the registry calls this; everyone else reads the registry. Invariant: a credential is encrypted
before it enters a statement and is bound to its row, so neither a dump, nor the server's own log, nor
a row copied over another one gives a credential away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gateway.errors import Problem, Unavailable
from gateway.model import (
    Access,
    AccessType,
    KeyLocation,
    PortRule,
    PortState,
    Role,
    Tenant,
    Token,
    Webhook,
    WebhookState,
)
from gateway.store import audit
from gateway.store import config_statements as sql
from gateway.store.audit import AuditEntry
from gateway.store.fence import check_fence
from gateway.store.log import Fence
from gateway.store.secrets import SecretBox
from gateway.store.session import BROKEN, REFUSED

TIMEOUT_S = 5.0
"""For getting a connection, for each statement and for giving the connection back."""
FORGET_BATCH = 5_000
"""Deliveries removed in one transaction."""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class Outrun(Problem):
    """Another process has changed the same thing since the registry read it."""

    def __init__(self) -> None:
        super().__init__(409, "conflict", "this was changed by somebody else at the same time; read it again")


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything at once, as the registry wants it at start."""

    tenants: Sequence[Tenant]
    accesses: Sequence[Access]
    webhooks: Sequence[tuple[Webhook, datetime | None]]
    """Each with the time at which its older signing secret goes out of force."""
    tokens: Sequence[Token]
    ports: Sequence[PortRule]


class ConfigStore:
    """Reads the whole configuration, and writes changes to it, each in one transaction with its audit.

    Changes pass the fence: whoever owns the shards has the configuration in memory, and must be the one who changes it.
    `fence` None: for one who is alone with the database.
    """

    def __init__(self, pool: Pool, box: SecretBox, *, fence: Fence | None = None) -> None:
        self._pool = pool
        self._box = box
        self._fence = fence

    async def load(self) -> Configuration:
        """Everything, as of one moment. Raises `Unavailable`."""
        async with self._transaction(isolation="repeatable_read") as connection:
            accesses = {row["id"]: self._access(row) for row in await connection.fetch(sql.ACCESSES)}
            return Configuration(
                tenants=[
                    Tenant(row["id"], row["name"], row["rate_per_s"]) for row in await connection.fetch(sql.TENANTS)
                ],
                accesses=list(accesses.values()),
                webhooks=[
                    (self._webhook(row, accesses.get(row["access_id"])), row["old_secret_until"])
                    for row in await connection.fetch(sql.WEBHOOKS)
                ],
                tokens=[_token(row) for row in await connection.fetch(sql.TOKENS)],
                ports=[_port(row) for row in await connection.fetch(sql.PORTS)],
            )

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """One transaction: committed when the block ends, undone when it raises.

        Raises `Unavailable` where the database is away, `Outrun` where another process was faster.
        """
        async with self._writing() as connection:
            yield Change(connection, self._box)

    async def audit(self, *, tenant_id: int | None, before_id: str | None, limit: int) -> Sequence[AuditEntry]:
        """The newest `limit` entries older than `before_id`, of one tenant or of all."""
        async with self._transaction() as connection:
            return await audit.read_page(connection, tenant_id=tenant_id, before_id=before_id, limit=limit)

    async def failing_since(self) -> Mapping[str, datetime]:
        """The webhooks that were failing when an earlier process ended, and since when."""
        async with self._transaction() as connection:
            return {row["id"]: row["failing_since"] for row in await connection.fetch(sql.FAILING_SINCE)}

    async def save_failing_since(self, webhook_id: str, since: datetime | None) -> None:
        """None: it works again. Beside the webhook's own changes, so neither is in the other's way."""
        async with self._writing() as connection:
            await connection.execute(sql.SAVE_FAILING_SINCE, webhook_id, since)

    async def forget_deliveries(self) -> None:
        """Remove what removed webhooks were still to be sent. What is left over would keep old events for ever."""
        async with self._transaction() as connection:
            orphans = [row["webhook_id"] for row in await connection.fetch(sql.ORPHANS)]
        for webhook_id in orphans:
            more = True
            while more:
                async with self._writing() as connection:
                    done = await connection.execute(sql.FORGET_DELIVERIES, webhook_id, FORGET_BATCH)
                more = done == f"DELETE {FORGET_BATCH}"

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Connection]:
        async with self._transaction() as connection:
            if self._fence is not None:
                await check_fence(connection, self._fence)
            yield connection

    @asynccontextmanager
    async def _transaction(
        self, *, isolation: Literal["read_committed", "repeatable_read"] = "read_committed"
    ) -> AsyncIterator[Connection]:
        try:
            async with (
                asyncio.timeout(2 * TIMEOUT_S),
                self._pool.acquire(timeout=TIMEOUT_S) as connection,
                connection.transaction(isolation=isolation),
            ):
                yield connection
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Outrun from error
        except (*BROKEN, *REFUSED) as error:
            raise Unavailable("the database does not answer; nothing can be changed or looked up now") from error

    def _access(self, row: asyncpg.Record) -> Access:
        secret = self._box.open(row["secret"], row=f"access:{row['id']}").decode()
        kind = AccessType(row["type"])
        return Access(
            id=row["id"],
            tenant_id=row["tenant_id"],
            name=row["name"],
            type=kind,
            key_name=row["key_name"],
            location=KeyLocation(row["location"]),
            client_id=row["client_id"],
            client_secret=secret if kind is AccessType.BASIC else "",
            api_key=secret if kind is AccessType.API_KEY else "",
        )

    def _webhook(self, row: asyncpg.Record, access: Access | None) -> Webhook:
        sealed = [row["secret"]]
        if row["old_secret"] is not None and row["old_secret_until"] > datetime.now(UTC):
            sealed.append(row["old_secret"])
        schedule_s = row["retry_schedule_s"]
        return Webhook(
            id=row["id"],
            tenant_id=row["tenant_id"],
            name=row["name"],
            events=frozenset(row["events"]),
            method=row["method"],
            url=row["url"],
            access=access,
            state=WebhookState(row["state"]),
            reason=row["reason"],
            signing_secrets=tuple(self._box.open(each, row=f"webhook:{row['id']}") for each in sealed),
            timeout_s=row["timeout_s"],
            max_in_flight=row["max_in_flight"],
            rate_per_s=row["rate_per_s"],
            retry_schedule_s=None if schedule_s is None else tuple(schedule_s),
            order_wait_s=row["order_wait_s"],
        )


class Change:
    """One change under way. Everything done through it is committed together, or not at all."""

    def __init__(self, connection: Connection, box: SecretBox) -> None:
        self._connection = connection
        self._box = box

    async def audit(self, entry: AuditEntry) -> None:
        await audit.insert(self._connection, entry)

    async def add_tenant(self, name: str) -> Tenant:
        row = await self._connection.fetchrow(sql.ADD_TENANT, name)
        assert row is not None, "it returns the row in any case"
        return Tenant(row["id"], name, row["rate_per_s"])

    async def limit_tenant(self, tenant: Tenant) -> None:
        await self._connection.execute(sql.LIMIT_TENANT, tenant.id, tenant.rate_per_s)

    async def save_access(self, access: Access) -> None:
        secret = access.client_secret if access.type is AccessType.BASIC else access.api_key
        await self._connection.execute(
            sql.SAVE_ACCESS,
            access.id,
            access.tenant_id,
            access.name,
            access.type,
            access.key_name,
            access.location,
            access.client_id,
            self._box.seal(secret.encode(), row=f"access:{access.id}"),
        )

    async def remove_access(self, access_id: str) -> None:
        await self._connection.execute(sql.REMOVE_ACCESS, access_id)

    async def save_webhook(self, webhook: Webhook, *, old_secret_until: datetime | None) -> None:
        secret, *older = (self._box.seal(each, row=f"webhook:{webhook.id}") for each in webhook.signing_secrets)
        await self._connection.execute(
            sql.SAVE_WEBHOOK,
            webhook.id,
            webhook.tenant_id,
            webhook.name,
            sorted(webhook.events),
            webhook.method,
            webhook.url,
            webhook.access.id if webhook.access else None,
            webhook.state,
            webhook.reason,
            webhook.timeout_s,
            webhook.max_in_flight,
            webhook.rate_per_s,
            webhook.retry_schedule_s,
            webhook.order_wait_s,
            secret,
            older[0] if older else None,
            old_secret_until if older else None,
        )

    async def remove_webhook(self, webhook_id: str) -> None:
        await self._connection.execute(sql.REMOVE_WEBHOOK, webhook_id)

    async def add_token(self, token: Token) -> None:
        await self._connection.execute(
            sql.ADD_TOKEN,
            token.id,
            token.name,
            token.role,
            token.tenant_id,
            token.prefix,
            token.digest,
            token.created_at,
            token.expires_at,
        )

    async def remove_token(self, token_id: str) -> None:
        await self._connection.execute(sql.REMOVE_TOKEN, token_id)

    async def save_port(self, rule: PortRule) -> None:
        await self._connection.execute(sql.SAVE_PORT, rule.id, rule.port, rule.host, rule.tenant_id, rule.state)

    async def remove_port(self, rule_id: str) -> None:
        await self._connection.execute(sql.REMOVE_PORT, rule_id)


def _token(row: asyncpg.Record) -> Token:
    return Token(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        tenant_id=row["tenant_id"],
        prefix=row["prefix"],
        digest=row["digest"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


def _port(row: asyncpg.Record) -> PortRule:
    return PortRule(
        id=row["id"], port=row["port"], host=row["host"], tenant_id=row["tenant_id"], state=PortState(row["state"])
    )
