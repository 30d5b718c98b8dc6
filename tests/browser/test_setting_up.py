"""Setting up an access and a webhook, with scripts and without."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect

from gateway.model import PortState
from tests.browser.conftest import Viewer


@pytest.fixture
async def target(viewer: Viewer) -> AsyncIterator[str]:
    """The URL of somebody's system, which answers with markup, on a port that is open."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"<script>alert(1)</script> {request.headers['x-api-key']}")

    app = web.Application()
    app.router.add_post("/calls", answer)
    server = TestServer(app)
    async with server:
        assert server.port is not None
        await viewer.site.registry.decide_port(server.port, PortState.OPEN, by="test")
        yield str(server.make_url("/calls"))


async def add_access(page: Page) -> None:
    await page.goto("/webhooks/access")
    await page.get_by_role("link", name="Add New Access").click()
    await page.get_by_role("link", name="API Key Authentication").click()
    await page.get_by_label("API Name").fill("warehouse")
    await page.get_by_label("API Key", exact=True).fill("k3y-value")
    await page.get_by_role("button", name="Add access").click()
    await expect(page.get_by_text("is ready to be used")).to_be_visible()


async def add_webhook(page: Page, url: str) -> None:
    await page.goto("/webhooks/settings")
    await page.get_by_role("link", name="Add New Webhook").click()
    await page.get_by_label("Call Created").check()
    await page.get_by_label("Authorization Configuration").select_option("warehouse")
    await page.get_by_label("Webhook Target URL").fill(url)
    await page.get_by_role("button", name="Add webhook").click()
    await expect(page.get_by_text("was added.")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False])
async def test_from_nothing_to_a_test_that_arrives(viewer: Viewer, target: str, scripts: bool) -> None:
    page = await viewer.open(scripts=scripts)
    await add_access(page)
    await add_webhook(page, target)
    await page.get_by_role("button", name="Send test").click()
    await expect(page.locator("#test")).to_contain_text("<script>alert(1)</script>")
    await expect(page.locator("#test .state")).to_contain_text("200")
    assert viewer.complaints == []


async def test_choosing_another_type_keeps_the_name_and_the_page(viewer: Viewer) -> None:
    page = await viewer.open()
    await page.goto("/webhooks/access/new")
    await page.get_by_label("API Name").fill("crm")
    await page.evaluate("window.same = true")
    await page.get_by_role("link", name="API Key Authentication").click()
    await expect(page.get_by_label("API Key", exact=True)).to_be_visible()
    assert await page.get_by_label("API Name").input_value() == "crm"
    assert await page.evaluate("window.same") is True


async def test_what_is_wrong_with_a_url_is_said_while_it_is_typed(viewer: Viewer) -> None:
    page = await viewer.open()
    await page.goto("/webhooks/settings/new")
    url, findings = page.get_by_label("Webhook Target URL"), page.locator("#url-findings")
    for typed, said in (
        ("http://crm.example.com/", "not encrypted"),
        ("https://10.1.2.3/", "10.1.2.3"),
        ("https://crm.example.com:8443/", "Port 8443 is not open"),
        ("https://crm.example.com/", "Events will go to crm.example.com"),
    ):
        await url.fill(typed)
        await expect(findings).to_contain_text(said)


async def test_a_failing_test_is_explained_in_place(viewer: Viewer) -> None:
    webhook = await viewer.site.webhook(url="http://127.0.0.1:80/")
    page = await viewer.open()
    await page.goto(f"/webhooks/settings/{webhook.id}")
    await page.evaluate("window.same = true")
    await page.get_by_role("button", name="Send test").click()
    await expect(page.locator("#test")).to_contain_text("What to do:")
    assert await page.evaluate("window.same") is True


async def test_the_signing_secret_comes_into_view_only_when_asked_for(viewer: Viewer) -> None:
    webhook = await viewer.site.webhook()
    page = await viewer.open()
    await page.goto(f"/webhooks/settings/{webhook.id}")
    await expect(page.locator("#secret")).not_to_contain_text("whsec_")
    await page.get_by_role("button", name="Show the secret").click()
    await expect(page.locator("#secret")).to_contain_text("whsec_")


async def test_deleting_takes_a_second_thought(viewer: Viewer) -> None:
    webhook = await viewer.site.webhook()
    page = await viewer.open()
    await page.goto(f"/webhooks/settings/{webhook.id}")
    delete = page.get_by_role("button", name="Delete “crm”")
    assert not await delete.is_visible()
    await page.get_by_text("Delete this webhook").click()
    await delete.click()
    await expect(page.get_by_text("No webhook yet")).to_be_visible()
    assert viewer.site.registry.webhooks() == []


async def test_a_session_that_ended_leads_to_the_sign_in_from_within_a_page(viewer: Viewer) -> None:
    page = await viewer.open()
    await page.goto("/webhooks/settings/new")
    await page.context.clear_cookies()
    await page.get_by_label("Webhook Target URL").fill("https://crm.example.com/")
    await page.wait_for_url("**/sign-in")
