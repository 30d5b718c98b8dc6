"""`/api/v1/sign-in-links`: a link to the console for whoever has a token and does not want to type it.

Invariant: a link signs in as the token that asked for it and no other, once, and only while its code lives.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import structlog
from aiohttp import web
from pydantic import Field

from gateway.admin.auth import principal
from gateway.admin.fields import Output
from gateway.admin.routes import Route
from gateway.console.browser import origin
from gateway.console.door import SIGN_IN
from gateway.console.sessions import CODE_LIFE_S, SignInCodes
from gateway.http import json_response
from gateway.model import Role

PATH = "/api/v1/sign-in-links"

log = structlog.get_logger(__name__)


class SignInLinkOut(Output):
    url: Annotated[str, Field(description="Opened in a browser, it signs in there: the first time, and no other.")]
    expires_at: datetime


class SignInLinkApi:
    def __init__(self, codes: SignInCodes) -> None:
        self._codes = codes

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=PATH,
                handler=self.create,
                role=Role.VIEWER,
                summary="Make a link that signs in to the console",
                tag="Tokens",
                description="As the token that asks, once, within 15 minutes. Whoever has the link has what the token "
                "may do, so hand it on like a password.",
                response_model=SignInLinkOut,
                status=201,
            )
        ]

    async def create(self, request: web.Request) -> web.Response:
        token = principal(request).token
        link = sign_in_path(self._codes, token.id)
        log.info("sign_in_link_made", token=token.prefix, role=token.role)
        expires_at = datetime.now(UTC) + timedelta(seconds=CODE_LIFE_S)
        shown = SignInLinkOut(url=origin(request) + link, expires_at=expires_at)
        return json_response(shown, status=201, headers={"Cache-Control": "no-store"})


def sign_in_path(codes: SignInCodes, token_id: str) -> str:
    """The address, on this gateway, that signs one browser in as this token."""
    return f"{SIGN_IN}?code={codes.issue(token_id)}"
