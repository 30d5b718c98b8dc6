"""The door of the console: nobody passes without a session, and no form without proof that a page of ours sent it.

Invariant: a change is made only by a POST whose `Origin` is this site and whose secret is the session's own;
whatever goes wrong, a person gets a page that says it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.admin.auth import Principal
from gateway.console.browser import cookie_name, is_browser, is_secure
from gateway.console.forms import Form, read_form, sentence
from gateway.console.look import Look
from gateway.console.sessions import AGE_LIMIT_S, Session, Sessions
from gateway.console.visit import Page, Visit
from gateway.errors import Problem
from gateway.http import TITLES, Handler, problem_of
from gateway.ingress.tokens import RANK
from gateway.model import Role, Token
from gateway.registry.registry import Registry

CSRF_FIELD = "csrf"
CSRF_HEADER = "X-CSRF-Token"
SIGN_IN = "/sign-in"


class Door:
    """Guards pages. `sessions` are those of the browsers that are signed in."""

    def __init__(self, sessions: Sessions, registry: Registry, look: Look) -> None:
        self._sessions = sessions
        self._registry = registry
        self._look = look

    def add_pages(self, app: web.Application, pages: list[Page]) -> None:
        for page in pages:
            add = app.router.add_get if page.method == "GET" else app.router.add_post
            add(page.path, self._guarded(page))

    def open_session(self, request: web.Request, response: web.Response, token: Token) -> None:
        """Sign this browser in, under a new secret; the session that it may have had ends."""
        self.close_session(request, response)
        secret = self._sessions.open(token.id)
        secure = is_secure(request)
        response.set_cookie(
            cookie_name(request), secret, max_age=int(AGE_LIMIT_S), path="/",
            secure=secure, httponly=True, samesite="Strict",
        )  # fmt: skip

    def close_session(self, request: web.Request, response: web.Response) -> None:
        self._sessions.close(request.cookies.get(cookie_name(request)))
        response.del_cookie(
            cookie_name(request), path="/", secure=is_secure(request), httponly=True, samesite="Strict"
        )  # fmt: skip

    def session_of(self, request: web.Request) -> tuple[Session, Token] | None:
        """The session and its token; None where there is none, or the token was revoked or has expired."""
        secret = request.cookies.get(cookie_name(request))
        session = self._sessions.get(secret)
        if session is None:
            return None
        token = self._registry.token(session.token_id)
        if token is None or (token.expires_at is not None and token.expires_at <= datetime.now(UTC)):
            self._sessions.close(secret)
            return None
        return session, token

    @property
    def page_for_nothing(self) -> Middleware:
        """Where there is nothing, a browser gets a page that says so; whoever asks for JSON gets that."""

        @web.middleware
        async def respond(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return await handler(request)
            except web.HTTPNotFound as error:
                response = self.problem_page(request, error) if is_browser(request) else None
                if response is None:
                    raise
                return response

        return respond

    def problem_page(self, request: web.Request, error: Exception) -> web.Response | None:
        """What a person sees of an error; None for a redirect, which is an answer and no problem."""
        problem = problem_of(request, error)
        if problem is None:
            return None
        part = request.headers.get("HX-Request") == "true"
        context = {"title": TITLES.get(problem.type, problem.title), "detail": sentence(problem.detail)}
        return self._look.page("problem_part.html" if part else "problem.html", context, status=problem.status)

    def _guarded(self, page: Page) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                signed_in = self.session_of(request)
                if signed_in is None:
                    return _to_sign_in(request)
                session, token = signed_in
                form = Form()
                if page.method != "GET":
                    form = await read_form(request, page.form_bytes)
                    check_origin(request)
                    _check_csrf(request, session, form)
                _check_role(token, page.role)
                return await page.handler(self._visit(request, session, token, form))
            except Exception as error:
                response = self.problem_page(request, error)
                if response is None:
                    raise
                return response

        return serve

    def _visit(self, request: web.Request, session: Session, token: Token, form: Form) -> Visit:
        return Visit(
            request=request,
            who=Principal(token),
            csrf=session.csrf,
            notify=session.notify,
            take_notices=session.take_notices,
            form=form,
            look=self._look,
            registry=self._registry,
        )


def check_origin(request: web.Request) -> None:
    """Problem 403 where another site sent this. Hosts alone are compared: TLS may end at a proxy, which keeps them."""
    origin = request.headers.get("Origin")
    if origin is None or urlsplit(origin).netloc != request.host:
        raise Problem(403, "forbidden", "this form was not sent by a page of this console; open it here and try again")


def _check_csrf(request: web.Request, session: Session, form: Form) -> None:
    if not session.has_csrf(request.headers.get(CSRF_HEADER) or form.raw(CSRF_FIELD)):
        raise Problem(403, "forbidden", "this page is older than your sign-in; reload it and try again")


def _check_role(token: Token, least: Role) -> None:
    if RANK[token.role] < RANK[least]:
        article = "an" if least in (Role.OPERATOR, Role.ADMIN) else "a"
        raise Problem(403, "forbidden", f"this takes {article} {least}; you are signed in as {token.role}")


def _to_sign_in(request: web.Request) -> web.Response:
    """To the sign-in, and from there back to a page that can be opened again."""
    if request.headers.get("HX-Request") == "true":
        return web.Response(status=401, headers={"HX-Redirect": SIGN_IN})
    back = f"?next={quote(request.path_qs, safe='/')}" if request.method == "GET" and request.path != "/" else ""
    return web.Response(status=303, headers={"Location": SIGN_IN + back, "Cache-Control": "no-store"})
