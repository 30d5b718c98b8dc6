"""`/api/v1/webhooks`: which events go where, their signing secrets, and the test button."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from gateway.admin import lanes
from gateway.admin.auth import Principal, listed_tenant, principal
from gateway.admin.lanes import Lanes
from gateway.admin.paging import Page, TenantPageQuery, page, paged
from gateway.admin.routes import Route
from gateway.admin.schemas import SampleIn, SecretOut, WebhookIn, WebhookOut, WebhookPatch
from gateway.admin.tenants import tenant_for
from gateway.errors import FieldError, Problem
from gateway.http import invalid, json_response, parse_query, read_model
from gateway.model import Access, Role, Webhook, WebhookState
from gateway.registry.changes import WebhookChanges
from gateway.registry.checks import is_paused_by_gateway
from gateway.registry.registry import Registry

PATH = "/api/v1/webhooks"
TAG = "Webhooks"
SECRET_BYTES = 32
"""Standard Webhooks 1.0: between 24 and 64 bytes."""

SendTest = Callable[[Webhook, str], Awaitable[Mapping[str, Any]]]
"""Sends the sample of an event type to a webhook's target now, and answers with the attempt's details."""


class WebhookApi:
    """`attempt_model` is the shape of what `send_test` answers, for the API's description."""

    def __init__(
        self,
        registry: Registry,
        *,
        send_test: SendTest,
        attempt_model: type[BaseModel] | None,
        lanes: Lanes | None = None,
    ) -> None:
        self._registry = registry
        self._lanes = lanes
        self._send_test = send_test
        self._attempt_model = attempt_model

    def routes(self) -> list[Route]:
        one = PATH + "/{id}"
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.list,
                role=Role.VIEWER,
                summary="List webhooks",
                tag=TAG,
                query_model=TenantPageQuery,
                response_model=Page[WebhookOut],
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self.create,
                role=Role.OPERATOR,
                summary="Add a webhook",
                tag=TAG,
                description="Where the port of its URL is not open it is saved as `blocked`, and delivers once it is.",
                request_model=WebhookIn,
                response_model=WebhookOut,
                status=201,
                problems=(409,),
            ),
            Route(
                method="GET",
                path=one,
                handler=self.show,
                role=Role.VIEWER,
                summary="Show a webhook",
                tag=TAG,
                response_model=WebhookOut,
            ),
            Route(
                method="PATCH",
                path=one,
                handler=self.change,
                role=Role.OPERATOR,
                summary="Change, pause or resume a webhook",
                tag=TAG,
                description='`{"state": "paused"}` holds its events, `{"state": "active"}` delivers them.',
                request_model=WebhookPatch,
                response_model=WebhookOut,
                problems=(409,),
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self.remove,
                role=Role.OPERATOR,
                summary="Delete a webhook and what it still had to deliver",
                tag=TAG,
                status=204,
            ),
            Route(
                method="GET",
                path=one + "/secret",
                handler=self.show_secret,
                role=Role.OPERATOR,
                summary="Show the signing secret",
                tag=TAG,
                description="That it was shown, and to whom, is audited.",
                response_model=SecretOut,
            ),
            Route(
                method="POST",
                path=one + "/secret",
                handler=self.rotate_secret,
                role=Role.OPERATOR,
                summary="Rotate the signing secret",
                tag=TAG,
                description="For 24 hours both secrets sign, so that the target can change over in its own time.",
                response_model=SecretOut,
            ),
            Route(
                method="POST",
                path=one + "/test",
                handler=self.test,
                role=Role.OPERATOR,
                summary="Send a sample now",
                tag=TAG,
                description="Also to a paused webhook. The attempt is logged as a test and never retried. "
                "A success resumes a webhook that the gateway itself has paused, and not one that a user has paused.",
                request_model=SampleIn,
                response_model=self._attempt_model,
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(TenantPageQuery, request.query)
        tenant_id = listed_tenant(principal(request), query.tenant, self._registry)
        rows, after = paged("webhooks", self._registry.webhooks(tenant_id), query, key=lambda webhook: webhook.id)
        return json_response(page([self._shown(webhook) for webhook in rows], after))

    async def create(self, request: web.Request) -> web.Response:
        saved = await self.add(await read_model(request, WebhookIn), principal(request))
        return json_response(self._shown(saved), status=201, headers={"Location": f"{PATH}/{saved.id}"})

    async def add(self, body: WebhookIn, who: Principal) -> Webhook:
        return await self._registry.add_webhook(await self.draft(body, who), by=who.actor)

    async def draft(self, body: WebhookIn, who: Principal) -> Webhook:
        """A new webhook, not saved."""
        tenant = await tenant_for(self._registry, who, body.tenant)
        return Webhook(
            id=self._registry.new_id(),
            tenant_id=tenant.id,
            name=body.name or "",
            events=frozenset(body.events),
            method=body.method,
            url=body.url,
            access=self._access(body.access_id, tenant.id),
            state=WebhookState(body.state),
            reason=None,
            signing_secrets=(secrets.token_bytes(SECRET_BYTES),),
            timeout_s=body.timeout_s,
            max_in_flight=body.max_in_flight,
            rate_per_s=body.rate_per_s,
            retry_schedule_s=_schedule(body),
            order_wait_s=body.order_wait_s,
        )

    async def show(self, request: web.Request) -> web.Response:
        return json_response(self._shown(self._one(request, principal(request))))

    async def change(self, request: web.Request) -> web.Response:
        who, body = principal(request), await read_model(request, WebhookPatch)
        return json_response(self._shown(await self.alter(self._one(request, who), body, who)))

    async def alter(self, webhook: Webhook, body: WebhookPatch, who: Principal) -> Webhook:
        given = body.given()
        changes: WebhookChanges = {}
        if "name" in given:
            changes["name"] = given.pop("name") or ""
        if "events" in given:
            changes["events"] = frozenset(given.pop("events"))
        if "access_id" in given:
            changes["access"] = self._access(given.pop("access_id"), webhook.tenant_id)
        if "state" in given:
            changes["state"] = WebhookState(given.pop("state"))
        if "retry_schedule" in given:
            del given["retry_schedule"]
            changes["retry_schedule_s"] = _schedule(body)
        changes.update(given)  # type: ignore[typeddict-item]  # the others are called and typed alike in both
        return await self._registry.change_webhook(webhook.id, changes, by=who.actor)

    async def remove(self, request: web.Request) -> web.Response:
        who = principal(request)
        await self._registry.remove_webhook(self._one(request, who).id, by=who.actor)
        return web.Response(status=204)

    async def show_secret(self, request: web.Request) -> web.Response:
        who = principal(request)
        webhook = self._one(request, who)
        await self._registry.note_secret_read(webhook, by=who.actor)
        return self._secret(webhook)

    async def rotate_secret(self, request: web.Request) -> web.Response:
        who = principal(request)
        return self._secret(await self.rotate(self._one(request, who), who))

    async def rotate(self, webhook: Webhook, who: Principal) -> Webhook:
        """The webhook with its new signing secret first."""
        return await self._registry.rotate_secret(webhook.id, secrets.token_bytes(SECRET_BYTES), by=who.actor)

    async def test(self, request: web.Request) -> web.Response:
        who, body = principal(request), await read_model(request, SampleIn)
        return json_response(await self.try_out(self._one(request, who), body.type, who))

    async def try_out(self, webhook: Webhook, type: str, who: Principal) -> Mapping[str, Any]:
        """The attempt, which is in the log by now, and whether its success has resumed the webhook."""
        attempt = await self._send_test(webhook, type)
        works = attempt["outcome"] == "success" and is_paused_by_gateway(webhook)
        resumed = works and await self._registry.resume_webhook(webhook.id, by=who.actor)
        return {**attempt, "resumed": resumed}

    def _one(self, request: web.Request, who: Principal) -> Webhook:
        return self.find(request.match_info["id"], who)

    def find(self, webhook_id: str, who: Principal) -> Webhook:
        """Problem 404 where there is none that `who` may see."""
        webhook = self._registry.webhook(webhook_id.lower())
        if webhook is None or not who.sees(webhook.tenant_id):
            raise Problem(404, "not-found", "there is no webhook with this id")
        return webhook

    def _access(self, access_id: str | None, tenant_id: int) -> Access | None:
        """An access of another tenant is one that does not exist."""
        if access_id is None:
            return None
        access = self._registry.access(access_id)
        if access is None or access.tenant_id != tenant_id:
            raise invalid(FieldError("/access_id", "there is no access with this id"))
        return access

    def _secret(self, webhook: Webhook) -> web.Response:
        """Kept by nobody on the way: it is as good as a password."""
        until = self._registry.previous_secret_until(webhook.id)
        shown = SecretOut(secret=signing_secret(webhook), previous_until=until)
        return json_response(shown, headers={"Cache-Control": "no-store"})

    def _shown(self, webhook: Webhook) -> WebhookOut:
        state = None if self._lanes is None else self._lanes.state_of(webhook.id)
        return WebhookOut(
            id=webhook.id,
            name=webhook.name or None,
            events=sorted(webhook.events),
            method=webhook.method,
            url=webhook.url,
            access_id=webhook.access.id if webhook.access else None,
            state=webhook.state,
            reason=webhook.reason,
            timeout_s=webhook.timeout_s,
            max_in_flight=webhook.max_in_flight,
            rate_per_s=webhook.rate_per_s,
            retry_schedule=None if webhook.retry_schedule_s is None else list(webhook.retry_schedule_s),
            order_wait_s=webhook.order_wait_s,
            tenant=self._registry.tenant_by_id(webhook.tenant_id).name,
            failing_since=None if state is None else state.failing_since,
            breaker=lanes.breaker(state),
            delivering=lanes.delivering(state),
        )


def _schedule(body: WebhookIn | WebhookPatch) -> tuple[float, ...] | None:
    return None if body.retry_schedule is None else tuple(body.retry_schedule)


def signing_secret(webhook: Webhook) -> str:
    """The newest, as Standard Webhooks 1.0 spells it."""
    return "whsec_" + base64.b64encode(webhook.signing_secrets[0]).decode()
