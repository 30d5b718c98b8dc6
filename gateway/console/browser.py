"""How a browser reached the console, and what its cookie is called there.

Invariant: what a request says of itself can only make the console more careful with its own sender.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

SECURE_COOKIE = "__Host-gateway"
PLAIN_COOKIE = "gateway-session"
"""Browsers take a `__Host-` cookie only with `Secure`, and drop a `Secure` one that comes over plain http, as it does
without TLS on loopback. There it has a plain name and the same other bounds."""


def is_secure(request: web.Request) -> bool:
    """Whether the browser came over TLS, here or at a proxy in front.

    Anyone can send the header, but only about their own request, and all it does is to ask for more protection.
    """
    return request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"


def is_private(request: web.Request) -> bool:
    """Whether nobody on the way can read along: TLS, or this very machine."""
    host = urlsplit(f"//{request.host}").hostname or ""
    try:
        return is_secure(request) or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def cookie_name(request: web.Request) -> str:
    return SECURE_COOKIE if is_secure(request) else PLAIN_COOKIE


def is_browser(request: web.Request) -> bool:
    """Whether a person is looking: a browser asks for a page before anything else."""
    return request.method == "GET" and request.headers.get("Accept", "").startswith("text/html")


def origin(request: web.Request) -> str:
    """The console's own address, as this browser has it."""
    return f"{'https' if is_secure(request) else 'http'}://{request.host}"
