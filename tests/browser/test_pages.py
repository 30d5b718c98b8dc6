"""What holds for every page: quiet, self-contained, readable on a phone, usable by keyboard."""

from __future__ import annotations

import pytest

from gateway.errors import FieldError
from tests.browser.conftest import Viewer

PATHS = (
    "/",
    "/webhooks/access",
    "/webhooks/access/new?type=api_key",
    "/webhooks/settings",
    "/webhooks/settings/new",
    "/webhooks/events",
    "/reports/logs",
    "/reports/replays",
    "/operations/ports",
    "/operations/rejected",
    "/operations/tokens",
    "/operations/tokens/new",
    "/operations/audit",
)
HOSTILE = "<img src=x onerror=alert(1)>" + "w" * 120
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT = """() => [...document.querySelectorAll('button, .button, th, td, label, h1, h2, .state')]
    .filter(e => e.offsetParent !== null && !e.classList.contains('hidden'))
    .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === 'hidden')
    .map(e => e.textContent.trim())"""


async def fill(viewer: Viewer) -> list[str]:
    """Something hostile and long to show everywhere; the addresses of all pages there are then."""
    webhook = await viewer.site.webhook(name=HOSTILE, url="https://crm.example.com:8443/" + "p" * 200)
    rejected = await viewer.site.rejected.keep(1, HOSTILE[:150], [FieldError("/call_id", HOSTILE)], HOSTILE.encode())
    one = f"/webhooks/settings/{webhook.id}"
    return [*PATHS, one, one + "/edit", f"/operations/rejected/{rejected}"]


async def test_no_page_complains_asks_others_or_runs_what_it_shows(viewer: Viewer) -> None:
    page = await viewer.open()
    for path in await fill(viewer):
        response = await page.goto(path)
        assert response is not None and response.status == 200, path
        await page.wait_for_load_state("load")
    assert viewer.complaints == [] and viewer.foreign == []


@pytest.mark.parametrize("phone", [True, False])
async def test_no_page_is_wider_than_the_screen_or_cuts_its_words(viewer: Viewer, phone: bool) -> None:
    page = await viewer.open(phone=phone)
    for path in await fill(viewer):
        await page.goto(path)
        assert await page.evaluate(OVERFLOW) == 0, path
        assert await page.evaluate(CUT) == [], path


async def test_on_a_phone_the_menu_opens_over_the_page_and_leads_on(viewer: Viewer) -> None:
    page = await viewer.open(phone=True)
    await page.goto("/operations/ports")
    assert not await page.get_by_role("link", name="Access Setup").is_visible()
    await page.get_by_text("Menu").click()
    await page.get_by_role("link", name="Access Setup").click()
    await page.wait_for_url("**/webhooks/access")


async def test_everything_is_reached_by_keyboard_with_a_focus_that_shows(viewer: Viewer) -> None:
    page = await viewer.open()
    await page.goto("/webhooks/access/new")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.keyboard.press("Enter")
    reached = []
    for _ in range(9):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.name || document.activeElement.textContent"))
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", reached
    assert reached[-6:-1] == ["key_name", "name", "client_id", "client_secret", "Add access"]


async def test_light_and_dark_follow_the_system(viewer: Viewer) -> None:
    grounds = []
    for dark in (False, True):
        page = await viewer.open(dark=dark)
        grounds.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(246, 247, 249)", "rgb(19, 22, 26)"]


async def test_a_pages_scripts_and_styles_are_small(viewer: Viewer) -> None:
    """What a slow laptop has to load: under 60 KB over the wire."""
    page = await viewer.open()
    await page.goto("/webhooks/settings")
    sizes = await page.evaluate("performance.getEntries().map(e => e.transferSize || 0)")
    assert 0 < sum(sizes) < 60_000
