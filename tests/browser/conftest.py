"""A gateway with its console, and Debian's Chromium to look at it; without one, these tests say so and are skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.browser.window import Notes, chromium, new_page, open_browser
from tests.integration.console.site import Site, open_site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="no Chromium on this machine; on Debian: apt-get install chromium")
    missing = chromium() is None
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if missing:
                item.add_marker(skip)


@dataclass(frozen=True, slots=True)
class Viewer:
    """A browser that looks at `site`; `notes` are of all its windows."""

    site: Site
    browser: Browser
    notes: Notes

    @property
    def complaints(self) -> list[str]:
        return self.notes.complaints

    @property
    def foreign(self) -> list[str]:
        return self.notes.foreign

    async def open(
        self, *, phone: bool = False, dark: bool = False, scripts: bool = True, signed_in: bool = True
    ) -> Page:
        """A new window with cookies of its own, signed in as an administrator."""
        page = await new_page(self.browser, self.notes, phone=phone, dark=dark, scripts=scripts)
        if signed_in:
            await page.goto(self.site.console.sign_in_path(self.site.admin_token))
        return page


@pytest.fixture
async def viewer(database: str) -> AsyncIterator[Viewer]:
    async with open_site(database) as site, open_browser() as browser:
        yield Viewer(site, browser, Notes(site.origin))
