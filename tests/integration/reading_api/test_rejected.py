"""What was rejected: kept within bounds, shown, mended, resubmitted, discarded."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.errors import FieldError
from gateway.model import Role
from gateway.store.rejected import BODY_LIMIT_BYTES, RejectedStore

from .conftest import Api

ERRORS = [FieldError("/call_id", "call_id is required")]
MENDED = b'{"call_id": 7,  "phone": "9725550138"}'


async def kept(api: Api, body: bytes = b'{"phone": "9725550138"}', type: str | None = "Call Created") -> str:
    return await api.rejected.keep(1, type, ERRORS, body)


async def test_what_was_rejected_is_listed_newest_first_with_its_errors_and_its_bytes(api: Api) -> None:
    ids = [await kept(api), await kept(api, b"\xff{")]
    items = await api.items("/rejected")
    assert [item["id"] for item in items] == ids[::-1]
    assert items[0]["body"] == "�{"
    assert {name: items[1][name] for name in ("tenant", "type", "errors", "body")} == {
        "tenant": "default",
        "type": "Call Created",
        "errors": [{"pointer": "/call_id", "detail": "call_id is required"}],
        "body": '{"phone": "9725550138"}',
    }
    first = await api.get("/rejected?limit=1")
    rest = await api.get(f"/rejected?limit=1&cursor={first['next_cursor']}")
    assert ([item["id"] for item in rest["items"]], rest["next_cursor"]) == ([ids[0]], None)


async def test_a_mended_body_is_pushed_as_it_is_and_leaves_the_list(api: Api) -> None:
    rejected_id = await kept(api)
    answer = await api.call("POST", f"/rejected/{rejected_id}/resubmit", raw=MENDED)
    assert answer.status == 202
    assert answer.json["duplicate"] is False
    assert list(api.submitted.values()) == [(1, "call.created", MENDED)]
    assert await api.items("/rejected") == []
    assert (await api.call("GET", f"/rejected/{rejected_id}")).status == 404


async def test_without_a_body_the_same_bytes_are_tried_again(api: Api) -> None:
    rejected_id = await kept(api, MENDED)
    assert (await api.call("POST", f"/rejected/{rejected_id}/resubmit")).status == 202
    assert list(api.submitted.values()) == [(1, "call.created", MENDED)]


async def test_a_body_that_still_does_not_fit_stays_on_the_list(api: Api) -> None:
    rejected_id = await kept(api)
    answer = await api.call("POST", f"/rejected/{rejected_id}/resubmit", raw=b'{"call_id": "7"}')
    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/call_id"
    assert (await api.call("POST", f"/rejected/{rejected_id}/resubmit", raw=b"{")).status == 400
    assert len(await api.items("/rejected")) == 1


async def test_an_unknown_type_is_named_with_the_resubmission_or_in_an_envelope(api: Api) -> None:
    rejected_id = await kept(api, MENDED, type="call.crated")
    answer = await api.call("POST", f"/rejected/{rejected_id}/resubmit")
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "type")
    assert (await api.call("POST", f"/rejected/{rejected_id}/resubmit?type=Call%20Ended")).status == 202
    envelope = await kept(api, b'{"type": "call.saved", "data": %s}' % MENDED, type=None)
    assert (await api.call("POST", f"/rejected/{envelope}/resubmit")).status == 202
    assert [submitted[1:] for submitted in api.submitted.values()] == [("call.ended", MENDED), ("call.saved", MENDED)]


async def test_two_resubmissions_at_once_make_one_event(api: Api) -> None:
    rejected_id = await kept(api, MENDED)
    await asyncio.gather(*(api.call("POST", f"/rejected/{rejected_id}/resubmit") for _ in range(3)))
    assert len(api.submitted) == 1


async def test_a_push_of_no_known_tenant_is_for_the_unbound_who_say_whose_it_is(api: Api) -> None:
    acme = await api.registry.add_tenant("acme", by="test")
    rejected_id = await api.rejected.keep(None, "call.created", ERRORS, MENDED)
    bound = await api.token_for(Role.OPERATOR, acme.id)
    assert await api.items("/rejected", token=bound) == []
    assert (await api.call("POST", f"/rejected/{rejected_id}/resubmit", token=bound)).status == 404
    assert (await api.call("POST", f"/rejected/{rejected_id}/resubmit?tenant=acme")).status == 202
    assert [submitted[0] for submitted in api.submitted.values()] == [acme.id]


async def test_viewers_see_no_phone_number_and_may_not_resubmit_or_discard(api: Api) -> None:
    viewer = await api.token_for(Role.VIEWER)
    ids = [await kept(api), await kept(api, b'{"phone": "9725550138"')]
    assert "9725550138" not in (await api.call("GET", "/rejected", token=viewer)).text
    assert "9725550138" in (await api.call("GET", "/rejected")).text
    assert (await api.call("POST", f"/rejected/{ids[0]}/resubmit", token=viewer)).status == 403
    assert (await api.call("DELETE", f"/rejected/{ids[0]}", token=viewer)).status == 403


async def test_discarding_and_resubmitting_are_audited(api: Api) -> None:
    first, second = await kept(api), await kept(api, MENDED)
    assert (await api.call("DELETE", f"/rejected/{first}")).status == 204
    await api.call("POST", f"/rejected/{second}/resubmit")
    rows: list[Any] = await api.pool.fetch("SELECT action, resource::text FROM audit WHERE action LIKE 'rejected%'")
    assert {(row["action"], row["resource"]) for row in rows} == {
        ("rejected.discard", first),
        ("rejected.resubmit", second),
    }


async def test_only_the_newest_are_kept_within_the_limits_of_each_tenant(api: Api) -> None:
    other = await api.registry.add_tenant("acme", by="test")
    store = RejectedStore(api.database, ids=api.ids, rows_limit=3, bytes_limit=1000, trim_every=1)
    theirs = await store.keep(other.id, None, ERRORS, b"theirs")
    ids = [await store.keep(1, None, ERRORS, b"ours") for _ in range(5)]
    assert [item["id"] for item in await api.items("/rejected?tenant=default")] == ids[:1:-1]
    large = [await store.keep(1, None, ERRORS, bytes(600)) for _ in range(2)]
    assert [item["id"] for item in await api.items("/rejected?tenant=default")] == large[1:]
    assert [item["id"] for item in await api.items("/rejected?tenant=acme")] == [theirs]


async def test_nothing_that_can_be_pushed_fails_to_be_kept(api: Api) -> None:
    errors = [FieldError("/a\0b", "no \0 here")]
    rejected_id = await api.rejected.keep(1, "call\0." + "x" * 500, errors, b"\0" * (BODY_LIMIT_BYTES + 1))
    row = await api.pool.fetchrow("SELECT octet_length(body) AS bytes, type FROM rejected WHERE id = $1", rejected_id)
    assert row is not None
    assert (row["bytes"], len(row["type"])) == (BODY_LIMIT_BYTES, 200)
