"""The console put together: every page, behind its door.

Invariant: the pages read and change through the registry, the stores and the API's own classes; none of them
asks the database or the API over HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from aiohttp import web

from gateway.admin.app import Parts
from gateway.console.assets import Assets
from gateway.console.door import SIGN_IN, Door
from gateway.console.look import Look
from gateway.console.overview import OverviewPages
from gateway.console.sessions import Sessions, SignInCodes
from gateway.console.sign_in import SignIn
from gateway.console.visit import Page
from gateway.egress.policy import EgressPolicy
from gateway.ingress.tokens import TokenBook


class Console:
    """The web pages under `/`. `tokens` are what people sign in with; `policy` says where webhooks may send to;
    `retry_schedule_s` is the gateway's own, for those that have none."""

    def __init__(
        self, parts: Parts, *, tokens: TokenBook, policy: EgressPolicy, retry_schedule_s: Sequence[float]
    ) -> None:
        self._tokens = tokens
        self._assets = Assets()
        look = Look(self._assets)
        self._codes = SignInCodes()
        self._door = Door(Sessions(), parts.registry, look)
        self._sign_in = SignIn(self._door, look, registry=parts.registry, tokens=tokens, codes=self._codes)
        self._pages: list[Page] = [
            *OverviewPages().pages(),
        ]

    def add_routes(self, app: web.Application) -> None:
        self._assets.add_routes(app)
        self._sign_in.add_routes(app)
        self._door.add_pages(app, self._pages)

    def sign_in_path(self, plain_token: str) -> str:
        """The address that signs one browser in as this token, once and soon."""
        token = self._tokens.authenticate(f"Bearer {plain_token}", datetime.now(UTC))
        return f"{SIGN_IN}?code={self._codes.issue(token.id)}"
