"""How pages are made: the template environment, its filters, and the headers that every page carries.

Invariant: whatever comes from outside reaches a page as escaped text. Nothing here marks a value as safe, and
the policy that goes with each page lets a browser run only the scripts that carry the page's own nonce.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.audit_detail import without_query
from gateway.console.assets import Assets
from gateway.console.forms import sentence
from gateway.console.navigation import NAVIGATION
from gateway.console.words import ago, duration, event_title, iso, percent, webhook_title

NONCE_BYTES = 16


class Look:
    """Renders templates of `gateway/console/templates`. `assets` is where their style sheets and scripts are."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=PackageLoader("gateway.console", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(asset=assets.url, groups=NAVIGATION)
        self._environment.filters.update(
            ago=ago,
            iso=iso,
            event_title=event_title,
            duration=duration,
            sentence=sentence,
            percent=percent,
            webhook_title=webhook_title,
            without_query=without_query,
        )

    def page(self, template: str, context: Mapping[str, object], *, status: int = 200) -> web.Response:
        """A whole page or a part of one, with the headers that keep it to itself."""
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        text = self._environment.get_template(template).render(nonce=nonce, **context)
        return web.Response(text=text, status=status, content_type="text/html", headers=page_headers(nonce))


def page_headers(nonce: str) -> dict[str, str]:
    """What a browser may do with a page: run our own scripts, and send forms to nobody but us."""
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Not no-referrer: with that, a browser sends `Origin: null` with our own forms.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Vary": "HX-Request, Cookie",
    }
