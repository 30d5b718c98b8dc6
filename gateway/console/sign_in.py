"""Signing in and out. A token signs in as itself; a one-time code stands for one at the first start.

Invariant: neither a token nor a code is ever put into a page or an address that this sends a browser to.
"""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from aiohttp import web

from gateway.console.browser import is_private
from gateway.console.door import SIGN_IN, Door, check_origin
from gateway.console.forms import FORM_BYTES, Form, read_form, sentence
from gateway.console.look import Look
from gateway.console.sessions import SignInCodes
from gateway.console.visit import Page, Visit
from gateway.errors import Problem
from gateway.http import Handler
from gateway.ingress.tokens import TokenBook
from gateway.model import Role, Token
from gateway.registry.registry import Registry

log = structlog.get_logger(__name__)

USED_CODE = "This link was used before, or is older than 15 minutes. Sign in with a token."


class SignIn:
    """`/sign-in` and `/sign-out`. There is no session yet whose secret a sign-in form could bring back: who makes one
    must know a token, and its `Origin` is checked."""

    def __init__(self, door: Door, look: Look, *, registry: Registry, tokens: TokenBook, codes: SignInCodes) -> None:
        self._door = door
        self._look = look
        self._registry = registry
        self._tokens = tokens
        self._codes = codes

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(SIGN_IN, self._shown(self._ask))
        app.router.add_post(SIGN_IN, self._shown(self._sign_in))
        self._door.add_pages(app, [Page(method="POST", path="/sign-out", handler=self._sign_out)])

    def _shown(self, handler: Handler) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except Exception as error:
                response = self._door.problem_page(request, error)
                if response is None:
                    raise
                return response

        return serve

    async def _ask(self, request: web.Request) -> web.Response:
        code = request.query.get("code")
        if code is None:
            return self._page(request, path=request.query.get("next", ""))
        if _is_somebody_opening(request):
            return self._with_code(request, code)
        # Followed from elsewhere, or only fetched ahead: the code waits for a click on a page of ours.
        return self._page(request, code=code)

    async def _sign_in(self, request: web.Request) -> web.Response:
        form = await read_form(request, FORM_BYTES)
        check_origin(request)
        if "code" in form:
            return self._with_code(request, form.text("code"))
        try:
            token = self._tokens.authenticate(f"Bearer {form.text('token')}", datetime.now(UTC))
        except Problem:
            return self._refused(request, form, "This token is not known here: it is mistyped, revoked or has expired.")
        return self._let_in(request, token, form)

    def _with_code(self, request: web.Request, code: str) -> web.Response:
        token_id = self._codes.redeem(code)
        token = None if token_id is None else self._registry.token(token_id)
        if token is None:
            return self._refused(request, Form(), USED_CODE)
        return self._let_in(request, token, Form())

    def _let_in(self, request: web.Request, token: Token, form: Form) -> web.Response:
        if token.role is Role.INGEST:
            return self._refused(
                request, form, "This token may push events and nothing else. Sign in with one of another role."
            )
        response = web.Response(
            status=303, headers={"Location": _inside(form.text("next")), "Cache-Control": "no-store"}
        )
        self._door.open_session(request, response, token)
        log.info("signed_in", token=token.prefix, role=token.role)
        return response

    def _refused(self, request: web.Request, form: Form, why: str) -> web.Response:
        return self._page(request, path=form.text("next"), error=why, status=422)

    def _page(
        self, request: web.Request, *, path: str = "", code: str | None = None, error: str = "", status: int = 200
    ) -> web.Response:
        context = {"path": _inside(path), "code": code, "error": sentence(error), "private": is_private(request)}
        return self._look.page("sign_in.html", context, status=status)

    async def _sign_out(self, visit: Visit) -> web.Response:
        response = visit.redirect(SIGN_IN)
        self._door.close_session(visit.request, response)
        return response


def _is_somebody_opening(request: web.Request) -> bool:
    """Typed, or clicked in a terminal: browsers say `none`. What they fetch ahead they say too."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    return request.method == "GET" and site in ("none", "same-origin") and "Sec-Purpose" not in request.headers


def _inside(path: str) -> str:
    """A path of this console, whatever was asked for: nobody is sent elsewhere after signing in."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\", SIGN_IN)) and path.isprintable() else "/"
