"""A gateway with its console, and Debian's Chromium to look at it; without one, these tests say so and are skipped."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, async_playwright

from tests.integration.console.site import Site, open_site

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = not any(shutil.which(name) for name in NAMES)
    skip = pytest.mark.skip(reason="no Chromium on this machine; on Debian: apt-get install chromium")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if missing:
                item.add_marker(skip)


@dataclass(slots=True)
class Viewer:
    """A browser that looks at `site`. `complaints` is what its console says, `foreign` what it asked of others."""

    site: Site
    browser: Browser
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    async def open(
        self, *, phone: bool = False, dark: bool = False, scripts: bool = True, signed_in: bool = True
    ) -> Page:
        """A new window with cookies of its own, signed in as an administrator."""
        context = await self.browser.new_context(
            base_url=self.site.origin,
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        self.contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda asked: self._note(asked.url))
        if signed_in:
            await page.goto(self.site.console.sign_in_path(self.site.admin_token))
        return page

    def _note(self, url: str) -> None:
        if not url.startswith((self.site.origin, "data:")):
            self.foreign.append(url)


@pytest.fixture
async def viewer(database: str) -> AsyncIterator[Viewer]:
    path = next(filter(None, map(shutil.which, NAMES)))
    async with open_site(database) as site, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        viewer = Viewer(site, browser)
        try:
            yield viewer
        finally:
            for context in viewer.contexts:
                await context.close()
            await browser.close()
