"""What an access and a webhook must be, on their own and together. Pure: no store, no clock, no network.

Invariant: whatever passes here can be put on the wire as it stands; a request never fails for a header
name, a line break in a key, or a body key that the payload already has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.catalog import BY_NAME
from gateway.errors import FieldError
from gateway.model import Access, AccessType, KeyLocation, Webhook

BODILESS_METHODS = frozenset({"GET", "DELETE"})

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token (RFC 9110 §5.6.2)."""
HEADER_VALUE = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?")
"""A field value (RFC 9110 §5.5) in ASCII: neither line breaks nor white space around it."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What breaks lines, headers and terminals, turns the direction of what follows, or is no character at all."""

OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
OWN_PREFIX = "webhook-"


def header_name_error(name: str) -> str | None:
    """Why a credential may not travel in a header of this name; None where it may."""
    if not HEADER_NAME.fullmatch(name):
        return "not a header name: letters, digits and !#$%&'*+-.^_`|~ (RFC 9110), without spaces"
    if name.lower() in OWN_HEADERS or name.lower().startswith(OWN_PREFIX):
        return f"{name} is set by the gateway itself; a credential needs another header, such as Authorization"
    return None


def access_errors(access: Access) -> list[FieldError]:
    """What is wrong with an access on its own."""
    errors = _basic_errors(access) if access.type is AccessType.BASIC else _api_key_errors(access)
    if access.location is KeyLocation.HEADER and (error := header_name_error(access.key_name)):
        errors.append(FieldError("/key_name", error))
    return errors


def _basic_errors(access: Access) -> list[FieldError]:
    errors = []
    if access.location is not KeyLocation.HEADER:
        errors.append(FieldError("/location", "Basic Authentication travels in a header"))
    if access.api_key:
        errors.append(FieldError("/api_key", "an access of type basic has a client_id and a client_secret, no api_key"))
    if not access.client_id:
        errors.append(FieldError("/client_id", "an access of type basic needs one"))
    elif ":" in access.client_id:
        errors.append(FieldError("/client_id", "a colon would end it early on the wire (RFC 7617 §2)"))
    if not access.client_secret:
        errors.append(FieldError("/client_secret", "an access of type basic needs one"))
    return errors


def _api_key_errors(access: Access) -> list[FieldError]:
    errors = []
    if access.client_id:
        errors.append(FieldError("/client_id", "an access of type api_key has an api_key, no client_id"))
    if access.client_secret:
        errors.append(FieldError("/client_secret", "an access of type api_key has an api_key, no client_secret"))
    if not access.api_key:
        errors.append(FieldError("/api_key", "an access of type api_key needs one"))
    elif access.location is KeyLocation.HEADER and not HEADER_VALUE.fullmatch(access.api_key):
        errors.append(FieldError("/api_key", "a header's value is printable ASCII without spaces around it"))
    return errors


def fit_error(webhook: Webhook, access: Access) -> str | None:
    """Why a webhook cannot use an access whose key travels in the body; None where it can."""
    if access.location is not KeyLocation.BODY:
        return None
    if webhook.method in BODILESS_METHODS:
        return (
            f"a {webhook.method} has no body for the key of the access “{access.name}” to travel in;"
            " use POST, PUT or PATCH, or an access whose key travels in a header"
        )
    taken = sorted(event for event in webhook.events if access.key_name in _members(event))
    if taken:
        return (
            f"the payload of {', '.join(taken)} already has a member “{access.key_name}”,"
            f" which the key of the access “{access.name}” would overwrite"
        )
    return None


def _members(event: str) -> Iterable[str]:
    return (field.name for field in BY_NAME[event].fields)
