"""API tokens: what one looks like, how one is recognised, and what each role may do.

A token reads `gw_<prefix>_<secret>`: eight public characters to look it up and to talk about it, then
256 random bits. Invariant: only the SHA-256 of a token is ever stored, and it is compared in constant time.
A fast hash is enough, because there is nothing to guess in 256 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from gateway.errors import Problem
from gateway.model import Role, Token

PREFIX_CHARS = 8
ALPHABET = string.ascii_lowercase + string.digits
SECRET_BYTES = 32
HEADER_LIMIT_CHARS = 1024
RECENT_LIMIT = 1_000

FORM = re.compile(r"gw_([a-z0-9]{8})_[A-Za-z0-9_-]{43}")
VISIBLE = re.compile(r"[!-~]+")
NOBODY = bytes(32)
"""What a token with an unknown prefix is compared with, so that it takes as long as a known one."""

MAY_PUSH = frozenset({Role.INGEST, Role.OPERATOR, Role.ADMIN})
"""`viewer` only looks, so it pushes nothing; who may replay an event may as well send one."""
RANK = {Role.INGEST: 0, Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMIN: 3}


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token. `plain` is shown once, to whoever asked for it, and kept nowhere."""

    plain: str = field(repr=False)
    prefix: str
    digest: bytes = field(repr=False)


def mint() -> Minted:
    """A token that nobody can guess: 256 bits from the system's random source."""
    prefix = "".join(secrets.choice(ALPHABET) for _ in range(PREFIX_CHARS))
    return adopt(f"gw_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}")


def adopt(plain: str) -> Minted:
    """A token that an operator chose (the bootstrap one), in whatever form.

    ValueError where it could not travel in a header: it must be visible ASCII without spaces.
    """
    if not VISIBLE.fullmatch(plain) or len(plain) > HEADER_LIMIT_CHARS:
        raise ValueError("a token is 1 to 1024 visible ASCII characters without spaces")
    digest = hashlib.sha256(plain.encode()).digest()
    return Minted(plain, _prefix(plain, digest), digest)


def _prefix(plain: str, digest: bytes) -> str:
    """The look-up key: the public part of a token of ours, else the start of its hash."""
    form = FORM.fullmatch(plain)
    return form[1] if form else digest.hex()[:PREFIX_CHARS]


class TokenBook:
    """The tokens in force, in memory. Owned by the registry, which replaces them all after each change."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._by_prefix: dict[str, Token] = {}
        self._recent: dict[str, Token] = {}
        """Header values that were found good since the last change: the switch sends the same one every time."""
        self.replace(tokens)

    def replace(self, tokens: Iterable[Token]) -> None:
        self._by_prefix = {token.prefix: token for token in tokens}
        self._recent.clear()

    def authenticate(self, authorization: str | None, now: datetime) -> Token:
        """The token that an Authorization header carries. Problem 401 that says what is wrong with it."""
        token = self._recent.get(authorization or "")
        if token is None:
            token = self._recognise(authorization)
            if len(self._recent) < RECENT_LIMIT:
                self._recent[authorization or ""] = token
        if token.expires_at is not None and token.expires_at <= now:
            when = token.expires_at.isoformat(timespec="seconds")
            raise _unauthorized(f"the token {token.prefix} expired at {when}", error="invalid_token")
        return token

    def _recognise(self, authorization: str | None) -> Token:
        plain = _bearer(authorization)
        digest = hashlib.sha256(plain.encode("utf-8", "surrogateescape")).digest()
        token = self._by_prefix.get(_prefix(plain, digest))
        if not hmac.compare_digest(token.digest if token else NOBODY, digest) or token is None:
            raise _unauthorized("the token is not known: it is mistyped or has been revoked", error="invalid_token")
        return token


def _bearer(authorization: str | None) -> str:
    """RFC 6750 §2.1; the scheme is case-insensitive (RFC 9110 §11.1)."""
    if authorization is None:
        raise _unauthorized("send a token: Authorization: Bearer gw_…")
    scheme, _, plain = authorization.partition(" ")
    plain = plain.strip(" ")
    if scheme.lower() != "bearer" or not VISIBLE.fullmatch(plain) or len(plain) > HEADER_LIMIT_CHARS:
        raise _unauthorized("the Authorization header must read: Bearer gw_…", error="invalid_request")
    return plain


def _unauthorized(detail: str, *, error: str | None = None) -> Problem:
    """RFC 6750 §3: a challenge names no error where no token was sent at all."""
    challenge = 'Bearer realm="gateway"' + (f', error="{error}"' if error else "")
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": challenge})


def at_least(least: Role) -> frozenset[Role]:
    """The roles that include `least`. `ingest` is included by none: pushing is `MAY_PUSH`."""
    return frozenset(role for role, rank in RANK.items() if rank >= RANK[least])


def require(token: Token, *allowed: Role) -> None:
    """Problem 403 where the token's role is none of `allowed`."""
    if token.role not in allowed:
        roles = " or ".join(role for role in RANK if role in allowed)
        raise Problem(403, "forbidden", f"this takes the role {roles}; the token {token.prefix} is {token.role}")
