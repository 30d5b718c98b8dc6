"""The console put together: every page, behind its door.

Invariant: the pages read and change through the registry, the stores and the API's own classes; none of them
asks the database or the API over HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from aiohttp import web

from gateway.admin.app import Parts, test_sender
from gateway.admin.rejected import RejectedApi
from gateway.admin.replays import ReplayApi
from gateway.admin.routes import Route
from gateway.admin.webhooks import WebhookApi
from gateway.console.access import AccessPages
from gateway.console.assets import Assets
from gateway.console.audit import AuditPages
from gateway.console.calls import CallPages
from gateway.console.door import Door
from gateway.console.events import EventPages
from gateway.console.figures import Figures
from gateway.console.log_export import LogExport
from gateway.console.logs import LogPages
from gateway.console.look import Look
from gateway.console.overview import OverviewPages
from gateway.console.ports import PortPages
from gateway.console.rejected import RejectedPages
from gateway.console.replays import ReplayPages
from gateway.console.sessions import Sessions, SignInCodes
from gateway.console.sign_in import SignIn
from gateway.console.sign_in_links import SignInLinkApi, sign_in_path
from gateway.console.tokens import TokenPages
from gateway.console.visit import Page
from gateway.console.webhook_trial import WebhookTrial
from gateway.console.webhooks import WebhookPages
from gateway.egress.policy import EgressPolicy
from gateway.ingress.tokens import TokenBook


class Console:
    """The web pages under `/`. `tokens` are what people sign in with; `policy` says where webhooks may send to;
    `retry_schedule_s` is the gateway's own, for those that have none."""

    def __init__(
        self,
        parts: Parts,
        *,
        figures: Figures,
        tokens: TokenBook,
        policy: EgressPolicy,
        retry_schedule_s: Sequence[float],
    ) -> None:
        self._tokens = tokens
        self._assets = Assets()
        look = Look(self._assets)
        self._codes = SignInCodes()
        self._door = Door(Sessions(), parts.registry, look)
        self._sign_in = SignIn(self._door, look, registry=parts.registry, tokens=tokens, codes=self._codes)
        replays = ReplayApi(
            parts.replays,
            parts.registry,
            nudge=lambda ids: parts.stored_elsewhere(list(ids)),
            withdrawn=lambda ids: parts.withdrawn_elsewhere(list(ids)),
            wake=parts.replayer.wake,
        )
        webhooks = WebhookApi(parts.registry, send_test=test_sender(parts.trial), attempt_model=None, lanes=parts.lanes)
        self._pages: list[Page] = [
            *OverviewPages(figures).pages(),
            *EventPages().pages(),
            *LogPages(parts.attempts, parts.timeline, replays).pages(),
            *LogExport(parts.attempts).pages(),
            *CallPages(parts.timeline).pages(),
            *ReplayPages(parts.replays, replays).pages(),
            *AccessPages(parts.registry).pages(),
            *PortPages(parts.registry, policy).pages(),
            *RejectedPages(
                parts.rejected, RejectedApi(parts.rejected, parts.registry, submit=parts.submit, ids=parts.ids)
            ).pages(),
            *TokenPages(parts.registry).pages(),
            *AuditPages(parts.config).pages(),
            *WebhookPages(
                parts.registry,
                webhooks,
                trial=WebhookTrial(parts.registry, webhooks, parts.trial, policy),
                attempts=parts.attempts,
                figures=figures,
                lanes=parts.lanes,
                policy=policy,
                retry_schedule_s=retry_schedule_s,
            ).pages(),
        ]

    def add_routes(self, app: web.Application) -> None:
        app.middlewares.append(self._door.page_for_nothing)
        self._assets.add_routes(app)
        self._sign_in.add_routes(app)
        self._door.add_pages(app, self._pages)

    def api_routes(self) -> list[Route]:
        """What only a gateway with a console can do for programs."""
        return SignInLinkApi(self._codes).routes()

    def sign_in_path(self, plain_token: str) -> str:
        """The address that signs one browser in as this token, once and soon."""
        token = self._tokens.authenticate(f"Bearer {plain_token}", datetime.now(UTC))
        return sign_in_path(self._codes, token.id)
