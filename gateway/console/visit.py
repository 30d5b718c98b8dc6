"""One request of somebody who is signed in: who it is, what they sent, and how they are answered.

Invariant: every page of the console is made by `page`, so every one has its policy, its navigation and its
form secret.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from gateway.admin.auth import Principal
from gateway.console.browser import origin
from gateway.console.forms import FORM_BYTES, Form
from gateway.console.look import Look
from gateway.console.navigation import active_path
from gateway.console.zone import COOKIE, Zone
from gateway.model import Role, Tenant
from gateway.registry.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """`form` is empty unless the request is a POST. `csrf` is the secret that its forms must bring back."""

    request: web.Request
    who: Principal
    csrf: str
    notify: Callable[[str], None]
    take_notices: Callable[[], list[str]]
    form: Form
    look: Look
    registry: Registry

    @property
    def is_partial(self) -> bool:
        """Only a part of the page is wanted, to be put into the one that is shown."""
        return self.request.headers.get("HX-Request") == "true"

    @property
    def origin(self) -> str:
        """The gateway's address, for a line to be run in a terminal."""
        return origin(self.request)

    @property
    def is_operator(self) -> bool:
        return self.who.is_at_least(Role.OPERATOR)

    @property
    def is_admin(self) -> bool:
        return self.who.is_at_least(Role.ADMIN)

    @property
    def tenants(self) -> list[Tenant]:
        """The customers to tell apart; empty where there is only one, whose name nobody needs to see then."""
        tenants = self.registry.tenants(self.who.tenant_id)
        return tenants if len(tenants) > 1 else []

    def tenant_name(self, tenant_id: int | None) -> str:
        return "all" if tenant_id is None else self.registry.tenant_by_id(tenant_id).name

    def id(self) -> str:
        """The id in the path, as ids are spelled."""
        return self.request.match_info["id"].lower()

    def page(self, template: str, *, status: int = 200, **context: object) -> web.Response:
        """`template` with `visit`, `active` (the entry of the navigation) and the viewer's `zone` beside `context`."""
        shared = {
            "visit": self,
            "active": active_path(self.request.path),
            "zone": Zone.of(self.request),
            "zone_cookie": self.request.cookies.get(COOKIE, ""),
        }
        return self.look.page(template, shared | context, status=status)

    def redirect(self, path: str, *, notice: str | None = None) -> web.Response:
        """Go on to a page, which says `notice`. What was done is not done again by reloading it (RFC 9110 §15.4.4)."""
        if notice is not None:
            self.notify(notice)
        if self.is_partial:
            return web.Response(headers={"HX-Redirect": path})
        return web.Response(status=303, headers={"Location": path})


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One address of the console. `role` is the least that may call it; a POST brings a form of up to `form_bytes`."""

    method: str
    path: str
    handler: Callable[[Visit], Awaitable[web.StreamResponse]]
    role: Role = Role.VIEWER
    form_bytes: int = field(default=FORM_BYTES)
