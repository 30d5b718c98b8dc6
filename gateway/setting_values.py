"""How single settings are spelled: durations, lists, networks, URLs, tokens, and what is allowed for each.

Invariant: nothing here reads the environment or a file; a ValueError says what is wrong with a part of a value,
and never repeats a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

RETRIES_LIMIT = 100
RETRY_WAIT_LIMIT_S = 30 * 86_400.0

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_BEARER = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 §2.1

IPNetwork = IPv4Network | IPv6Network
UnsafeDatabase = Literal["fsync", "full_page_writes", "synchronous_commit"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What an error says about a setting: which values are allowed, and whether its own may be shown."""

    allowed: str
    secret: bool = False


def parse_duration_s(text: str) -> float:
    """`5s`, `1.5h`, `250ms` as seconds; ValueError for anything else."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()!r} is no duration")
    return float(found[1]) * _UNITS_S[found[2]]


def duration_s(value: object) -> object:
    """A duration's text as seconds; a number stays what it is."""
    return parse_duration_s(value) if isinstance(value, str) else value


def listed(value: object) -> object:
    """A comma-separated text as its non-empty parts; a TOML array stays what it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def schedule_s(value: object) -> object:
    parts = listed(value)
    if not isinstance(parts, list):
        return parts
    return [parse_duration_s(part) if isinstance(part, str) else part for part in parts]


def bounded_schedule(schedule_s: tuple[float, ...]) -> tuple[float, ...]:
    if not 1 <= len(schedule_s) <= RETRIES_LIMIT:
        raise ValueError(f"{len(schedule_s)} waits")
    for wait_s in schedule_s:
        if not 0 < wait_s <= RETRY_WAIT_LIMIT_S:
            raise ValueError(f"{wait_s:g} seconds is out of range")
    return schedule_s


def networks(value: object) -> object:
    parts = listed(value)
    if not isinstance(parts, list):
        return parts
    return tuple(ip_network(part) if isinstance(part, str) else part for part in parts)


def postgresql_url(url: str) -> str:
    split = urlsplit(url)
    if split.scheme not in ("postgresql", "postgres") or not (split.netloc or split.query):
        raise ValueError("not a PostgreSQL URL")
    for server in split.netloc.rpartition("@")[2].split(","):  # libpq takes several
        _ = urlsplit(f"//{server}").port  # raises ValueError where it is none
    return url


def bearer_token(token: str) -> str:
    if not _BEARER.fullmatch(token):
        raise ValueError("a character that a bearer token cannot have")
    return token


def directory(path: Path) -> Path:
    path = path.expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError("it exists and is no directory")
    return path


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
