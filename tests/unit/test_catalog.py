"""The event types, and what the check lets through."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import BY_NAME, EVENT_TYPES, MAX_DEPTH, check, resolve
from gateway.errors import Problem

SAMPLES = Path(__file__).parents[2] / "gateway" / "samples"
NAMES = [each.name for each in EVENT_TYPES]


def refused(payload: bytes, type: str = "call.saved", **more: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        check(type, payload, **more)
    return caught.value


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_the_published_file_and_passes_its_own_check_and_schema(name: str) -> None:
    event_type = BY_NAME[name]
    assert event_type.sample == (SAMPLES / f"{name}.json").read_bytes()
    assert (check(name, event_type.sample).account_id is None) is event_type.operational
    jsonschema_rs.validate(dict(event_type.schema), json.loads(event_type.sample))


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_sample_is_described_and_no_other(name: str) -> None:
    event_type = BY_NAME[name]
    assert [field.name for field in event_type.fields] == list(json.loads(event_type.sample))
    assert all(len(field.description) > 10 for field in event_type.fields)


def test_the_descriptions_that_people_ask_about_are_precise() -> None:
    described = {field.name: field.description for field in BY_NAME["call.ended"].fields}
    assert "Database ID of the call" in described["call_id"]
    assert "no zone" in described["call_date"]
    assert "final in Saved" in described["billable_seconds"]
    assert "Provisional" in BY_NAME["call.ended"].when


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("call.created", "call.created"),
        ("Call Created", "call.created"),
        ("CALL ENDED", "call.ended"),
        ("regulation f declined", "reg_f.declined"),
        ("call.deleted", None),
        ("", None),
    ],
)
def test_a_type_is_known_by_its_name_and_by_its_title(spelling: str, name: str | None) -> None:
    assert resolve(spelling) == name


def test_the_call_id_orders_a_call_and_a_declined_lead_has_none() -> None:
    assert check("call.saved", b'{"call_id": 7, "account_id": "007"}').call_key == "7"
    assert check("call.saved", b'{"call_id": 9223372036854775807}').call_key == "9223372036854775807"
    declined = check("reg_f.declined", b'{"lead_phone": "9725550148", "reason": "RF", "call_id": 7}')
    assert (declined.call_key, declined.account_id) == (None, None)


@pytest.mark.parametrize("value", ["-1", "9223372036854775808", "1.0", "1e3", "true", "null", '"7"', "[7]"])
def test_a_call_id_that_is_not_a_whole_number_in_range_is_refused(value: str) -> None:
    problem = refused(b'{"call_id":%s}' % value.encode())
    assert (problem.status, problem.type) == (422, "validation")
    assert [error.pointer for error in problem.errors] == ["/call_id"]


def test_every_wrong_member_is_named_by_its_pointer_without_quoting_text() -> None:
    problem = refused(b'{"lead_id": "9725550138", "phone": 9, "is_abandoned": "no", "extra": {}}', at="/data")
    pointers = [error.pointer for error in problem.errors]
    assert pointers == ["/data/call_id", "/data/lead_id", "/data/phone", "/data/is_abandoned"]
    assert "9725550138" not in str([error.detail for error in problem.errors])


def test_a_member_that_may_be_missing_may_be_null_and_an_unknown_one_anything() -> None:
    payload = {field.name: None for field in BY_NAME["call.saved"].fields} | {"call_id": 1, "new": [{"deep": [1.5]}]}
    assert check("call.saved", orjson.dumps(payload)).call_key == "1"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b'{"call_id":01}',
        b'{"call_id":1,"x":NaN}',
        b'{"call_id":1,"x":Infinity}',
        b'{"call_id":1,"x":1e999}',
        b'{"call_id":1,"x":' + b"9" * 5000 + b"}",
        b'{"call_id":1,"x":"\xff"}',
        b'{"call_id":1,"x":"\\ud800"}',
        b'{"call_id":1,"x":"\x00"}',
        b'{"call_id":1}{}',
        b"\xef\xbb\xbf{}",
        b"[" * 2000 + b"]" * 2000,
    ],
)
def test_what_is_not_strict_json_is_a_400_that_says_where(payload: bytes) -> None:
    problem = refused(payload)
    assert (problem.status, problem.type) == (400, "bad-json")
    assert "line 1 column" in problem.detail


@pytest.mark.parametrize("payload", [b"[]", b"null", b"7", b'"call"'])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    assert refused(payload).errors[0].pointer == ""


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        (b'{"call_id":1,"call_id":1}', "/call_id"),
        (b'{"call_id" :1,"call_id"\t:1}', "/call_id"),
        (b'{"call_id":1,"x":[{"a/b":1,"a/b":2}]}', "/a~1b"),
        (b'{"call_id":1,"x":1,"\\u0078":2}', "/x"),
        (b'{"call_id":1,"x":{"y":1,\n"y"\n:1}}', "/y"),
        (b'{"call_id":1,"x":1,"x":2,"call_date":"\\u003a"}', "/x"),
        (b'{"call_id":1,"call_id":2,"call_date":"1\\u003A"}', "/call_id"),
    ],
)
def test_a_member_that_appears_twice_is_refused_at_any_depth_and_in_any_spelling(payload: bytes, pointer: str) -> None:
    problem = refused(payload)
    assert problem.status == 422
    assert problem.errors[0].pointer == pointer


def test_an_escaped_nul_is_refused_but_an_escaped_backslash_before_u0000_is_text() -> None:
    assert refused(b'{"call_id":1,"x":{"y":["a\\u0000"]}}').errors[0].pointer == "/x/y/0"
    assert refused(b'{"call_id":1,"\\u0000":1}').status == 422
    assert check("call.saved", b'{"call_id":1,"x":"\\\\u0000"}').call_key == "1"


def test_nesting_is_allowed_up_to_its_limit_and_no_deeper() -> None:
    def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
        return b'{"call_id":1,"x":' + opening * (depth - 1) + b"0" + closing * (depth - 1) + b"}"

    for opening, closing in ((b"[", b"]"), (b'{"x":', b"}")):
        check("call.saved", nested(MAX_DEPTH, opening, closing))
        assert refused(nested(MAX_DEPTH + 1, opening, closing)).status == 422


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", '":', " :", "\\", "é"]), values), max_size=4), st.booleans())
def test_the_fast_proof_and_the_exact_search_for_doubled_members_agree(
    pairs: list[tuple[str, object]], spaced: bool
) -> None:
    colon = " : " if spaced else ":"
    members = ['"call_id":1', *(f"{json.dumps(key)}{colon}{json.dumps(value)}" for key, value in pairs)]
    payload = ("{" + ",".join(members) + "}").encode()
    doubled = len({key for key, _ in pairs}) < len(pairs)
    has_nul = any("\\u0000" in json.dumps(pair) and "\0" in str_of(pair) for pair in pairs)
    if doubled or has_nul:
        assert refused(payload).status == 422
    else:
        assert check("call.saved", payload).call_key == "1"


def str_of(value: object) -> str:
    """All text inside a JSON value, in one string."""
    if isinstance(value, dict):
        return "".join(key + str_of(member) for key, member in value.items())
    if isinstance(value, list | tuple):
        return "".join(map(str_of, value))
    return value if isinstance(value, str) else ""


@given(st.binary(max_size=60))
def test_no_bytes_make_the_check_fail_in_any_other_way(payload: bytes) -> None:
    for name in NAMES:
        with contextlib.suppress(Problem):
            check(name, payload)
