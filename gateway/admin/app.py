"""The configuration half of the API, put together: the routes under /api/v1 that show and change it."""

from __future__ import annotations

from pydantic import BaseModel

from gateway.admin.access import AccessApi
from gateway.admin.audit import AuditApi
from gateway.admin.ports import PortApi
from gateway.admin.routes import Route
from gateway.admin.tenants import TenantApi
from gateway.admin.tokens import TokenApi
from gateway.admin.webhooks import SendTest, WebhookApi
from gateway.registry import Registry
from gateway.store.config import ConfigStore


def configuration_routes(
    registry: Registry, store: ConfigStore, *, send_test: SendTest, attempt_model: type[BaseModel] | None = None
) -> list[Route]:
    """In the order in which the API's description shows them."""
    return [
        *AccessApi(registry).routes(),
        *WebhookApi(registry, send_test=send_test, attempt_model=attempt_model).routes(),
        *PortApi(registry).routes(),
        *TokenApi(registry).routes(),
        *TenantApi(registry).routes(),
        *AuditApi(registry, store).routes(),
    ]
