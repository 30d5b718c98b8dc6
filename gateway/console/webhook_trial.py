"""Send test before saving: the form's webhook as it would be, tried once with an event's sample.

Invariant: nothing of it is stored, neither webhook nor attempt, and it may go nowhere that the webhook, once saved,
could not deliver to.
"""

from __future__ import annotations

import structlog

from gateway.admin.auth import Principal
from gateway.admin.schemas import WebhookIn
from gateway.admin.webhooks import WebhookApi
from gateway.catalog import BY_NAME
from gateway.console.entry_view import EntryView, entry_view
from gateway.console.forms import Form
from gateway.console.webhook_form import as_new
from gateway.delivery.trial import Trial
from gateway.egress.policy import EgressPolicy
from gateway.errors import FieldError
from gateway.http import invalid, parse
from gateway.model import Webhook
from gateway.registry.registry import Registry
from gateway.store.attempt_log import AttemptInFull

log = structlog.get_logger(__name__)


class WebhookTrial:
    """Sends what has not been saved yet."""

    def __init__(self, registry: Registry, api: WebhookApi, trial: Trial, policy: EgressPolicy) -> None:
        self._registry = registry
        self._api = api
        self._trial = trial
        self._policy = policy

    async def send(self, form: Form, who: Principal) -> EntryView:
        """The attempt, with the sample of `sample` or else of the first event that is chosen.

        Problem 422 where the form could not be saved, or the webhook would wait for its port.
        """
        drafted = await self._api.draft(parse(WebhookIn, as_new(form)), who)
        webhook = self._registry.checked_webhook(drafted)
        self._check_port(webhook)
        type = form.text("sample") or min(webhook.events)
        if type not in BY_NAME:
            raise invalid(FieldError("/events", "choose the event whose sample is to be sent"))
        record = await self._trial.attempt(webhook, type)
        log.info("unsaved_webhook_tried", by=who.actor, host=self._policy.parse_target(webhook.url).host, ok=record.ok)
        return entry_view(AttemptInFull(record, BY_NAME[type].sample), phones=True)

    def _check_port(self, webhook: Webhook) -> None:
        """Where connections are made nobody knows whose port it is, so it is asked for here, as at saving."""
        target = self._policy.parse_target(webhook.url)
        if not self._policy.port_is_open(target, webhook.tenant_id, self._registry.ports()):
            said = f"port {target.port} is not open for {target.host} yet; save the webhook, which asks for the port"
            raise invalid(FieldError("/url", said))
