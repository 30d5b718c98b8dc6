"""`/api/v1/tokens`: who may use the API. A token's text is shown once, to whoever creates it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aiohttp import web

from gateway.admin.auth import Principal, listed_tenant, principal
from gateway.admin.fields import TOKEN_LIFE_LIMIT_S
from gateway.admin.paging import Page, TenantPageQuery, page, paged
from gateway.admin.routes import Route
from gateway.admin.schemas import TokenCreated, TokenIn, TokenOut
from gateway.admin.tenants import tenant_for
from gateway.errors import FieldError, Problem
from gateway.http import invalid, json_response, parse_query, read_model
from gateway.ingress.tokens import mint
from gateway.model import Role, Token
from gateway.registry.registry import Registry

PATH = "/api/v1/tokens"


class TokenApi:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.list,
                role=Role.ADMIN,
                summary="List tokens",
                tag="Tokens",
                query_model=TenantPageQuery,
                response_model=Page[TokenOut],
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self.create,
                role=Role.ADMIN,
                summary="Create a token",
                tag="Tokens",
                description=(
                    "Its text is in this answer and nowhere else. `ingest` pushes events and nothing more; `viewer`"
                    " looks and pushes none; `operator` pushes, changes and replays as well; `admin` makes tokens."
                ),
                request_model=TokenIn,
                response_model=TokenCreated,
                status=201,
                problems=(409,),
            ),
            Route(
                method="DELETE",
                path=PATH + "/{id}",
                handler=self.revoke,
                role=Role.ADMIN,
                summary="Revoke a token",
                tag="Tokens",
                description="It stops working at once. The last admin token that is bound to no tenant stays.",
                status=204,
                problems=(409,),
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(TenantPageQuery, request.query)
        tenant_id = listed_tenant(principal(request), query.tenant, self._registry)
        rows, after = paged("tokens", self._registry.tokens(tenant_id), query, key=lambda token: token.id)
        return json_response(page([TokenOut(**self._members(token)) for token in rows], after))

    async def create(self, request: web.Request) -> web.Response:
        token, plain = await self.add(await read_model(request, TokenIn), principal(request))
        shown = TokenCreated(**self._members(token), token=plain)
        headers = {"Location": f"{PATH}/{token.id}", "Cache-Control": "no-store"}
        return json_response(shown, status=201, headers=headers)

    async def add(self, body: TokenIn, who: Principal) -> tuple[Token, str]:
        """The token and its text, which nobody keeps."""
        now = datetime.now(UTC)
        expires_at = _expiry(body, now)
        minted = mint()
        token = Token(
            id=self._registry.new_id(),
            name=body.name or body.role,
            role=Role(body.role),
            tenant_id=await self._binding(who, body.tenant),
            prefix=minted.prefix,
            digest=minted.digest,
            created_at=now,
            expires_at=expires_at,
        )
        return await self._registry.add_token(token, by=who.actor), minted.plain

    async def revoke(self, request: web.Request) -> web.Response:
        await self.remove(request.match_info["id"], principal(request))
        return web.Response(status=204)

    async def remove(self, token_id: str, who: Principal) -> Token:
        """The token that is revoked now. Problem 404 where there is none that `who` may see."""
        token = self._registry.token(token_id.lower())
        if token is None or not who.sees(token.tenant_id):
            raise Problem(404, "not-found", "there is no token with this id")
        await self._registry.remove_token(token.id, by=who.actor)
        return token

    async def _binding(self, who: Principal, name: str | None) -> int | None:
        """A bound admin makes tokens of its own tenant alone; an unbound one may leave them unbound."""
        if name is None:
            return who.tenant_id
        return (await tenant_for(self._registry, who, name)).id

    def _members(self, token: Token) -> dict[str, object]:
        return {
            "id": token.id,
            "name": token.name,
            "role": token.role,
            "tenant": None if token.tenant_id is None else self._registry.tenant_by_id(token.tenant_id).name,
            "prefix": token.prefix,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        }


def _expiry(body: TokenIn, now: datetime) -> datetime | None:
    if body.expires_at is None:
        return None if body.expires_in is None else now + timedelta(seconds=body.expires_in)
    if body.expires_in is not None:
        raise invalid(FieldError("/expires_in", "give expires_in or expires_at, not both"))
    if body.expires_at <= now:
        raise invalid(FieldError("/expires_at", "this is in the past"))
    if body.expires_at - now > timedelta(seconds=TOKEN_LIFE_LIMIT_S):
        raise invalid(FieldError("/expires_at", "this is more than a hundred years away; leave it out"))
    return body.expires_at.astimezone(UTC)
