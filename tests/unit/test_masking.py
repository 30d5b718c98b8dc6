"""What a mask shows and what it never does."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.masking import (
    mask_header,
    mask_personal,
    mask_personal_url,
    mask_phones,
    mask_secret,
    mask_secrets,
    mask_url,
    personal_values,
    secret_spellings,
)
from gateway.model import Access, AccessType

KEY = 'k3y"/+with spaces é'


def basic(client_id: str = "hcc", client_secret: str = "s3cret-value") -> Access:
    return Access(
        "a", 1, "crm", AccessType.BASIC, "Authorization", client_id=client_id, client_secret=client_secret
    )  # fmt: skip


def api_key(key: str = KEY) -> Access:
    return Access("a", 1, "crm", AccessType.API_KEY, "x-api-key", api_key=key)


@given(st.text(max_size=60))
def test_a_mask_ends_with_stars_shows_at_most_a_quarter_and_masks_itself_no_further(secret: str) -> None:
    masked = mask_secret(secret)
    assert masked.endswith("****")
    assert mask_secret(masked) == masked
    if not secret.endswith("****"):
        shown = masked.removesuffix("****")
        assert secret.startswith(shown)
        assert len(shown) <= min(4, len(secret) / 4)


def test_a_short_secret_shows_nothing_and_a_long_one_four_characters() -> None:
    assert mask_secret("hunter2") == "****"
    assert mask_secret("test123-long-enough-key") == "test****"


def test_a_header_keeps_its_scheme_so_that_people_see_what_kind_of_credential_it_is() -> None:
    token = base64.b64encode(b"user:password-of-it").decode()
    assert mask_header(f"Basic {token}") == f"Basic {token[:4]}****"
    assert mask_header("Basic dTpw") == "Basic ****"
    assert mask_header("plain-api-key-0001") == "plai****"


def test_a_basic_credential_is_found_however_a_target_echoes_it() -> None:
    secrets = secret_spellings(basic())
    pair = b"hcc:s3cret-value"
    echo = b"you sent " + base64.b64encode(pair) + b" which is " + pair + b' "s3cret-value"'
    assert mask_secrets(echo, secrets) == b'you sent **** which is **** "****"'


def test_an_api_key_is_found_as_json_and_as_a_url_spell_it() -> None:
    secrets = secret_spellings(api_key())
    for echo in (
        KEY.encode(),
        b'"k3y\\"/+with spaces \\u00e9"',
        b'"k3y\\"\\/+with spaces \\u00e9"',
        b"k3y%22%2F%2Bwith%20spaces%20%C3%A9",
        b"k3y%22%2F%2Bwith+spaces+%C3%A9",
    ):
        masked = mask_secrets(echo, secrets)
        assert b"k3y" not in masked
        assert b"with" not in masked


def test_a_secret_in_the_targets_own_url_is_found_too_unless_it_is_too_short_to_tell() -> None:
    url = "https://crm.example.com/in?token=a%2Fb-long-enough&auth=yes&list=longer-than-eight"
    secrets = secret_spellings(None, url)
    echo = b"GET /in?token=a%2Fb-long-enough&auth=yes&list=longer-than-eight: a/b-long-enough"
    assert mask_secrets(echo, secrets) == b"GET /in?token=****&auth=yes&list=longer-than-eight: ****"


def test_a_secret_that_the_end_of_a_cut_body_splits_is_masked_too() -> None:
    secrets = secret_spellings(api_key("abcdefghijklmnop"))
    assert mask_secrets(b"... abcdefghijk", secrets, truncated=True) == b"... ****"
    assert mask_secrets(b"... abcdefghijk", secrets) == b"... abcdefghijk"
    assert mask_secrets(b"... abc", secrets, truncated=True) == b"... abc"


@given(st.binary(max_size=50), st.binary(max_size=50), st.text(min_size=8, max_size=20))
def test_no_echoed_key_survives(before: bytes, after: bytes, key: str) -> None:
    masked = mask_secrets(before + key.encode() + after, secret_spellings(api_key(key)))
    assert key.encode() not in masked or set(key) == {"*"}


def test_credentials_in_a_query_are_masked_by_name_and_the_rest_of_the_url_stays() -> None:
    url = "https://crm.example.com/in?list=7&access_token=abcdefghijklmnop&x%2Dkey=topsecret&code=9"
    assert (
        mask_url(url, key_name="x-key")
        == "https://crm.example.com/in?list=7&access_token=abcd****&x%2Dkey=****&code=****"
    )
    assert mask_url("https://crm.example.com/token") == "https://crm.example.com/token"


def test_phone_numbers_in_a_payload_are_masked_and_ids_are_not() -> None:
    payload = {
        "call_id": 9725550139,
        "phone": "9725550138",
        "caller_id": "5550106",
        "dnis": "",
        "account_id": "1234567890",
        "note": "call +19725550148 back",
        "parties": [{"lead_phone": 9725550148, "is_abandoned": False, "callback": 9725550149}],
    }
    assert mask_personal(payload) == {
        "call_id": 9725550139,
        "phone": "********38",
        "caller_id": "*****06",
        "dnis": "",
        "account_id": "1234567890",
        "note": "call **********48 back",
        "parties": [{"lead_phone": "********48", "is_abandoned": False, "callback": "********49"}],
    }


def test_text_that_a_target_sends_back_loses_the_numbers_of_its_event() -> None:
    personal = list(personal_values({"phone": "+44 20 7946", "lead_phone": "9725550148", "dnis": "12"}))
    assert personal == ["+44 20 7946", "9725550148"]
    masked = mask_phones("saved +44 20 7946 and 9725550148 in 2023-06-27 13:22:18", personal)
    assert masked == "saved *********46 and ********48 in 2023-06-27 13:22:18"
    assert mask_personal_url("https://a.example/?p=%2B44%2020%207946&q=7", personal).endswith(
        "?p=***************46&q=7"
    )


@given(st.from_regex(r"[0-9]{10,15}", fullmatch=True))
def test_masking_a_phone_number_twice_is_masking_it_once(number: str) -> None:
    once = mask_phones(f"a {number} b")
    assert number not in once
    assert mask_phones(once) == once
