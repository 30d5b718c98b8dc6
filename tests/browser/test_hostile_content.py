"""What an attacker put into names, payloads and answers is shown as text, on every page there is."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Viewer
from tests.browser.hostility import fill_with_hostility
from tests.browser.places import addresses

OWN = "main :is(script, img, iframe, object, embed, style, base, b, i)"
"""What none of our pages has in its content."""
UNFOLD = "document.querySelectorAll('details:not(.narrow)').forEach(each => { each.open = true })"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
async def test_it_takes_effect_nowhere_breaks_no_policy_and_bursts_no_page(viewer: Viewer, phone: bool) -> None:
    page = await viewer.open(phone=phone)
    for path in addresses(viewer.site, await fill_with_hostility(viewer.site)):
        response = await page.goto(path)
        assert response is not None and response.status == 200, path
        await page.evaluate(UNFOLD)
        assert await page.title() != "owned" and await page.locator(OWN).count() == 0, path
        assert await page.evaluate(OVERFLOW) == 0, path
    assert viewer.complaints == [] and viewer.foreign == []


async def test_it_is_there_to_be_read(viewer: Viewer) -> None:
    """So that the test above is not content with pages that leave everything out."""
    known = await fill_with_hostility(viewer.site)
    page = await viewer.open()
    for path, words in (
        (known["/reports/logs/{id}"], "<script>document.title='owned'</script>"),
        (known["/reports/calls/{call_id}"], "<svg onload=document.title=1>"),
        (known["/operations/rejected/{id}"], "<img src=x onerror="),
        (known["/webhooks/settings/{id}"], "<b onmouseover=x()>"),
        (known["/webhooks/access/{id}"], "<b onmouseover=x()>"),
        ("/operations/audit", "<b onmouseover=x()>"),
        ("/operations/tokens", "<b onmouseover=x()>"),
        ("/reports/replays", "<b onmouseover=x()>"),
    ):
        await page.goto(path)
        await page.evaluate(UNFOLD)
        assert words in await page.locator("main").inner_text() + await page.title(), path
