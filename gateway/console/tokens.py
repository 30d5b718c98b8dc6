"""Operations → Tokens: who may use the gateway, and as what.

Invariant: a token's text is in the one page that answers its making, and nowhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.admin.schemas import TokenIn
from gateway.admin.tokens import TokenApi
from gateway.console.forms import Errors, Form, field_errors
from gateway.console.visit import Page, Visit
from gateway.errors import Problem
from gateway.http import parse
from gateway.model import Role
from gateway.registry.registry import Registry

PATH = "/operations/tokens"
ROLES = (
    (Role.INGEST, "Pushes events and does nothing else: for the switch."),
    (Role.VIEWER, "Sees webhooks and logs, with phone numbers masked, and changes nothing."),
    (Role.OPERATOR, "Sets up accesses and webhooks, sends tests, replays: for integrators."),
    (Role.ADMIN, "Does all of this, and makes tokens."),
)
LIVES = (("", "for ever"), ("30d", "30 days"), ("90d", "90 days"), ("365d", "a year"))


class TokenPages:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._api = TokenApi(registry)

    def pages(self) -> list[Page]:
        return [
            Page(method="GET", path=PATH, handler=self.index, role=Role.ADMIN),
            Page(method="GET", path=PATH + "/new", handler=self.new, role=Role.ADMIN),
            Page(method="POST", path=PATH + "/new", handler=self.add, role=Role.ADMIN),
            Page(method="POST", path=PATH + "/{id}/revoke", handler=self.revoke, role=Role.ADMIN),
        ]

    async def index(self, visit: Visit) -> web.Response:
        tokens = sorted(self._registry.tokens(visit.who.tenant_id), key=lambda token: token.id, reverse=True)
        return visit.page("token_list.html", tokens=tokens, now=datetime.now(UTC))

    async def new(self, visit: Visit) -> web.Response:
        return self._form_page(visit, Form([("role", Role.OPERATOR), ("expires_in", "90d")]))

    async def add(self, visit: Visit) -> web.Response:
        """Answers with the page itself: a page to go on to would have to keep the token until then."""
        names = ("name", "role", "tenant", "expires_in")
        try:
            body = parse(TokenIn, {name: visit.form.text(name) for name in names if name in visit.form})
            token, plain = await self._api.add(body, visit.who)
        except Problem as problem:
            return self._form_page(visit, visit.form, field_errors(problem))
        return visit.page("token_made.html", token=token, plain=plain)

    async def revoke(self, visit: Visit) -> web.Response:
        token = await self._api.remove(visit.id(), visit.who)
        return visit.redirect(PATH, notice=f"The token “{token.name}” ({token.prefix}) was revoked and works no more.")

    def _form_page(self, visit: Visit, form: Form, errors: Errors | None = None) -> web.Response:
        context: dict[str, Any] = {"form": form, "errors": errors or Errors(), "roles": ROLES, "lives": LIVES}
        return visit.page("token_new.html", status=422 if errors else 200, **context)
