"""How an event becomes a request: body, credential, Standard Webhooks headers and signature.

What is the same for every event of a webhook is built once (`Wire`). Invariant: the payload's bytes reach the
target as the switch spelled them; an API key in the body is spliced in before the last brace and changes
nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from gateway import __version__
from gateway.delivery.masking import mask_header, mask_secrets, mask_url, secret_spellings
from gateway.delivery.transport import Request, Target
from gateway.model import Access, AccessType, Event, KeyLocation, Webhook

BODILESS = frozenset({"GET", "DELETE"})
SIGNATURE_SECRETS_MAX = 2
SHA256_BLOCK_BYTES = 64


class Built(msgspec.Struct, frozen=True):
    """A request, and its header lines as the log may show them."""

    request: Request
    shown_headers: bytes


class Wire:
    """Builds the requests of one webhook. Made anew when the webhook changes; raises `EgressRefused` for its URL."""

    def __init__(self, webhook: Webhook, parse_target: Callable[[str], Target]) -> None:
        access = webhook.access
        self._method = webhook.method
        self._target = parse_target(webhook.url)
        self._timeout_s = webhook.timeout_s
        self._signers = [_keyed(secret) for secret in webhook.signing_secrets[:SIGNATURE_SECRETS_MAX]]
        fixed = (
            b"content-type: application/json\r\n"
            b"accept-encoding: identity\r\n"
            b"user-agent: event-gateway/" + __version__.encode() + b"\r\n"
        )
        name, value = _header_credential(access)
        self._head = fixed + _line(name, value)
        self._shown = fixed + _line(name, mask_header(value))
        self._body_key = _body_member(access)
        self.body_key_name = access.key_name if access is not None and self._body_key else None
        self._echoes = secret_spellings(access, webhook.url)
        self.url = webhook.url
        self.shown_url = mask_url(webhook.url)
        self.host = self._target.host
        self.port = self._target.port

    def build(self, event: Event, *, attempt: int, now_s: int, overtakes: str | None = None) -> Built:
        """The request of one attempt. `now_s` is Unix time; it is signed and so limits replays by third parties."""
        body = event.payload
        target = self._target
        if self._body_key:
            body = splice(body, self._body_key)
        if self._method in BODILESS:
            target = _with_query(target, body)
            body = b""
        lines = (
            f"webhook-id: {event.id}\r\nwebhook-timestamp: {now_s}\r\n"
            f"webhook-signature: {self._sign(event.id, now_s, body)}\r\n"
            f"webhook-event: {event.type}\r\nwebhook-attempt: {attempt}\r\n"
        ).encode()
        if overtakes is not None:
            lines += b"webhook-overtook: " + overtakes.encode() + b"\r\n"
        request = Request(self._method, target, self._head + lines, body or None, self._timeout_s)
        return Built(request, self._shown + lines)

    def mask(self, data: bytes, *, truncated: bool = False) -> bytes:
        """What a target sent, without this webhook's secrets: some targets echo what they get."""
        return mask_secrets(data, self._echoes, truncated=truncated) if data and self._echoes else data

    def _sign(self, event_id: str, now_s: int, body: bytes) -> str:
        """Standard Webhooks 1.0, "Signature scheme": one signature for each secret in force."""
        signed = f"{event_id}.{now_s}.".encode() + body
        signatures = []
        for inner, outer in self._signers:
            digest = inner.copy()
            digest.update(signed)
            mac = outer.copy()
            mac.update(digest.digest())
            signatures.append("v1," + binascii.b2a_base64(mac.digest(), newline=False).decode())
        return " ".join(signatures)


def _keyed(secret: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two states of HMAC-SHA256 (RFC 2104 §2) that have taken in the key: a copy is cheaper than keying anew."""
    key = (secret if len(secret) <= SHA256_BLOCK_BYTES else hashlib.sha256(secret).digest()).ljust(
        SHA256_BLOCK_BYTES, b"\0"
    )
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in key)), hashlib.sha256(bytes(byte ^ 0x5C for byte in key))


def splice(payload: bytes, member: bytes) -> bytes:
    """`payload`, a JSON object, with one more member at its end and all its bytes as they were."""
    end = payload.rindex(b"}")
    empty = payload[:end].strip() == b"{"
    return payload[:end] + (b"" if empty else b",") + member + payload[end:]


def _header_credential(access: Access | None) -> tuple[str, str]:
    if access is None:
        return "", ""
    if access.type is AccessType.BASIC:
        pair = f"{access.client_id}:{access.client_secret}".encode()
        return access.key_name, "Basic " + base64.b64encode(pair).decode()
    if access.location is KeyLocation.HEADER:
        return access.key_name, access.api_key
    return "", ""


def _line(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("ascii") if name else b""


def _body_member(access: Access | None) -> bytes:
    if access is None or access.type is not AccessType.API_KEY or access.location is not KeyLocation.BODY:
        return b""
    return msgspec.json.encode(access.key_name) + b":" + msgspec.json.encode(access.api_key)


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _with_query(target: Target, payload: bytes) -> Target:
    """GET and DELETE carry no body: the payload travels in the query."""
    path = with_query(target.path, payload)
    return Target(target.scheme, target.host, target.port, target.authority, path)


def with_query(url: str, payload: bytes) -> str:
    """A URL, or the path of one, with the payload's scalar members in its query, spelled as the switch did."""
    pairs = []
    for name, raw in _MEMBERS.decode(payload).items():
        spelled = bytes(raw)
        if spelled[:1] not in (b"{", b"["):
            pairs.append(f"{quote(name, safe='')}={quote(_scalar(spelled), safe='')}")
    return url + ("&" if "?" in url else "?") + "&".join(pairs) if pairs else url


def _scalar(spelled: bytes) -> str:
    if spelled == b"null":
        return ""
    value: Any = msgspec.json.decode(spelled) if spelled[:1] == b'"' else spelled.decode()
    return str(value)
