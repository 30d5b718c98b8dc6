"""Who is asking, and which tenants' resources that shows.

Invariant: a bound token never learns that another tenant's resource exists: it is answered 404, the same
as one that does not. Only naming another tenant outright is answered 403, for the name is the caller's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from aiohttp import web

from gateway.errors import FieldError, Problem
from gateway.http import Handler, invalid
from gateway.ingress.tokens import RANK, TokenBook, at_least, require
from gateway.model import DEFAULT_TENANT, Role, Tenant, Token


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller. `tenant_id` None is unbound: every tenant is visible."""

    token: Token

    @property
    def tenant_id(self) -> int | None:
        return self.token.tenant_id

    @property
    def role(self) -> Role:
        return self.token.role

    @property
    def actor(self) -> str:
        """How the audit calls the caller: the token's name and its public prefix."""
        return f"{self.token.name} ({self.token.prefix})"

    def is_at_least(self, role: Role) -> bool:
        return RANK[self.role] >= RANK[role]

    def sees(self, tenant_id: int | None) -> bool:
        """Whether a resource of this tenant may be seen; one of no tenant is for the unbound alone."""
        return self.tenant_id is None or self.tenant_id == tenant_id


PRINCIPAL: Final = web.RequestKey("principal", Principal)


class Tenants(Protocol):
    """What scoping asks of the registry."""

    def tenant(self, name: str) -> Tenant | None: ...

    def tenant_by_id(self, tenant_id: int) -> Tenant: ...


def guarded(handler: Handler, *, least: Role, tokens: TokenBook) -> Handler:
    """`handler` behind a check of the token and its role; within, `principal(request)` says who asks."""
    allowed = at_least(least)

    async def guard(request: web.Request) -> web.StreamResponse:
        token = tokens.authenticate(request.headers.get("Authorization"), datetime.now(UTC))
        require(token, *allowed)
        request[PRINCIPAL] = Principal(token)
        return await handler(request)

    return guard


def principal(request: web.Request) -> Principal:
    """The caller of a guarded route."""
    return request[PRINCIPAL]


def listed_tenant(who: Principal, name: str | None, tenants: Tenants) -> int | None:
    """The tenant whose resources a list shows, from its `tenant` parameter; None shows all of them.

    Problem 403 where a bound token names another one, 422 where there is none of that name.
    """
    if name is None:
        return who.tenant_id
    return _named(who, name, tenants, place="tenant").id


def owning_tenant(who: Principal, name: str | None, tenants: Tenants) -> Tenant:
    """The tenant that a new resource belongs to, from its body's `tenant` member: `default` unless said."""
    if name is None and who.tenant_id is not None:
        return tenants.tenant_by_id(who.tenant_id)
    return _named(who, name or DEFAULT_TENANT, tenants, place="/tenant")


def _named(who: Principal, name: str, tenants: Tenants, *, place: str) -> Tenant:
    if who.tenant_id is not None and tenants.tenant_by_id(who.tenant_id).name != name:
        raise Problem(403, "forbidden", "this token is bound to another tenant than the one named")
    tenant = tenants.tenant(name)
    if tenant is None:
        raise invalid(FieldError(place, "there is no tenant of this name"))
    return tenant
