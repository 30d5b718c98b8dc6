"""What holds for every page: its headers, its language, who may open it, and how errors look."""

from __future__ import annotations

import re

import pytest

from gateway.catalog import EVENT_TYPES
from gateway.model import Role
from tests.integration.console.site import Shown, Site

PAGES = {
    "/": Role.VIEWER,
    "/webhooks/access": Role.VIEWER,
    "/webhooks/access/new": Role.OPERATOR,
    "/webhooks/settings": Role.VIEWER,
    "/webhooks/settings/new": Role.OPERATOR,
    "/webhooks/events": Role.VIEWER,
    "/reports/logs": Role.VIEWER,
    "/reports/replays": Role.VIEWER,
    "/operations/ports": Role.VIEWER,
    "/operations/rejected": Role.VIEWER,
    "/operations/tokens": Role.ADMIN,
    "/operations/tokens/new": Role.ADMIN,
    "/operations/audit": Role.OPERATOR,
}
RANK = [Role.VIEWER, Role.OPERATOR, Role.ADMIN]


def check_headers(shown: Shown) -> None:
    policy = {name: values for name, _, values in (each.strip().partition(" ") for each in policy_of(shown).split(";"))}
    assert policy["default-src"] == policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == policy["style-src"] == "'self'"
    nonce = re.fullmatch(r"'nonce-([\w-]{20,})'", policy["script-src"])
    assert nonce is not None
    scripts = re.findall(r"<script\b[^>]*>", shown.html)
    assert all(f'nonce="{nonce[1]}"' in script and " src=" in script for script in scripts)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://(?:cdn|unpkg)", shown.html)
    assert shown.headers["X-Content-Type-Options"] == "nosniff" and shown.headers["Cache-Control"] == "no-store"


def policy_of(shown: Shown) -> str:
    return shown.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_keeps_scripts_frames_and_caches_out(site: Site, path: str) -> None:
    await site.sign_in()
    first, second = await site.get(path), await site.get(path)
    assert first.status == 200
    check_headers(first)
    assert policy_of(first) != policy_of(second), "a nonce is used once"


async def test_pages_of_one_thing_keep_scripts_out_as_well(site: Site) -> None:
    await site.sign_in()
    webhook = await site.webhook()
    for path in (f"/webhooks/settings/{webhook.id}", f"/webhooks/settings/{webhook.id}/edit"):
        check_headers(await site.get(path))


async def test_the_sign_in_and_error_pages_keep_scripts_out_as_well(site: Site) -> None:
    check_headers(await site.get("/sign-in"))
    await site.sign_in()
    missing = await site.get("/webhooks/settings/00000000-0000-0000-0000-000000000000")
    assert missing.status == 404
    check_headers(missing)


@pytest.mark.parametrize("role", RANK)
async def test_who_may_not_open_a_page_finds_no_way_to_it(site: Site, role: Role) -> None:
    await site.sign_in(role)
    home = await site.get("/")
    for path, least in PAGES.items():
        allowed = RANK.index(role) >= RANK.index(least)
        shown = await site.get(path)
        assert shown.status == (200 if allowed else 403), path
        if not allowed:
            assert f"you are signed in as {role}" in shown.text
            assert f'href="{path}"' not in home.html


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_a_language_a_title_one_heading_and_a_way_past_the_navigation(
    site: Site, path: str
) -> None:
    await site.sign_in()
    shown = await site.get(path)
    assert '<html lang="en">' in shown.html and re.search(r"<title>[^<]+ · Event gateway</title>", shown.html)
    assert shown.html.count("<h1") == 1 and 'href="#main"' in shown.html and 'id="main"' in shown.html
    for field in re.findall(r'<(?:input|select|textarea)\b[^>]*\bid="([^"]+)"', shown.html):
        assert f'for="{field}"' in shown.html, f"{field} has no label"
    ids = re.findall(r'\sid="([^"]+)"', shown.html)
    assert len(ids) == len(set(ids))


async def test_an_error_within_a_page_comes_as_a_part(site: Site) -> None:
    await site.sign_in(Role.VIEWER)
    shown = await site.get("/operations/tokens", part=True)
    assert shown.status == 403 and "<html" not in shown.html and "signed in as viewer" in shown.text


async def test_where_there_is_nothing_a_browser_gets_a_page_and_a_program_json(site: Site) -> None:
    page = await site.get("/webhooks", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status == 404 and "There is no such thing" in page.text
    check_headers(page)
    answer = await site.get("/webhooks", headers={"Accept": "*/*"})
    assert answer.status == 404 and answer.headers["Content-Type"] == "application/problem+json"


async def test_the_catalog_describes_every_field_of_every_event(site: Site) -> None:
    await site.sign_in(Role.VIEWER)
    shown = await site.get("/webhooks/events")
    for event in EVENT_TYPES:
        assert event.title in shown.text
        assert all(field.description.replace("`", "") in shown.text for field in event.fields)


async def test_what_only_a_page_may_send_is_refused_as_anything_else(site: Site) -> None:
    await site.sign_in()
    headers = {"Origin": site.origin, "X-CSRF-Token": await site.csrf()}
    async with site.client.post("/sign-out", json={}, headers=headers, allow_redirects=False) as response:
        assert response.status == 415


async def test_a_form_that_is_too_large_is_refused(site: Site) -> None:
    await site.sign_in()
    shown = await site.submit_form("/webhooks/access/new", {"type": "basic", "name": "x" * 100_000})
    assert shown.status == 413
    shown = await site.submit_form("/webhooks/access/new", {"events": ["x"] * 300})
    assert shown.status == 400


async def test_static_files_are_kept_by_browsers_for_ever_and_compressed(site: Site) -> None:
    page = await site.get("/sign-in")
    path = re.search(r'href="(/static/[^"]+console\.css)"', page.html)
    assert path is not None
    shown = await site.get(path[1], headers={"Accept-Encoding": "gzip"})
    assert shown.status == 200 and "immutable" in shown.headers["Cache-Control"]
    assert shown.headers["Content-Encoding"] == "gzip" and shown.headers["Content-Type"].startswith("text/css")
    for other in ("/static/console.css", "/static/0000000000/console.css", "/static/../app.py"):
        assert (await site.get(other)).status == 404


async def test_customers_are_named_only_where_there_is_more_than_one(site: Site) -> None:
    await site.sign_in()
    await site.webhook()
    for path in ("/webhooks/settings", "/webhooks/settings/new", "/operations/tokens", "/operations/audit"):
        assert "Customer" not in (await site.get(path)).text
    await site.registry.add_tenant("other", by="test")
    for path in ("/webhooks/settings", "/webhooks/settings/new", "/operations/tokens", "/operations/audit"):
        assert "Customer" in (await site.get(path)).text
