"""The whole way of somebody who has just started the real program, from its one-time link to a call's timeline."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.acceptance.test_cli import LIMIT_S, Program, Target, target
from tests.browser.axe import complaints
from tests.browser.window import Notes, new_page, open_browser

__all__ = ["target"]

SIGN_IN = re.compile(r"Sign in: +(http://\S+)")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A first start, with everything that it makes for itself."""
    started = Program(tmp_path / "data")
    yield started
    started.stop()


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
async def test_a_newcomer_gets_from_the_first_link_to_the_timeline_of_a_call(
    program: Program, target: Target, phone: bool
) -> None:
    link = SIGN_IN.search(program.output.read_text())
    assert link is not None
    notes = Notes(program.url)
    async with open_browser() as browser:
        page = await new_page(browser, notes, phone=phone)
        await page.goto(link[1])
        await _set_up_an_access(page)
        await _set_up_a_webhook(page, target)
        await _open_its_port(page, target)
        await _send_a_test(page, target)
        command, token = await _make_a_token_for_the_switch(page)
        _run(command, token)
        await _find_it_in_the_log(page)
        target.status = 500
        _run(command, token)
        await _read_why_it_failed(page)
        target.status = 200
        await _replay(page)
        await _look_at_the_call(page)
    assert notes.complaints == [] and notes.foreign == []
    assert {headers["x-api-key"] for headers, _ in target.got} == {"k3y-value"}


async def _set_up_an_access(page: Page) -> None:
    await page.get_by_role("link", name="Set up an access").click()
    await page.get_by_role("link", name="Add New Access").click()
    await page.get_by_role("link", name="API Key Authentication").click()
    await page.get_by_label("Authentication Key Name").fill("x-api-key")
    await page.get_by_label("API Name").fill("CRM")
    await page.get_by_label("API Key", exact=True).fill("k3y-value")
    await page.get_by_role("button", name="Add access").click()
    await expect(page.get_by_text("is ready to be used")).to_be_visible()


async def _set_up_a_webhook(page: Page, target: Target) -> None:
    await _go(page, "Webhook Settings")
    await page.get_by_role("link", name="Add New Webhook").click()
    await page.get_by_label("Call Created").check()
    await page.get_by_label("Authorization Configuration").select_option("CRM")
    await page.get_by_label("Webhook Target URL").fill(target.url)
    await expect(page.locator("#url-findings")).to_contain_text(f"Port {target.server_port} is not open")
    await page.get_by_role("button", name="Add webhook").click()
    await expect(page.locator(".alarm")).to_contain_text("It does not deliver yet")
    assert await complaints(page) == []


async def _open_its_port(page: Page, target: Target) -> None:
    await page.get_by_role("link", name="Open it under Ports").click()
    await page.get_by_role("button", name=f"Open port {target.server_port}").click()
    await expect(page.locator(".notice")).to_contain_text(f"Port {target.server_port} for 127.0.0.1")


async def _send_a_test(page: Page, target: Target) -> None:
    await _go(page, "Webhook Settings")
    await page.get_by_role("link", name=target.url).click()
    await page.get_by_role("button", name="Send test").click()
    await expect(page.locator("#test .state")).to_contain_text("200")
    await expect(page.locator("#test")).not_to_contain_text("k3y-value")
    assert await complaints(page) == []


async def _make_a_token_for_the_switch(page: Page) -> tuple[str, str]:
    """The command that the console shows for pushing an event, and the token to put into it."""
    await _go(page, "Tokens")
    await page.get_by_role("link", name="Add New Token").click()
    await page.get_by_label("Name").fill("switch")
    await page.get_by_label("Ingest").check()
    await page.get_by_role("button", name="Add token").click()
    assert await complaints(page) == []
    return await page.locator("pre").inner_text(), await page.locator("#plain").inner_text()


def _run(command: str, token: str) -> None:
    """In a terminal, exactly as it was shown."""
    environment = {**os.environ, "TOKEN": token}
    shell = ["sh", "-c", command.replace("curl", "curl --silent --show-error --fail-with-body", 1)]
    done = subprocess.run(shell, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"duplicate":false' in done.stdout


async def _find_it_in_the_log(page: Page) -> None:
    await _go(page, "Webhooks Logs")
    await _until_shown(page, page.locator("tr[data-id]:not(:has(.tag)):has(.state.good)").first)


async def _read_why_it_failed(page: Page) -> None:
    failed = page.locator("tr[data-id]:has(.state.bad)")
    await _until_shown(page, failed.first)
    await failed.first.get_by_role("link").first.click()
    await expect(page.get_by_text("What to do:")).to_be_visible()
    await expect(page.locator("#request")).to_contain_text("call_id")
    assert await complaints(page) == []


async def _replay(page: Page) -> None:
    await page.get_by_role("button", name="Replay").click()
    await expect(page.locator("#replay")).to_contain_text("Done")
    assert await complaints(page) == []
    await page.get_by_role("link", name="Its attempts").click()
    delivered = page.locator("tr[data-id]:has(.state.good)")
    await _until_shown(page, delivered.first)


async def _look_at_the_call(page: Page) -> None:
    await page.locator("tr[data-id]").first.get_by_role("link").first.click()
    await page.locator("dl.facts a[href^='/reports/calls/']").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Call")
    lanes = page.locator(".lane").filter(has_text="Delivered")
    await expect(lanes.first).to_be_visible()
    assert await complaints(page) == []


async def _go(page: Page, name: str) -> None:
    """By the menu, which a phone folds away."""
    menu = page.get_by_text("Menu", exact=True)
    if await menu.is_visible():
        await menu.click()
    await page.get_by_role("navigation").get_by_role("link", name=name, exact=True).locator("visible=true").click()


async def _until_shown(page: Page, row: Locator) -> None:
    """Reloads, as a newcomer does, until the log has it."""
    async with asyncio.timeout(LIMIT_S):
        while not await row.is_visible():
            await page.reload()
