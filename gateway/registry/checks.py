"""What a change must satisfy against the configuration as it is. Each check raises the `Problem` that says why not.

Invariant: a check looks at the state that the change is made to, and never at what a caller saw before its turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from gateway.errors import EgressRefused, FieldError, Problem
from gateway.http import invalid
from gateway.model import Access, AccessType, Role, Token, Webhook, WebhookState
from gateway.registry.state import State, TargetPolicy
from gateway.webhook_rules import access_errors, fit_error

LIMIT = 10_000
"""The most that there may be of each: tenants, accesses, webhooks, tokens, ports."""

Thing = TypeVar("Thing")


def found(things: Mapping[str, Thing], id: str) -> Thing:
    """It may have gone between the caller's look and this change's turn."""
    if id not in things:
        raise Problem(404, "not-found", "it does not exist any more")
    return things[id]


def check_room(things: Sized, what: str) -> None:
    if len(things) >= LIMIT:
        raise Problem(409, "conflict", f"there are {LIMIT} {what} already, which is the most that there may be")


def check_access(access: Access, state: State) -> None:
    """Problem 422 where it is wrong on its own or for a webhook that uses it, 409 where its name is taken."""
    errors = access_errors(access)
    place = "/key_name" if access.type is AccessType.API_KEY else "/location"
    for webhook in state.using(access.id):
        if error := fit_error(webhook, access):
            errors.append(FieldError(place, f"the webhook “{webhook.name or webhook.id}” uses this access: {error}"))
    if errors:
        raise invalid(*errors)
    for other in state.accesses.values():
        if other.id != access.id and (other.tenant_id, other.name) == (access.tenant_id, access.name):
            detail = f"there is already an access called “{access.name}”"
            raise Problem(409, "conflict", detail, errors=[FieldError("/name", detail)])


def check_unused(access: Access, state: State) -> None:
    if users := state.using(access.id):
        names = ", ".join(sorted(webhook.name or webhook.id for webhook in users))
        raise Problem(409, "conflict", f"in use by {names}; give them another access first")


def with_access(webhook: Webhook, state: State) -> Webhook:
    """The webhook with its access as it is now. Problem 422 where there is none of it, or the two do not fit."""
    if webhook.access is None:
        return webhook
    access = state.accesses.get(webhook.access.id)
    if access is None or access.tenant_id != webhook.tenant_id:
        raise invalid(FieldError("/access_id", "there is no access with this id"))
    if error := fit_error(webhook, access):
        raise invalid(FieldError("/access_id", error))
    return replace(webhook, access=access)


def is_paused_by_gateway(webhook: Webhook) -> bool:
    """A user pauses without a reason; the gateway never does."""
    return webhook.state is WebhookState.PAUSED and webhook.reason is not None


def check_url(url: str, policy: TargetPolicy) -> None:
    try:
        policy.check_literal(policy.parse_target(url))
    except EgressRefused as refused:
        raise Problem(422, "egress-refused", refused.detail, errors=[FieldError("/url", refused.detail)]) from None


def check_not_last_admin(token: Token, state: State, now: datetime) -> None:
    """Without an admin token that is bound to no tenant nobody could make another one."""

    def rules(each: Token) -> bool:
        in_force = each.expires_at is None or each.expires_at > now
        return each.role is Role.ADMIN and each.tenant_id is None and in_force

    if rules(token) and not any(rules(other) for other in state.tokens.values() if other.id != token.id):
        raise Problem(409, "conflict", "this is the last admin token that is bound to no tenant; make another first")
