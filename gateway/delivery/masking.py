"""What is hidden before it is stored or shown: credentials from everybody, phone numbers from viewers.

Invariant: a masked secret ends with `****` and shows at most a quarter of itself, four characters at the most, and
of a short one nothing. A masked phone number shows its last two digits. Masking twice changes nothing.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import parse_qsl, quote, quote_plus, unquote_plus, urlsplit

from gateway.catalog import PERSONAL_FIELDS
from gateway.model import Access, AccessType

STARS = "****"
SHOWN_CHARS = 4
SHORT_CHARS = 12
"""A secret below this length shows nothing of itself."""
SOUGHT_BYTES = 4
"""Shorter secrets are not looked for in what a target answers: they would be found in every word."""
SOUGHT_URL_CHARS = 8
"""Nor are shorter values in a URL: that they are secret is guessed from their names."""

_SCHEME = re.compile(r"(?i)(basic|bearer|digest|token|apikey|api-key|hmac) +(?=\S)")
_PHONE = re.compile(r"(?<![\d*])\+?\d{10,15}(?!\d)")
_SECRET_PARAMETER = re.compile(
    r"(?i)(secret|token|passw|pwd|credential|signature|api[-_.]?key|auth)|^(key|sig|code|sid)$"
)


def mask_secret(secret: str) -> str:
    """`test123456789` → `tes****`."""
    if secret.endswith(STARS):
        return secret
    shown = min(SHOWN_CHARS, len(secret) // 4) if len(secret) >= SHORT_CHARS else 0
    return secret[:shown] + STARS


def mask_header(value: str) -> str:
    """A header's value that is a credential; the scheme stays: `Basic dXNlcjpwYXNzd29yZA==` → `Basic dXNl****`."""
    scheme = _SCHEME.match(value)
    if scheme is None:
        return mask_secret(value)
    return scheme.group() + mask_secret(value[scheme.end() :])


def secret_spellings(access: Access | None, url: str = "") -> tuple[bytes, ...]:
    """Every form in which a target may echo the access's secret, or one in its own URL; longest first."""
    found: set[bytes] = set()
    if access is not None and access.type is AccessType.BASIC:
        pair = f"{access.client_id}:{access.client_secret}".encode()
        found |= {pair, base64.b64encode(pair), base64.urlsafe_b64encode(pair), base64.b64encode(pair).rstrip(b"=")}
        found |= _spellings(access.client_secret) | _spellings(base64.b64encode(pair).decode())
    elif access is not None:
        found |= _spellings(access.api_key)
    found = {each for each in found if len(each) >= SOUGHT_BYTES}
    for name, value in parse_qsl(urlsplit(url).query):
        if _SECRET_PARAMETER.search(name) and len(value) >= SOUGHT_URL_CHARS:
            found |= _spellings(value)
    return tuple(sorted(found, key=lambda each: (-len(each), each)))


def _spellings(secret: str) -> set[bytes]:
    """A secret as it is, as JSON escapes it, and as URLs do."""
    json_forms = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    json_forms |= {form.replace("/", "\\/") for form in json_forms}
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)} | json_forms
    return {form.encode() for form in forms}


def mask_secrets(data: bytes, secrets: Sequence[bytes], *, truncated: bool = False) -> bytes:
    """`data` with every occurrence of a secret replaced, longest first; where it was cut off, also the start of one."""
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, STARS.encode())
    if truncated:
        cut = max((_cut_off(data, secret) for secret in secrets), default=0)
        if cut:
            data = data[:-cut] + STARS.encode()
    return data


def _cut_off(data: bytes, secret: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of `secret`, if they are enough to matter."""
    for length in range(min(len(secret) - 1, len(data)), SOUGHT_BYTES - 1, -1):
        if data.endswith(secret[:length]):
            return length
    return 0


def mask_url(url: str, *, key_name: str | None = None) -> str:
    """A URL with the values of those query parameters masked that look like credentials, or are named `key_name`."""
    path, mark, query = url.partition("?")
    if not mark:
        return url
    return path + mark + "&".join(_mask_parameter(part, key_name) for part in query.split("&"))


def _mask_parameter(part: str, key_name: str | None) -> str:
    name, equals, value = part.partition("=")
    plain = unquote_plus(name)
    if value and (plain == key_name or _SECRET_PARAMETER.search(plain)):
        return name + equals + mask_secret(value)
    return part


def mask_personal(value: object, name: str = "") -> object:
    """A decoded JSON value with phone numbers masked: members that the catalog calls personal, and ten bare digits.

    Other members named `…_id` stay: they are database IDs and account numbers that people search for.
    """
    if isinstance(value, dict):
        return {key: mask_personal(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [mask_personal(item, name) for item in value]
    if name in PERSONAL_FIELDS and isinstance(value, str | int | float) and not isinstance(value, bool):
        return _last_two(str(value))
    if name.endswith("_id"):
        return value
    if isinstance(value, str):
        return mask_phones(value)
    if isinstance(value, int | float) and _PHONE.fullmatch(str(value)):
        return _last_two(str(value))
    return value


def mask_phones(text: str, personal: Iterable[str] = ()) -> str:
    """Text with bare phone numbers masked, and with each of `personal`, the values that one payload holds."""
    for value in sorted(personal, key=len, reverse=True):
        text = text.replace(value, _last_two(value))
    return _PHONE.sub(lambda found: _last_two(found.group()), text)


def mask_personal_url(url: str, personal: Iterable[str] = ()) -> str:
    """A URL with phone numbers in path and query masked, in either spelling of their characters."""
    values = list(personal)
    return mask_phones(url, [*values, *map(quote, values), *map(quote_plus, values)])


def personal_values(value: object, name: str = "") -> Iterator[str]:
    """The personal values of a payload that are long enough to be told from other text."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from personal_values(member, key)
    elif isinstance(value, list):
        for item in value:
            yield from personal_values(item, name)
    elif name in PERSONAL_FIELDS and isinstance(value, str | int) and len(str(value)) >= SOUGHT_BYTES:
        yield str(value)


def _last_two(value: str) -> str:
    """Stars, and the last two characters where enough others stay hidden."""
    if not value or value.startswith(STARS):
        return value
    return "*" * max(len(STARS), len(value) - 2) + (value[-2:] if len(value) >= 7 else "")
