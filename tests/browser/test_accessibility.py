"""What assistive technology meets: every page, in the light and in the dark, on a desktop and on a phone."""

from __future__ import annotations

import pytest

from tests.browser.axe import complaints_in_light_and_dark
from tests.browser.conftest import Viewer
from tests.browser.hostility import fill_with_hostility
from tests.browser.places import addresses, addresses_of_lists


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
async def test_nothing_serious_stands_in_the_way_on_any_page(viewer: Viewer, phone: bool) -> None:
    page = await viewer.open(phone=phone)
    found = {}
    for path in addresses(viewer.site, await fill_with_hostility(viewer.site)):
        await page.goto(path)
        found[path] = await complaints_in_light_and_dark(page)
    assert {path: each for path, each in found.items() if each} == {}


async def test_nothing_serious_stands_in_the_way_where_there_is_nothing_yet(viewer: Viewer) -> None:
    page = await viewer.open(phone=True)
    found = {}
    for path in [*addresses_of_lists(viewer.site), "/nowhere"]:
        await page.goto(path)
        found[path] = await complaints_in_light_and_dark(page)
    assert {path: each for path, each in found.items() if each} == {}


async def test_nothing_serious_stands_in_the_way_to_the_inside(viewer: Viewer) -> None:
    page = await viewer.open(signed_in=False)
    await page.goto("/sign-in")
    assert await complaints_in_light_and_dark(page) == []
    await page.get_by_label("Token").fill("gw_nobody")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_text("not known here").wait_for()
    assert await complaints_in_light_and_dark(page) == []


async def test_nothing_serious_is_wrong_with_the_open_menu_of_a_phone(viewer: Viewer) -> None:
    page = await viewer.open(phone=True)
    await page.get_by_text("Menu").click()
    assert await complaints_in_light_and_dark(page) == []
