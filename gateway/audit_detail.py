"""What the audit says about a change. Pure.

Invariant: of a secret it says that it changed, never what it was or is; of a URL it leaves out the
query, where targets like to have their keys.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime

from gateway.model import Access, PortRule, Token, Webhook

SECRETS = frozenset({"client_secret", "api_key", "signing_secrets", "digest"})
UNTOLD = frozenset({"id", "tenant_id", "digest", "created_at"})
"""What an entry says elsewhere, or what tells nobody anything."""

Resource = Access | Webhook | Token | PortRule


def created(resource: Resource) -> Mapping[str, object]:
    """Every field that has a value and is no secret."""
    fields = _fields(resource)
    return {name: _shown(name, value) for name, value in fields.items() if name not in SECRETS and value is not None}


def differences(old: Resource, new: Resource) -> Mapping[str, object]:
    """`{field: [before, after]}` of what differs, `{field: "changed"}` where it is a secret."""
    before, after = _fields(old), _fields(new)
    return {
        name: "changed" if name in SECRETS else [_shown(name, before[name]), _shown(name, after[name])]
        for name in after
        if before[name] != after[name]
    }


def _fields(resource: Resource) -> dict[str, object]:
    names = (each.name for each in dataclasses.fields(resource))
    return {name: getattr(resource, name) for name in names if name not in UNTOLD}


def _shown(name: str, value: object) -> object:
    if isinstance(value, Access):
        return value.name
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, frozenset | tuple):
        return sorted(value) if isinstance(value, frozenset) else list(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if name == "url" and isinstance(value, str):
        return without_query(value)
    return value


def without_query(url: str) -> str:
    """`https://example.com/hook?…`: enough to know which URL it was."""
    before, mark, _ = url.partition("?")
    return f"{before}?…" if mark else url
