"""Access Setup: secrets go in and never come out."""

from __future__ import annotations

from gateway.model import AccessType, KeyLocation, Role
from tests.integration.console.site import Site

BASIC = {
    "type": "basic",
    "key_name": "Authorization",
    "name": "crm",
    "client_id": "hcc",
    "client_secret": " s3cr3t! ",
}
KEY = {"type": "api_key", "key_name": "x-api-key", "name": "warehouse", "api_key": "k3y-value", "location": "body"}
NEW = "/webhooks/access/new"


async def test_an_empty_list_says_what_an_access_is_and_how_to_add_one(site: Site) -> None:
    await site.sign_in()
    shown = await site.get("/webhooks/access")
    assert "No access yet" in shown.text and 'href="/webhooks/access/new"' in shown.html
    assert f"{site.origin}/api/v1/access" in shown.text


async def test_each_type_asks_for_its_own_fields(site: Site) -> None:
    await site.sign_in()
    basic, key = await site.get(NEW), await site.get(NEW + "?type=api_key&name=crm")
    assert "Client Secret" in basic.text and "API Key Authentication" in basic.text
    assert 'name="client_secret"' in basic.html and 'name="api_key"' not in basic.html
    assert 'name="api_key"' in key.html and 'name="location"' in key.html and 'name="client_id"' not in key.html
    assert 'value="crm"' in key.html


async def test_a_basic_access_is_added_with_its_secret_as_it_was_typed(site: Site) -> None:
    await site.sign_in()
    assert (await site.submit_form(NEW, BASIC)).location == "/webhooks/access"
    (access,) = site.registry.accesses()
    assert (access.type, access.name, access.key_name) == (AccessType.BASIC, "crm", "Authorization")
    assert (access.client_id, access.client_secret) == ("hcc", " s3cr3t! ")
    assert "The access “crm” is ready" in (await site.get("/webhooks/access")).text


async def test_an_api_key_may_travel_in_the_body(site: Site) -> None:
    await site.sign_in()
    await site.submit_form(NEW, KEY)
    (access,) = site.registry.accesses()
    assert (access.api_key, access.location) == ("k3y-value", KeyLocation.BODY)


async def test_no_page_shows_a_secret(site: Site) -> None:
    await site.sign_in()
    await site.submit_form(NEW, BASIC)
    await site.submit_form(NEW, KEY)
    pages = [await site.get("/webhooks/access"), await site.get("/operations/audit")]
    for access in site.registry.accesses():
        path = f"/webhooks/access/{access.id}"
        pages += [await site.get(path), await site.submit_form(path, {**BASIC, **KEY, "key_name": "bad name"})]
    assert not [page for page in pages if "s3cr3t" in page.html or "k3y-value" in page.html]


async def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(site: Site) -> None:
    await site.sign_in()
    shown = await site.submit_form(NEW, {**BASIC, "key_name": "not a header", "client_id": ""})
    assert shown.status == 422 and site.registry.accesses() == []
    assert 'value="not a header"' in shown.html and 'value="crm"' in shown.html
    assert "Not a header name" in shown.text
    shown = await site.submit_form(NEW, {**BASIC, "client_id": ""})
    assert "needs one." in shown.text and 'aria-invalid="true"' in shown.html


async def test_a_name_that_is_taken_is_refused_at_its_field(site: Site) -> None:
    await site.sign_in()
    await site.submit_form(NEW, BASIC)
    shown = await site.submit_form(NEW, {**KEY, "name": "crm"})
    assert shown.status == 422 and "There is already an access called “crm”." in shown.text


async def test_a_secret_left_blank_stays_and_one_that_is_entered_replaces_it(site: Site) -> None:
    await site.sign_in()
    await site.submit_form(NEW, BASIC)
    (access,) = site.registry.accesses()
    await site.submit_form(f"/webhooks/access/{access.id}", {**BASIC, "name": "crm 2", "client_secret": ""})
    (access,) = site.registry.accesses()
    assert (access.name, access.client_secret) == ("crm 2", " s3cr3t! ")
    await site.submit_form(f"/webhooks/access/{access.id}", {**BASIC, "client_secret": "new"})
    (access,) = site.registry.accesses()
    assert access.client_secret == "new"


async def test_an_access_in_use_is_not_deleted_and_its_page_names_the_webhooks(site: Site) -> None:
    await site.sign_in()
    await site.submit_form(NEW, BASIC)
    (access,) = site.registry.accesses()
    webhook = await site.webhook(name="to <crm>", access=access)
    shown = await site.get(f"/webhooks/access/{access.id}")
    assert f"/webhooks/settings/{webhook.id}" in shown.html and "to &lt;crm&gt;" in shown.html
    assert (await site.submit_form(f"/webhooks/access/{access.id}/delete")).status == 422
    await site.registry.remove_webhook(webhook.id, by="test")
    assert (await site.submit_form(f"/webhooks/access/{access.id}/delete")).status == 303
    assert site.registry.accesses() == []


async def test_a_viewer_sees_accesses_and_changes_none(site: Site) -> None:
    await site.sign_in()
    await site.submit_form(NEW, BASIC)
    (access,) = site.registry.accesses()
    await site.sign_in(Role.VIEWER)
    shown = await site.get("/webhooks/access")
    assert shown.status == 200 and "Add New Access" not in shown.text
    one = await site.get(f"/webhooks/access/{access.id}")
    assert one.status == 200 and "<input" not in one.html.partition("<main")[2]
    for path in (NEW, f"/webhooks/access/{access.id}", f"/webhooks/access/{access.id}/delete"):
        assert (await site.submit_form(path, BASIC)).status == 403


async def test_a_customers_operator_sees_and_adds_only_their_own(site: Site) -> None:
    await site.sign_in()
    await site.submit_form(NEW, BASIC)
    other = await site.registry.add_tenant("other", by="test")
    (access,) = site.registry.accesses()
    await site.sign_in(Role.OPERATOR, tenant_id=other.id)
    assert "No access yet" in (await site.get("/webhooks/access")).text
    assert (await site.get(f"/webhooks/access/{access.id}")).status == 404
    await site.submit_form(NEW, KEY)
    assert [each.name for each in site.registry.accesses(other.id)] == ["warehouse"]
