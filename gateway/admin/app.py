"""The API put together: every route under /api/v1, in the order in which its description shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from gateway.admin import present
from gateway.admin.access import AccessApi
from gateway.admin.audit import AuditApi
from gateway.admin.calls import CallApi
from gateway.admin.event_types import EventTypeApi
from gateway.admin.events import EventApi
from gateway.admin.lanes import Lanes
from gateway.admin.logs import LogApi
from gateway.admin.ports import PortApi
from gateway.admin.read_schemas import TrialOut
from gateway.admin.rejected import RejectedApi, Submit
from gateway.admin.replays import ReplayApi
from gateway.admin.routes import Route
from gateway.admin.tenants import TenantApi
from gateway.admin.tokens import TokenApi
from gateway.admin.webhooks import SendTest, WebhookApi
from gateway.catalog import BY_NAME
from gateway.delivery.trial import Trial
from gateway.ids import IdSource
from gateway.log import AttemptRecord
from gateway.model import Webhook
from gateway.registry.registry import Registry
from gateway.replay import Replayer
from gateway.store.attempt_log import AttemptInFull, AttemptLog
from gateway.store.config import ConfigStore
from gateway.store.rejected import RejectedStore
from gateway.store.replays import ReplayStore
from gateway.store.timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the API shows and changes."""

    registry: Registry
    config: ConfigStore
    attempts: AttemptLog
    timeline: Timeline
    rejected: RejectedStore
    replays: ReplayStore
    replayer: Replayer
    trial: Trial
    submit: Submit
    stored_elsewhere: Callable[[list[str]], None]
    """Tells the lanes of these webhooks that deliveries were put into the store."""
    withdrawn_elsewhere: Callable[[list[str]], None]
    """The same, where some were withdrawn."""
    ids: IdSource
    lanes: Lanes | None = None


def api_routes(parts: Parts) -> list[Route]:
    registry = parts.registry
    return [
        *configuration_routes(
            registry,
            parts.config,
            send_test=test_sender(parts.trial),
            attempt_model=TrialOut,
            lanes=parts.lanes,
        ),
        *LogApi(parts.attempts, registry).routes(),
        *EventApi(parts.timeline).routes(),
        *CallApi(parts.timeline, registry).routes(),
        *ReplayApi(
            parts.replays,
            registry,
            nudge=lambda ids: parts.stored_elsewhere(list(ids)),
            withdrawn=lambda ids: parts.withdrawn_elsewhere(list(ids)),
            wake=parts.replayer.wake,
        ).routes(),
        *RejectedApi(parts.rejected, registry, submit=parts.submit, ids=parts.ids).routes(),
        *EventTypeApi().routes(),
    ]


def configuration_routes(
    registry: Registry,
    store: ConfigStore,
    *,
    send_test: SendTest,
    attempt_model: type[BaseModel] | None = None,
    lanes: Lanes | None = None,
) -> list[Route]:
    """The half that shows and changes what is set up."""
    return [
        *AccessApi(registry).routes(),
        *WebhookApi(registry, send_test=send_test, attempt_model=attempt_model, lanes=lanes).routes(),
        *PortApi(registry).routes(),
        *TokenApi(registry).routes(),
        *TenantApi(registry).routes(),
        *AuditApi(registry, store).routes(),
    ]


def test_sender(trial: Trial) -> SendTest:
    async def send(webhook: Webhook, type: str) -> Mapping[str, Any]:
        record: AttemptRecord = await trial.send(webhook, type)
        found = AttemptInFull(record, BY_NAME[type].sample)
        return present.attempt_in_full(found, phones=True).model_dump()

    return send
