"""Which webhooks an event matches, held in memory and changed at run time.

Invariant: a match depends on tenant and type alone, and not on a webhook's state: a paused or blocked one
matches too, and its lane holds the event.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.model import Webhook


class Routing:
    """Implements the registry's `Listener`; read by the intake, in the same thread."""

    def __init__(self, webhooks: Iterable[Webhook] = ()) -> None:
        self._webhooks = {webhook.id: webhook for webhook in webhooks}
        self._matches: dict[tuple[int, str], tuple[str, ...]] = {}

    def match(self, tenant_id: int, type: str) -> tuple[str, ...]:
        """The ids of the matching webhooks, oldest first."""
        found = self._matches.get((tenant_id, type))
        if found is None:
            found = self._matches[tenant_id, type] = tuple(
                sorted(w.id for w in self._webhooks.values() if w.tenant_id == tenant_id and type in w.events)
            )
        return found

    def webhook_changed(self, webhook: Webhook) -> None:
        self._webhooks[webhook.id] = webhook
        self._matches.clear()

    def webhook_removed(self, webhook_id: str) -> None:
        self._webhooks.pop(webhook_id, None)
        self._matches.clear()
