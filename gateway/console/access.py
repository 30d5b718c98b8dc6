"""Webhooks → Access Setup: the credentials that webhooks use.

Invariant: a secret goes in and never comes out. A form that is shown again, for an error or a change, has its
secret fields empty.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.admin.access import AccessApi
from gateway.admin.schemas import AccessIn, AccessPatch
from gateway.console.forms import Errors, Form, field_errors
from gateway.console.visit import Page, Visit
from gateway.errors import Problem
from gateway.http import parse
from gateway.model import Access, AccessType, Role, Webhook
from gateway.registry.registry import Registry

PATH = "/webhooks/access"
SECRETS = ("client_secret", "api_key")
FIELDS = {
    AccessType.BASIC: ("key_name", "name", "client_id", "client_secret"),
    AccessType.API_KEY: ("key_name", "name", "api_key", "location"),
}
"""What each type has, in the order in which HCC asks for it."""
USUAL_KEY_NAME = {AccessType.BASIC: "Authorization", AccessType.API_KEY: "x-api-key"}


class AccessPages:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._api = AccessApi(registry)

    def pages(self) -> list[Page]:
        one = PATH + "/{id}"
        return [
            Page(method="GET", path=PATH, handler=self.index),
            Page(method="GET", path=PATH + "/new", handler=self.new, role=Role.OPERATOR),
            Page(method="POST", path=PATH + "/new", handler=self.add, role=Role.OPERATOR),
            Page(method="GET", path=one, handler=self.show),
            Page(method="POST", path=one, handler=self.change, role=Role.OPERATOR),
            Page(method="POST", path=one + "/delete", handler=self.delete, role=Role.OPERATOR),
        ]

    async def index(self, visit: Visit) -> web.Response:
        accesses = sorted(self._registry.accesses(visit.who.tenant_id), key=lambda access: access.name.casefold())
        users = self._users(visit)
        return visit.page("access_list.html", rows=[(access, users.get(access.id, [])) for access in accesses])

    async def new(self, visit: Visit) -> web.Response:
        type = _type(visit.request.query.get("type", ""))
        # What was typed before another type was chosen; only the name, for secrets never travel in an address.
        given = Form([("key_name", USUAL_KEY_NAME[type]), ("name", visit.request.query.get("name", ""))])
        return self._new_page(visit, type, given)

    async def add(self, visit: Visit) -> web.Response:
        type = _type(visit.form.text("type"))
        data = {"type": type.value, **_given(visit.form, type)}
        if tenant := visit.form.text("tenant"):
            data["tenant"] = tenant
        try:
            access = await self._api.add(parse(AccessIn, data), visit.who)
        except Problem as problem:
            return self._new_page(visit, type, visit.form, problem)
        return visit.redirect(PATH, notice=f"The access “{access.name}” is ready to be used by webhooks.")

    async def show(self, visit: Visit) -> web.Response:
        access = self._api.find(visit.id(), visit.who)
        return self._page(visit, access, _as_form(access))

    async def change(self, visit: Visit) -> web.Response:
        access = self._api.find(visit.id(), visit.who)
        # A name that was emptied is refused; a secret that was left empty stays.
        data = {name: visit.form.text(name) for name in FIELDS[access.type] if name not in SECRETS}
        data |= _given(visit.form, access.type)
        try:
            access = await self._api.alter(access, parse(AccessPatch, data), visit.who)
        except Problem as problem:
            return self._page(visit, access, visit.form, problem)
        return visit.redirect(PATH, notice=f"The access “{access.name}” was changed; its webhooks use it from now on.")

    async def delete(self, visit: Visit) -> web.Response:
        access = self._api.find(visit.id(), visit.who)
        try:
            await self._registry.remove_access(access.id, by=visit.who.actor)
        except Problem as problem:
            return self._page(visit, access, _as_form(access), problem)
        return visit.redirect(PATH, notice=f"The access “{access.name}” was deleted.")

    def _new_page(self, visit: Visit, type: AccessType, form: Form, problem: Problem | None = None) -> web.Response:
        errors = Errors() if problem is None else field_errors(problem)
        context: dict[str, Any] = {"type": type, "form": form, "errors": errors, "tenants": visit.tenants}
        return visit.page("access_new.html", status=422 if errors else 200, **context)

    def _page(self, visit: Visit, access: Access, form: Form, problem: Problem | None = None) -> web.Response:
        errors = Errors() if problem is None else field_errors(problem)
        users = self._users(visit).get(access.id, [])
        context: dict[str, Any] = {"access": access, "form": form, "errors": errors, "users": users}
        return visit.page("access.html", status=422 if errors else 200, **context)

    def _users(self, visit: Visit) -> dict[str, list[Webhook]]:
        """The webhooks that use each access, by its id."""
        users: dict[str, list[Webhook]] = {}
        for webhook in self._registry.webhooks(visit.who.tenant_id):
            if webhook.access is not None:
                users.setdefault(webhook.access.id, []).append(webhook)
        return users


def _type(name: str) -> AccessType:
    return AccessType.API_KEY if name == AccessType.API_KEY else AccessType.BASIC


def _given(form: Form, type: AccessType) -> dict[str, str]:
    """What was filled in of the fields that the type has; a secret is taken as it was typed."""
    texts = {name: form.raw(name) if name in SECRETS else form.text(name) for name in FIELDS[type]}
    return {name: text for name, text in texts.items() if text}


def _as_form(access: Access) -> Form:
    return Form(
        [
            ("key_name", access.key_name),
            ("name", access.name),
            ("client_id", access.client_id),
            ("location", access.location),
        ]
    )
