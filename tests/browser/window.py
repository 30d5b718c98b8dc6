"""Debian's Chromium, and a window that notes what a visitor would not see.

Invariant: a window writes down every error, every breach of a page's policy and every request to another host.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-lcd-text")
DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)


def chromium() -> str | None:
    """Where it is; None on a machine without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            for context in browser.contexts:
                await context.close()
            await browser.close()


@dataclass(slots=True)
class Notes:
    """`complaints` is what the browser's console says, `foreign` what was asked of others than `origin`."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def take(self, page: Page) -> None:
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda asked: self._asked(asked.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:")):
            self.foreign.append(url)


async def new_page(
    browser: Browser, notes: Notes, *, phone: bool = False, dark: bool = False, scripts: bool = True
) -> Page:
    """A window with cookies of its own, and nobody signed in."""
    context = await browser.new_context(
        base_url=notes.origin,
        viewport=PHONE if phone else DESKTOP,
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
    )
    page = await context.new_page()
    page.set_default_timeout(20_000)
    notes.take(page)
    return page
