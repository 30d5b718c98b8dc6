"""Webhooks → Webhook Settings: which events go where, and whether they get there.

Invariant: a page never shows a signing secret that nobody asked for; that one was shown is in the audit before it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.admin.lanes import Lanes
from gateway.admin.schemas import WebhookIn, WebhookPatch
from gateway.admin.webhooks import WebhookApi, signing_secret
from gateway.catalog import BY_NAME, EVENT_TYPES
from gateway.console.entry_view import EntryView, entry_view
from gateway.console.figures import Figures
from gateway.console.forms import Errors, Form, field_errors
from gateway.console.target_check import Finding, check_target
from gateway.console.visit import Page, Visit
from gateway.console.webhook_form import MORE, as_data, as_form, as_new, blank, schedule_in_words
from gateway.console.webhook_list import find_webhooks, flow, latency
from gateway.console.webhook_trial import WebhookTrial
from gateway.console.words import webhook_title
from gateway.egress.policy import EgressPolicy
from gateway.errors import Problem
from gateway.http import parse
from gateway.model import DEFAULT_TENANT, Access, Role, Webhook, WebhookState
from gateway.registry.changes import WebhookChanges
from gateway.registry.registry import Registry
from gateway.store.attempt_log import AttemptLog

PATH = "/webhooks/settings"
METHODS = ("POST", "PUT", "PATCH", "GET", "DELETE")


class WebhookPages:
    """`api` changes webhooks and sends tests, which are read back from `attempts`."""

    def __init__(
        self,
        registry: Registry,
        api: WebhookApi,
        *,
        trial: WebhookTrial,
        attempts: AttemptLog,
        figures: Figures,
        lanes: Lanes | None,
        policy: EgressPolicy,
        retry_schedule_s: Sequence[float],
    ) -> None:
        self._registry = registry
        self._api = api
        self._trial = trial
        self._attempts = attempts
        self._figures = figures
        self._lanes = lanes
        self._policy = policy
        self._usual_schedule = schedule_in_words(retry_schedule_s)

    def pages(self) -> list[Page]:
        one = PATH + "/{id}"
        return [
            Page(method="GET", path=PATH, handler=self.index),
            Page(method="GET", path=PATH + "/new", handler=self.new, role=Role.OPERATOR),
            Page(method="POST", path=PATH + "/new", handler=self.add, role=Role.OPERATOR),
            Page(method="POST", path=PATH + "/try", handler=self.try_unsaved, role=Role.OPERATOR),
            Page(method="POST", path=PATH + "/check-url", handler=self.check_url, role=Role.OPERATOR),
            Page(method="GET", path=one, handler=self.show),
            Page(method="GET", path=one + "/edit", handler=self.edit, role=Role.OPERATOR),
            Page(method="POST", path=one + "/edit", handler=self.change, role=Role.OPERATOR),
            Page(method="POST", path=one + "/state", handler=self.set_state, role=Role.OPERATOR),
            Page(method="POST", path=one + "/test", handler=self.test, role=Role.OPERATOR),
            Page(method="POST", path=one + "/secret", handler=self.show_secret, role=Role.OPERATOR),
            Page(method="POST", path=one + "/secret/rotate", handler=self.rotate_secret, role=Role.OPERATOR),
            Page(method="POST", path=one + "/delete", handler=self.delete, role=Role.OPERATOR),
        ]

    async def index(self, visit: Visit) -> web.Response:
        webhooks = self._registry.webhooks(visit.who.tenant_id)
        found = find_webhooks(webhooks, visit.request.query)
        figures = await self._figures.webhooks([webhook.id for webhook in found.rows])
        return visit.page(
            "webhook_list.html",
            found=found,
            total=len(webhooks),
            figures=figures,
            sparks={webhook_id: (flow(each), latency(each)) for webhook_id, each in figures.items()},
            accesses=len(self._accesses(visit.who.tenant_id)),
        )

    async def new(self, visit: Visit) -> web.Response:
        return self._form_page(visit, None, blank())

    async def add(self, visit: Visit) -> web.Response:
        try:
            webhook = await self._api.add(parse(WebhookIn, as_new(visit.form)), visit.who)
        except Problem as problem:
            return self._form_page(visit, None, visit.form, field_errors(problem))
        return visit.redirect(f"{PATH}/{webhook.id}", notice=_saved(webhook, "was added"))

    async def try_unsaved(self, visit: Visit) -> web.Response:
        """Send test with what the form says now; the webhook is not added by it."""
        errors, view = Errors(), None
        try:
            view = await self._trial.send(visit.form, visit.who)
        except Problem as problem:
            errors = field_errors(problem)
        if visit.is_partial:
            return visit.page("webhook_try.html", errors=errors, view=view, resumed=False, logged=False)
        return self._form_page(visit, None, visit.form, errors, view)

    async def edit(self, visit: Visit) -> web.Response:
        webhook = self._api.find(visit.id(), visit.who)
        return self._form_page(visit, webhook, as_form(webhook))

    async def change(self, visit: Visit) -> web.Response:
        webhook = self._api.find(visit.id(), visit.who)
        try:
            webhook = await self._api.alter(webhook, parse(WebhookPatch, as_data(visit.form)), visit.who)
        except Problem as problem:
            return self._form_page(visit, webhook, visit.form, field_errors(problem))
        return visit.redirect(f"{PATH}/{webhook.id}", notice=_saved(webhook, "was changed"))

    async def check_url(self, visit: Visit) -> web.Response:
        """What is to be said of a URL while it is typed."""
        webhook = self._registry.webhook(visit.form.text("webhook_id"))
        findings = self._findings(visit, webhook, visit.form.text("url"))
        return visit.page("webhook_url.html", findings=findings)

    async def show(self, visit: Visit) -> web.Response:
        return await self._page(visit, self._api.find(visit.id(), visit.who))

    async def set_state(self, visit: Visit) -> web.Response:
        webhook = self._api.find(visit.id(), visit.who)
        pause = visit.form.text("state") == WebhookState.PAUSED
        changes = WebhookChanges(state=WebhookState.PAUSED if pause else WebhookState.ACTIVE)
        webhook = await self._registry.change_webhook(webhook.id, changes, by=visit.who.actor)
        said = "is paused and keeps its events" if pause else "was resumed"
        return visit.redirect(f"{PATH}/{webhook.id}", notice=_saved(webhook, said))

    async def test(self, visit: Visit) -> web.Response:
        webhook = self._api.find(visit.id(), visit.who)
        type = visit.form.text("type")
        if type not in BY_NAME:
            raise Problem(422, "validation", "choose the event whose sample is to be sent")
        result = await self._api.try_out(webhook, type, visit.who)
        found = await self._attempts.one(result["id"], webhook.tenant_id)
        assert found is not None, "a test is in the log when it is answered"
        context: dict[str, Any] = {"view": entry_view(found, phones=True), "resumed": result["resumed"], "logged": True}
        if visit.is_partial:
            return visit.page("webhook_test.html", **context)
        return await self._page(visit, self._api.find(webhook.id, visit.who), **context)

    async def show_secret(self, visit: Visit) -> web.Response:
        webhook = self._api.find(visit.id(), visit.who)
        await self._registry.note_secret_read(webhook, by=visit.who.actor)
        return await self._secret(visit, webhook)

    async def rotate_secret(self, visit: Visit) -> web.Response:
        webhook = self._api.find(visit.id(), visit.who)
        return await self._secret(visit, await self._api.rotate(webhook, visit.who))

    async def delete(self, visit: Visit) -> web.Response:
        webhook = self._api.find(visit.id(), visit.who)
        await self._registry.remove_webhook(webhook.id, by=visit.who.actor)
        return visit.redirect(PATH, notice=f"The webhook “{webhook_title(webhook)}” was deleted.")

    async def _secret(self, visit: Visit, webhook: Webhook) -> web.Response:
        secret = signing_secret(webhook)
        if visit.is_partial:
            return visit.page("webhook_secret.html", webhook=webhook, secret=secret, until=self._until(webhook))
        return await self._page(visit, webhook, secret=secret)

    async def _page(self, visit: Visit, webhook: Webhook, **context: object) -> web.Response:
        """One webhook; `view` is a test that was just sent, `secret` its signing secret, where that was asked for."""
        figures = await self._figures.webhooks([webhook.id])
        usual: dict[str, Any] = {
            "webhook": webhook,
            "figures": figures[webhook.id],
            "lane": self._lanes.state_of(webhook.id) if self._lanes else None,
            "findings": [each for each in self._findings(visit, webhook, webhook.url) if each.kind != "good"],
            "usual_schedule": self._usual_schedule,
            "until": self._until(webhook),
            "secret": None,
            "view": None,
            "resumed": False,
            "logged": True,
        }
        return visit.page("webhook.html", **(usual | context))

    def _form_page(
        self,
        visit: Visit,
        webhook: Webhook | None,
        form: Form,
        errors: Errors | None = None,
        view: EntryView | None = None,
    ) -> web.Response:
        """`view` is a test of the form that was just sent."""
        tenant_id = visit.who.tenant_id if webhook is None else webhook.tenant_id
        context: dict[str, Any] = {
            "webhook": webhook,
            "form": form,
            "errors": errors or Errors(),
            "is_more_open": any(name in (errors or ()) for name in MORE),
            "findings": [] if errors and "url" in errors else self._findings(visit, webhook, form.text("url")),
            "accesses": self._accesses(tenant_id),
            "methods": METHODS,
            "view": view,
            "resumed": False,
            "logged": False,
            "event_types": EVENT_TYPES,
            "usual_schedule": self._usual_schedule,
        }
        return visit.page("webhook_form.html", status=422 if errors else 200, **context)

    def _findings(self, visit: Visit, webhook: Webhook | None, url: str) -> list[Finding]:
        if webhook is not None and visit.who.sees(webhook.tenant_id):
            tenant_id = webhook.tenant_id
        else:
            named = self._registry.tenant(visit.form.text("tenant") or DEFAULT_TENANT)
            tenant_id = visit.who.tenant_id or (named or self._registry.tenants()[0]).id
        return check_target(url, tenant_id=tenant_id, policy=self._policy, rules=self._registry.ports())

    def _accesses(self, tenant_id: int | None) -> list[Access]:
        return sorted(self._registry.accesses(tenant_id), key=lambda access: access.name.casefold())

    def _until(self, webhook: Webhook) -> object:
        return self._registry.previous_secret_until(webhook.id)


def _saved(webhook: Webhook, what: str) -> str:
    """What was done, and where it does not deliver yet, that it does not."""
    said = f"The webhook “{webhook_title(webhook)}” {what}."
    if webhook.state is WebhookState.BLOCKED:
        said += " It does not deliver yet: its port is not open. Its events are kept until then."
    return said
