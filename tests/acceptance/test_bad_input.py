"""Whatever is pushed: a 4xx that says what, where and what to do, and what is good beside it is delivered."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
import pytest_asyncio
from aiohttp import ClientError, ClientSession

from gateway.catalog import BY_NAME
from tests.acceptance.capture import Answer, CaptureTarget, Door, call
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway, add_webhook

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLE = BY_NAME["call.created"].sample
PATH = "/t/beside"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def target() -> AsyncIterator[CaptureTarget]:
    async with CaptureTarget() as target:
        yield target


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(new_data_dir: NewDataDir, target: CaptureTarget) -> AsyncIterator[Gateway]:
    async with Gateway(new_data_dir(), egress_ports=[target.port]) as gateway:
        await add_webhook(gateway, target.url(PATH))
        yield gateway


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def door(gateway: Gateway) -> AsyncIterator[Door]:
    async with Door(gateway) as door:
        yield door


def envelope(data: bytes) -> bytes:
    return b'{"type": "call.created", "data": ' + data + b"}"


def assert_problem(answer: Answer, status: int, type: str, *, at: str | None = None) -> dict[str, Any]:
    """RFC 9457: its type, a sentence, and where it has a place that one."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem: dict[str, Any] = answer.json
    assert problem["type"].endswith(f"/{type}") and problem["status"] == status and problem["detail"]
    if at is not None:
        assert at in [error["pointer"] for error in problem["errors"]], problem
    return problem


NOT_JSON = {
    "nothing": b"",
    "a word": b"hello",
    "cut short": SAMPLE[:-20],
    "more behind it": SAMPLE + b"x",
    "NaN": b'{"call_id": 1, "revenue": NaN}',
    "Infinity": b'{"call_id": 1, "revenue": -Infinity}',
    "invalid UTF-8": b'{"call_id": 1, "call_type": "\xff\xfe"}',
    "an overlong form": b'{"call_id": 1, "call_type": "\xc0\xaf"}',
    "an encoded surrogate": b'{"call_id": 1, "call_type": "\xed\xa0\x80"}',
    "a lone surrogate": b'{"call_id": 1, "call_type": "\\ud800"}',
    "a raw NUL": b'{"call_id": 1, "call_type": "\x00"}',
    "a byte order mark": b"\xef\xbb\xbf" + SAMPLE,
    "UTF-16": SAMPLE.decode().encode("utf-16"),
    "a comment": b'{"call_id": 1 /* one */}',
    "depth 10,000": b'{"call_id": 1, "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "depth 10,000 of objects": b'{"x": ' * 10_000 + b"1" + b"}" * 10_000,
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_not_json_is_refused_through_both_doors(door: Door, body: bytes) -> None:
    assert_problem(await door.post("/v1/events/call.created", body), 400, "bad-json")
    assert_problem(await door.post("/v1/events", envelope(body)), 400, "bad-json")


UNFIT = {
    "an array": (b"[1]", ""),
    "a number": (b"1", ""),
    "null": (b"null", ""),
    "a doubled member": (b'{"call_id": 1, "call_id": 2}', "/call_id"),
    "a member doubled by an escape": (b'{"call_id": 1, "call\\u005fid": 2}', "/call_id"),
    "a member doubled inside": (b'{"call_id": 1, "x": {"a": 1, "a": 1}}', "/a"),
    "an escaped NUL": (b'{"call_id": 1, "call_type": "a\\u0000b"}', "/call_type"),
    "depth 65": (b'{"call_id": 1, "x": ' + b"[" * 65 + b"]" * 65 + b"}", None),
    "no call_id": (b'{"lead_id": 1}', "/call_id"),
    "a call_id in words": (b'{"call_id": "one"}', "/call_id"),
    "a call_id of 400 digits": (b'{"call_id": ' + b"9" * 400 + b"}", None),
}


@pytest.mark.parametrize(("body", "at"), UNFIT.values(), ids=UNFIT)
async def test_json_that_does_not_fit_is_refused_and_kept(
    gateway: Gateway, door: Door, body: bytes, at: str | None
) -> None:
    before = await _rejected(gateway)
    raw = await door.post("/v1/events/call.created", body)
    wrapped = await door.post("/v1/events", envelope(body))
    if raw.status == 400:  # a number that no decoder takes
        assert at is None
        assert_problem(wrapped, 400, "bad-json")
        return
    assert_problem(raw, 422, "validation", at=at)
    assert_problem(wrapped, 422, "validation", at=None if at is None else f"/data{at}")
    kept = await _rejected(gateway)
    assert kept - before and len(kept - before) == 2


ENVELOPES = {
    "no type": (b'{"data": {}}', "validation"),
    "no data": (b'{"type": "call.created"}', "validation"),
    "data twice": (b'{"type": "call.created", "data": {"call_id": 1}, "data": {"call_id": 2}}', "validation"),
    "type twice": (b'{"type": "call.created", "type": "call.ended", "data": {"call_id": 1}}', "validation"),
    "an unknown type": (b'{"type": "call.exploded", "data": {"call_id": 1}}', "validation"),
    "an unknown tenant": (b'{"type": "call.created", "tenant": "nobody", "data": {"call_id": 1}}', "validation"),
    "an empty id": (b'{"type": "call.created", "id": "", "data": {"call_id": 1}}', "validation"),
    "an id with a line break": (b'{"type": "call.created", "id": "a\\nb", "data": {"call_id": 1}}', "validation"),
    "an id of 256": (b'{"type": "call.created", "id": "' + b"k" * 256 + b'", "data": {"call_id": 1}}', "validation"),
    "no time": (b'{"type": "call.created", "occurred_at": "noon", "data": {"call_id": 1}}', "validation"),
    "an array": (b"[]", "validation"),
}


@pytest.mark.parametrize(("body", "type"), ENVELOPES.values(), ids=ENVELOPES)
async def test_an_envelope_that_does_not_fit_is_refused(door: Door, body: bytes, type: str) -> None:
    assert_problem(await door.post("/v1/events", body), 422, type)


@pytest.mark.parametrize("member", ["type", "data"])
async def test_a_missing_member_of_an_envelope_is_named_by_its_pointer(door: Door, member: str) -> None:
    envelope = {"type": "call.created", "data": {"call_id": 1}}
    del envelope[member]
    assert_problem(await door.post("/v1/events", json.dumps(envelope).encode()), 422, "validation", at=f"/{member}")


async def test_numbers_and_text_that_are_strange_but_valid_arrive_as_they_were_spelled(
    door: Door, target: CaptureTarget
) -> None:
    body = (
        b'{"call_id": 77, "big": ' + b"1" * 19 + b', "float": 1.000e+2, "tiny": 1e-400, "minus": -0,'
        b'\t"text": "\\u00e9\xc3\xa9\\ud83d\\ude00\xf0\x9f\x98\x80\\/", "": null,\r\n "nested": {"a": [[], {}]} }  '
    )
    event_id = await door.accepted(body)
    (request,) = [each for each in await _beside(target, event_id) if each.event_id == event_id]
    assert request.body == body.strip()


@pytest.mark.parametrize(
    ("at", "body"),
    [
        ("an integer of 400 digits", b'{"call_id": 78, "x": ' + b"7" * 400 + b"}"),
        ("a float beyond all floats", b'{"call_id": 78, "x": 1e999}'),
    ],
)
async def test_a_number_beyond_all_floats_is_refused_or_arrives_as_it_was_spelled(
    door: Door, target: CaptureTarget, at: str, body: bytes
) -> None:
    answer = await door.push(body)
    if answer.status == 202:
        (request,) = [each for each in await _beside(target, answer.json["id"]) if each.event_id == answer.json["id"]]
        assert request.body == body
    else:
        assert_problem(answer, 400, "bad-json")


async def test_an_unknown_type_in_the_path_says_which_are_known(door: Door) -> None:
    problem = assert_problem(await door.post("/v1/events/call.exploded", SAMPLE), 422, "validation", at="/type")
    assert "call.created" in problem["detail"]


async def test_a_path_below_a_type_is_no_type_however_its_slash_is_spelled(door: Door) -> None:
    assert_problem(await door.post("/v1/events/other%2Fcall.created", SAMPLE), 422, "validation", at="/type")
    assert (await door.post("/v1/events/other/call.created", SAMPLE)).status == 404


async def test_a_type_may_be_spelled_as_people_say_it(door: Door) -> None:
    assert (await door.post("/v1/events/Call%20Created", SAMPLE)).status == 202
    assert (await door.push(SAMPLE, type="call.created")).status == 202


TIMES = ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]


@pytest.mark.parametrize("time", TIMES)
async def test_a_time_that_no_database_holds_is_refused_without_harm_to_the_events_beside_it(
    door: Door, time: str
) -> None:
    answers = await asyncio.gather(
        door.push(call(1)), door.push(call(2), occurred_at=time), door.push(call(3)), door.push(call(4))
    )
    assert [answer.status for answer in answers] == [202, 422, 202, 202]
    assert_problem(answers[1], 422, "validation", at="/occurred_at")


# --- who may push ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer gw_wrong", "Basic YTpi", "Bearer a b", "Bearer \xff", "Bearer " + "x" * 5000],
)
async def test_a_missing_or_wrong_token_is_401_with_a_challenge(gateway: Gateway, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    url = f"{gateway.url}/v1/events"
    async with ClientSession() as session, session.post(url, data=envelope(SAMPLE), headers=headers) as response:
        assert response.status == 401 and response.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await response.json(content_type="application/problem+json"))["detail"]


async def _token(gateway: Gateway, **members: Any) -> str:
    made = await gateway.api("POST", "/tokens", {"name": "t", **members})
    return str(made["token"])


async def test_an_expired_token_is_401_and_says_so(gateway: Gateway) -> None:
    expires = datetime.now(UTC) + timedelta(seconds=1)
    token = await _token(gateway, role="ingest", expires_at=expires.isoformat())
    async with Door(gateway, token) as door:
        while (answer := await door.push()).status == 202:
            await asyncio.sleep(0.1)
    assert "expired" in assert_problem(answer, 401, "unauthorized")["detail"]


async def test_a_viewer_may_not_push(gateway: Gateway) -> None:
    async with Door(gateway, await _token(gateway, role="viewer")) as door:
        assert "viewer" in assert_problem(await door.push(), 403, "forbidden")["detail"]


async def test_a_token_of_one_tenant_pushes_for_no_other(gateway: Gateway, target: CaptureTarget) -> None:
    await gateway.api("POST", "/tenants", {"name": "acme"})
    async with Door(gateway, await _token(gateway, role="ingest", tenant="acme")) as door:
        assert_problem(await door.push(tenant="default"), 403, "forbidden")
        assert_problem(await door.post("/v1/events/call.created", SAMPLE, {"X-Tenant": "default"}), 403, "forbidden")
        event_id = await door.accepted()
    async with Door(gateway) as other:
        await _beside(target, await other.accepted())
    assert event_id not in target.ids(PATH)


# --- keys ------------------------------------------------------------------------------------------------------


async def test_a_key_used_again_is_the_first_answer_or_a_422_for_other_bytes(door: Door) -> None:
    first = await door.push(call(5), id="reuse-1")
    again = await door.push(call(5), id="reuse-1")
    assert again.json == {"id": first.json["id"], "duplicate": True} and again.status == 202
    assert_problem(await door.push(call(6), id="reuse-1"), 422, "idempotency-key-reused")
    other_type = await door.post("/v1/events/call.ended", call(5), {"Idempotency-Key": "reuse-1"})
    assert_problem(other_type, 422, "idempotency-key-reused")


async def test_a_key_pushed_many_times_at_the_same_time_is_one_event(door: Door, target: CaptureTarget) -> None:
    answers = await asyncio.gather(*(door.push(call(9), id="at-once") for _ in range(20)))
    assert {answer.status for answer in answers} == {202}
    assert sorted(answer.json["duplicate"] for answer in answers) == [False] + [True] * 19
    (event_id,) = {answer.json["id"] for answer in answers}
    await _beside(target, await door.accepted())
    assert target.ids(PATH).count(event_id) == 1


async def test_a_key_in_the_header_and_another_in_the_envelope_are_refused(door: Door) -> None:
    body = b'{"type": "call.created", "id": "a", "data": {"call_id": 1}}'
    assert_problem(await door.post("/v1/events", body, {"Idempotency-Key": "b"}), 422, "validation", at="/id")


@pytest.mark.parametrize("key", ["\xa0", "a" * 256])
async def test_a_key_that_cannot_be_shown_is_refused(door: Door, key: str) -> None:
    assert_problem(await door.post("/v1/events/call.created", call(1), {"Idempotency-Key": key}), 422, "validation")


# --- batches ---------------------------------------------------------------------------------------------------


async def test_of_a_batch_the_good_are_accepted_in_order_and_each_bad_one_says_why(
    door: Door, target: CaptureTarget
) -> None:
    items = [
        envelope(call(100, n=1)),
        b'{"type": "call.exploded", "data": {}}',
        b"7",
        envelope(b'{"call_id": 100, "call_id": 101}'),
        envelope(call(100, n=2)),
        b'{"type": "call.created", "id": "at-once", "data": {"call_id": 1}}',
        envelope(call(100, x="y" * 1_100_000)),
        envelope(call(100, n=3)),
    ]
    answer = await door.post("/v1/events/batch", b"[" + b",".join(items) + b"]")
    assert answer.status == 202, answer.body
    results = answer.json["results"]
    errors = [result.get("error", {}).get("status") for result in results]
    assert errors == [None, 422, 422, 422, None, 422, 413, None]
    ids = [results[place]["id"] for place in (0, 4, 7)]
    await _beside(target, ids[-1])
    assert [event_id for event_id in target.ids(PATH) if event_id in ids] == ids == sorted(ids)


async def test_ndjson_with_a_bad_line_accepts_the_others(door: Door, target: CaptureTarget) -> None:
    lines = [envelope(call(200)), b"{bad", b"", envelope(call(201))]
    answer = await door.post("/v1/events/batch", b"\n".join(lines), {"Content-Type": "application/x-ndjson"})
    assert answer.status == 202
    first, bad, last = answer.json["results"]
    assert bad["error"]["status"] == 400 and bad["error"]["detail"]
    await _beside(target, last["id"])
    assert first["id"] in target.ids(PATH)


async def test_an_empty_batch_a_broken_one_and_one_of_1001_are_refused_whole(door: Door) -> None:
    assert_problem(await door.post("/v1/events/batch", b"[]"), 422, "validation")
    assert_problem(await door.post("/v1/events/batch", b""), 422, "validation")
    assert_problem(await door.post("/v1/events/batch", b"[{}"), 400, "bad-json")
    many = b"[" + b",".join([envelope(call(1))] * 1001) + b"]"
    assert_problem(await door.post("/v1/events/batch", many), 413, "too-large")


async def test_a_batch_of_1000_is_accepted(door: Door) -> None:
    answer = await door.post("/v1/events/batch", b"[" + b",".join([envelope(call(1))] * 1000) + b"]")
    assert answer.status == 202 and len({result["id"] for result in answer.json["results"]}) == 1000


# --- bodies and connections ------------------------------------------------------------------------------------


async def test_a_compressed_body_is_refused(door: Door) -> None:
    packed = gzip.compress(envelope(SAMPLE))
    assert_problem(await door.post("/v1/events", packed, {"Content-Encoding": "gzip"}), 415, "unsupported-encoding")


async def test_an_event_over_a_megabyte_is_413(door: Door) -> None:
    big = call(1, x="y" * (1024 * 1024))
    for path in ("/v1/events", "/v1/events/call.created"):
        assert_problem(await door.post(path, envelope(big)), 413, "too-large")


async def test_100_megabytes_are_refused_without_taking_them_in(gateway: Gateway, door: Door) -> None:
    before = _rss(gateway)
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_600):
            sent += 65_536
            yield b"x" * 65_536

    for headers in ({"Content-Length": str(100 * 1024 * 1024)}, {}):
        try:
            assert_problem(await door.post("/v1/events", flood(), headers), 413, "too-large")
        except ClientError:
            pass  # it closed the connection while this still wrote: just as well
    assert _rss(gateway) - before < 32 * 1024 * 1024
    assert await gateway.ready()


async def test_bodies_that_stop_or_trickle_and_heads_that_never_end_are_cut_off(
    gateway: Gateway, door: Door, target: CaptureTarget
) -> None:
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    ).encode()
    half, slow, silent, cut = await asyncio.gather(
        _held(gateway, head + b'{"type": '),
        _held(gateway, head, trickle=b" "),
        _held(gateway, b""),
        _held(gateway, head[:40]),
    )
    assert b" 408 " in half.partition(b"\r\n")[0] and b"problem+json" in half
    assert b" 408 " in slow.partition(b"\r\n")[0]
    assert silent == cut == b""
    await _beside(target, await door.accepted())


async def test_a_body_that_ends_early_leaves_nothing_behind(
    gateway: Gateway, door: Door, target: CaptureTarget
) -> None:
    body = envelope(call(666))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.token}\r\n"
        f"Content-Length: {len(body) + 1}\r\n\r\n".encode()
        + body
    )
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 15)
    writer.transport.abort()
    assert b" 202 " not in answer
    await _beside(target, await door.accepted())
    assert not [request for request in target.at(PATH) if b"666" in request.body]


@pytest.mark.parametrize("path", ["/v1/events", "/api/v1/webhooks", "/metrics", "/nowhere"])
@pytest.mark.parametrize("expected", ["tea", "t\xe9\xe8"])
async def test_an_expectation_that_nobody_knows_is_417(gateway: Gateway, path: str, expected: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: {expected}\r\n\r\n"
    writer.write(head.encode("latin-1"))
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 417 ") and b"application/problem+json" in answer
    assert expected.encode("latin-1") not in answer


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=[
        "TLS",
        "no version",
        "negative length",
        "two framings",
        "two lengths",
        "bad chunk",
        "long header",
        "long path",
    ],
)
async def test_what_is_not_http_gets_a_4xx_or_a_closed_connection(gateway: Gateway, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head)
    writer.write_eof()
    line = (await asyncio.wait_for(reader.read(), 15)).partition(b"\r\n")[0]
    writer.transport.abort()
    assert line == b"" or line.split()[1][:1] == b"4", line


async def test_after_all_of_it_the_process_has_not_grown_and_has_no_fault_in_its_log(
    gateway: Gateway, door: Door
) -> None:
    deep, long = NOT_JSON["depth 10,000"], call(1, x="y" * 900_000)
    await asyncio.gather(*(door.post("/v1/events", envelope(each)) for each in (deep, long, b"[") * 3))
    before = _rss(gateway)
    for _ in range(10):
        await asyncio.gather(*(door.post("/v1/events", envelope(each)) for each in (deep, long, b"[") * 4))
    assert _rss(gateway) - before < 24 * 1024 * 1024
    lines = [line for line in gateway.log.read_text().splitlines() if line.startswith("{")]
    faults = [line for line in lines if json.loads(line)["level"] in ("error", "critical")]
    assert lines and faults == []


# --- inside ----------------------------------------------------------------------------------------------------


async def _beside(target: CaptureTarget, event_id: str) -> list[Any]:
    """Waits until an event has been delivered; what has come by then."""
    async with asyncio.timeout(15):
        while event_id not in target.ids(PATH):
            await target.arrived(PATH, len(target.at(PATH)) + 1)
    return target.at(PATH)


async def _rejected(gateway: Gateway) -> set[str]:
    return {item["id"] for item in (await gateway.api("GET", "/rejected?limit=500"))["items"]}


async def _held(gateway: Gateway, first: bytes, *, trickle: bytes = b"") -> bytes:
    """Hold a connection open until the gateway answers or ends it; what it said by then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(first)
    answer = asyncio.create_task(reader.read(4096))
    try:
        async with asyncio.timeout(30):
            while not answer.done():
                writer.write(trickle)
                await asyncio.wait({answer}, timeout=0.5)
        return answer.result()
    except ConnectionError:
        return b""
    finally:
        answer.cancel()
        writer.transport.abort()


def _rss(gateway: Gateway) -> int:
    return int(psutil.Process(gateway.pid).memory_info().rss)
