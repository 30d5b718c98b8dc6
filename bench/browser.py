"""A browser without scripts that is signed in to a gateway's console.

Invariant: it comes in by the sign-in page, as a person with a token does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, CookieJar

from bench.process import ADMIN_TOKEN, Gateway


@asynccontextmanager
async def signed_in(gateway: Gateway) -> AsyncIterator[ClientSession]:
    """Asks for paths of the console."""
    async with ClientSession(gateway.url, cookie_jar=CookieJar(unsafe=True)) as browser:
        form, origin = {"token": ADMIN_TOKEN}, {"Origin": gateway.url}
        async with browser.post("/sign-in", data=form, headers=origin) as answer:
            answer.raise_for_status()
        yield browser
