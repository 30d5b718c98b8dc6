"""Who gets in, how long they stay, and what a form must bring along."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.model import Role
from tests.integration.console.site import Site


async def test_without_a_session_every_page_leads_to_the_sign_in_and_back(site: Site) -> None:
    shown = await site.get("/operations/ports?tenant=a")
    assert shown.status == 303
    assert shown.location == "/sign-in?next=/operations/ports%3Ftenant%3Da"
    page = await site.get(shown.location)
    assert 'name="next" value="/operations/ports?tenant=a"' in page.html


async def test_a_token_signs_in_and_its_session_opens_the_pages(site: Site) -> None:
    shown = await site.send("/sign-in", {"token": site.admin_token, "next": "/webhooks/access"})
    assert (shown.status, shown.location) == (303, "/webhooks/access")
    assert (await site.get("/")).status == 200


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site) -> None:
    cookie = (await site.sign_in_with(site.admin_token)).headers["Set-Cookie"]
    assert cookie.startswith("gateway-session=")
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and "Domain" not in cookie


async def test_over_tls_the_cookie_has_the_host_prefix_and_is_secure(site: Site) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    cookie = (await site.send("/sign-in", {"token": site.admin_token}, headers=headers)).headers["Set-Cookie"]
    assert cookie.startswith("__Host-gateway=")
    assert "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie


@pytest.mark.parametrize("token", ["", "gw_aaaaaaaa_" + "x" * 43, "<b>x</b>"])
async def test_a_token_that_is_not_known_is_refused_and_never_repeated(site: Site, token: str) -> None:
    shown = await site.sign_in_with(token)
    assert shown.status == 422 and "not known here" in shown.text
    assert "Set-Cookie" not in shown.headers
    assert not token or token not in shown.html


async def test_a_token_that_only_pushes_does_not_get_in(site: Site) -> None:
    shown = await site.sign_in(Role.INGEST)
    assert shown.status == 422 and "push events and nothing else" in shown.text


async def test_revoking_the_token_ends_its_session(site: Site) -> None:
    await site.sign_in(Role.VIEWER)
    (token,) = (each for each in site.registry.tokens() if each.role is Role.VIEWER)
    await site.registry.remove_token(token.id, by="test")
    assert (await site.get("/")).status == 303


async def test_an_expired_token_ends_its_session(site: Site) -> None:
    token = await site.token_for(Role.VIEWER, expires_at=datetime.now(UTC) + timedelta(seconds=60))
    await site.sign_in_with(token)
    assert (await site.get("/")).status == 200
    await site.pool.execute("UPDATE tokens SET expires_at = now() - interval '1 second' WHERE expires_at IS NOT NULL")
    await site.registry.load()
    assert (await site.get("/")).status == 303


async def test_signing_in_anew_gives_another_session_and_ends_the_one_before(site: Site) -> None:
    first = (await site.sign_in_with(site.admin_token)).headers["Set-Cookie"].partition(";")[0]
    second = (await site.sign_in_with(site.admin_token)).headers["Set-Cookie"].partition(";")[0]
    assert first != second
    site.client.session.cookie_jar.clear()
    assert (await site.get("/", headers={"Cookie": first})).status == 303
    assert (await site.get("/", headers={"Cookie": second})).status == 200


async def test_signing_out_ends_the_session(site: Site) -> None:
    cookie = (await site.sign_in_with(site.admin_token)).headers["Set-Cookie"].partition(";")[0]
    assert (await site.submit_form("/sign-out")).location == "/sign-in"
    assert (await site.get("/", headers={"Cookie": cookie})).status == 303


async def test_a_code_signs_in_once(site: Site) -> None:
    path = site.console.sign_in_path(site.admin_token)
    assert (await site.get(path)).location == "/"
    assert (await site.get("/")).status == 200
    again = await site.get(path)
    assert again.status == 422 and "used before" in again.text


async def test_a_fresh_link_signs_in_as_the_token_that_asked_for_it_and_once(site: Site) -> None:
    token = await site.token_for(Role.VIEWER)
    made = await site.client.post("/api/v1/sign-in-links", headers={"Authorization": f"Bearer {token}"})
    link = await made.json()
    assert made.status == 201 and made.headers["Cache-Control"] == "no-store" and token not in link["url"]
    path = link["url"].removeprefix(str(site.client.make_url("/")).rstrip("/"))
    assert (await site.get(path)).location == "/"
    assert "viewer" in (await site.get("/")).text and (await site.get("/operations/tokens")).status == 403
    assert (await site.get(path)).status == 422


async def test_a_token_that_may_only_push_gets_no_link(site: Site) -> None:
    token = await site.token_for(Role.INGEST)
    refused = await site.client.post("/api/v1/sign-in-links", headers={"Authorization": f"Bearer {token}"})
    assert refused.status == 403
    assert (await site.client.post("/api/v1/sign-in-links")).status == 401


async def test_a_code_that_is_fetched_ahead_or_linked_from_elsewhere_waits_for_a_click(site: Site) -> None:
    path = site.console.sign_in_path(site.admin_token)
    for header in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Purpose": "prefetch"}):
        shown = await site.get(path, headers=header)
        assert shown.status == 200 and "signs you in once" in shown.text
    code = path.partition("code=")[2]
    assert (await site.send("/sign-in", {"code": code})).status == 303


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "/\r\nSet-Cookie: x", ""]
)
async def test_nobody_is_sent_elsewhere_after_signing_in(site: Site, path: str) -> None:
    shown = await site.send("/sign-in", {"token": site.admin_token, "next": path})
    assert shown.location in ("/", "/sign-in") and shown.location == "/"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_form_from_another_site_is_refused(site: Site, origin: str) -> None:
    await site.sign_in()
    csrf = await site.csrf()
    shown = await site.send("/sign-out", {"csrf": csrf}, headers={"Origin": origin})
    assert shown.status == 403
    assert (await site.send("/sign-in", {"token": site.admin_token}, headers={"Origin": origin})).status == 403


async def test_a_form_without_the_sessions_secret_is_refused(site: Site) -> None:
    await site.sign_in()
    first = await site.csrf()
    await site.sign_in()
    for csrf in ("", "wrong", first):
        shown = await site.send("/sign-out", {"csrf": csrf})
        assert shown.status == 403 and "reload it" in shown.text
    assert (await site.get("/")).status == 200


async def test_a_part_of_a_page_asked_for_without_a_session_sends_the_whole_page_to_the_sign_in(site: Site) -> None:
    shown = await site.get("/", part=True)
    assert shown.status == 401 and shown.headers["HX-Redirect"] == "/sign-in"
