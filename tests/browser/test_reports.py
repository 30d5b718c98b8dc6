"""The pages of the reports in a real browser: what scripts do, and that hostile content does nothing."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright

from gateway.model import Webhook
from tests.integration.console.site import Site, open_site

CHROMIUM = shutil.which("chromium")
HOSTILE = b"""<script>document.title='owned'</script><img src=x onerror="document.title='owned'">\xe2\x80\xae\x00"""
PAYLOAD = b'{"call_id": 77, "phone": "<svg onload=document.title=1>", "note": "\\u202e </script><script>x()</script>"}'

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


class Seen:
    """A page, with what its browser complained about."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.complaints: list[str] = []
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self._hear("error", str(error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    async def open(self, path: str) -> None:
        await self.page.goto(self.site.origin + path)


@pytest.fixture
async def seen(database: str) -> AsyncIterator[Seen]:
    async with open_site(database) as site, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(timezone_id="Asia/Tokyo")
        seen = Seen(await context.new_page(), site)
        await seen.open("/sign-in")
        await seen.page.fill("[name=token]", site.admin_token)
        await seen.page.click("button.primary")
        await seen.page.wait_for_url("**/")
        yield seen
        await browser.close()


async def hostile_attempt(site: Site) -> tuple[Webhook, str]:
    hook = await site.webhook(name="<b onmouseover=x()>crm</b>")
    event = await site.event(hook, payload=PAYLOAD)
    headers = b"x-bad: <script>x()</script>\r\n"
    return hook, await site.attempt(event, hook, status=500, response_body=HOSTILE, response_headers=headers)


async def test_hostile_content_is_text_on_every_page_and_breaks_no_policy(seen: Seen) -> None:
    _, attempt_id = await hostile_attempt(seen.site)
    for path in ("/", "/reports/logs", f"/reports/logs/{attempt_id}", "/reports/calls/77", "/reports/replays/new"):
        await seen.open(path)
        await seen.page.wait_for_load_state("networkidle") if path != "/" else None
        assert await seen.page.title() != "owned"
        assert await seen.page.locator("main script, main img, main b").count() == 0
    assert seen.complaints == []


async def test_the_page_takes_the_browsers_time_zone(seen: Seen) -> None:
    await seen.open("/reports/logs")
    await seen.page.get_by_text("Asia/Tokyo, UTC+9").wait_for()


async def test_a_live_log_puts_new_attempts_on_top_and_a_slow_one_in_its_place(seen: Seen) -> None:
    site = seen.site
    hook = await site.webhook()
    event = await site.event(hook)
    slow = site.ids.next()
    first = await site.attempt(event, hook, number=2)
    await seen.open("/reports/logs")
    await seen.page.click("#live")
    second = await site.attempt(event, hook, number=3)
    await site.attempt(event, hook, id=slow)
    await seen.page.locator(f"tr[data-id='{slow}']").wait_for()
    rows = await seen.page.locator("tr[data-id]").evaluate_all("rows => rows.map((row) => row.dataset.id)")
    assert rows == [second, first, slow]


async def test_a_live_log_does_not_move_under_somebody_who_reads_it(seen: Seen) -> None:
    site = seen.site
    hook = await site.webhook()
    event = await site.event(hook)
    for number in range(1, 41):
        await site.attempt(event, hook, number=number)
    await seen.open("/reports/logs")
    await seen.page.click("#live")
    await seen.page.mouse.wheel(0, 600)
    await seen.page.wait_for_function("scrollY > 0")
    place = await seen.page.locator("tr[data-id]").nth(20).bounding_box()
    await site.attempt(event, hook, number=99)
    await seen.page.get_by_role("button", name="1 new").wait_for()
    assert await seen.page.locator("tr[data-id]").nth(20).bounding_box() == place
    await seen.page.locator("#fresh").dispatch_event("click")
    assert await seen.page.locator("tr[data-id]").count() == 41


async def test_the_picture_of_a_call_is_worked_by_keyboard(seen: Seen) -> None:
    _, attempt_id = await hostile_attempt(seen.site)
    await seen.open("/reports/calls/77")
    await seen.page.locator(".lane svg a").first.focus()
    await seen.page.keyboard.press("Enter")
    await seen.page.wait_for_url(f"**/reports/logs/{attempt_id}")


async def test_the_overview_renews_itself_and_leaves_an_open_table_open(seen: Seen) -> None:
    await seen.site.webhook()
    await seen.open("/")
    await seen.page.click("#flow-summary")
    async with seen.page.expect_response(lambda response: "period=1h" in response.url):
        pass
    await seen.page.wait_for_load_state("networkidle")
    assert await seen.page.locator("#flow-numbers").get_attribute("open") is not None
    assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/reports/logs", "/reports/calls/77", "/reports/replays"])
async def test_nothing_is_wider_than_a_phone(seen: Seen, path: str, scheme: str) -> None:
    await hostile_attempt(seen.site)
    await seen.page.set_viewport_size({"width": 360, "height": 740})
    await seen.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await seen.open(path)
    assert await seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
