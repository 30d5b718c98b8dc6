"""Every page of the console, read from its router.

Invariant: an address that the router knows and this file does not is an error, so a new page cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from tests.integration.console.site import Site

NO_PAGES = {
    "/static/{path}",
    "/sign-in",  # for those who are not signed in, as they are everywhere else here
    "/reports/calls",  # leads on to the call that was asked for
    "/reports/logs/tail",  # rows, put into a page
    "/reports/replays/count",  # a figure, put into a page
    "/reports/logs.csv",
    "/reports/logs.jsonl",
    "/reports/logs/{id}/request",
    "/reports/logs/{id}/response",
}
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "/": ("?period=24h",),
    "/webhooks/access/new": ("?type=api_key",),
    "/reports/logs": ("?status=teapot", "?call_id=77&outcome=failure"),
    "/reports/replays/new": ("?outcome=failure&status=5xx",),
}
"""Other faces of the same page."""


def addresses(site: Site, examples: Mapping[str, str]) -> list[str]:
    """Where to go to see every page once; `examples` has an address for each page of a single thing."""
    plain = [examples[page] if "{" in page else page for page in pages(site)]
    return plain + [page + more for page, each in VARIANTS.items() for more in each]


def addresses_of_lists(site: Site) -> list[str]:
    """Those that can be seen before there is anything."""
    return [page for page in pages(site) if "{" not in page]


def pages(site: Site) -> list[str]:
    """As the router spells them, with braces around what names a single thing."""
    assert site.client.app is not None
    found = {_spelled(route) for route in site.client.app.router.routes() if route.method == "GET"}
    assert found > NO_PAGES, f"gone: {NO_PAGES - found}"
    return sorted(found - NO_PAGES)


def _spelled(route: web.AbstractRoute) -> str:
    assert route.resource is not None
    return route.resource.canonical
