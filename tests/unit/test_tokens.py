"""Tokens: recognised by their prefix, compared by their hash, refused in words that help."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Problem
from gateway.ingress.tokens import FORM, MAY_PUSH, Minted, TokenBook, adopt, at_least, mint, require
from gateway.model import Role, Token

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def token_of(minted: Minted, *, role: Role = Role.VIEWER, expires_at: datetime | None = None) -> Token:
    return Token("id", "name", role, None, minted.prefix, minted.digest, NOW, expires_at)


def refusal(book: TokenBook, authorization: str | None) -> Problem:
    with pytest.raises(Problem) as refused:
        book.authenticate(authorization, NOW)
    assert refused.value.status == 401
    return refused.value


def test_a_minted_token_has_a_public_prefix_and_256_secret_bits() -> None:
    minted = mint()
    form = FORM.fullmatch(minted.plain)
    assert form is not None and form[1] == minted.prefix
    assert minted.digest == hashlib.sha256(minted.plain.encode()).digest()
    assert minted.plain not in repr(minted)


def test_no_two_tokens_are_alike() -> None:
    assert len({mint().plain for _ in range(1000)}) == 1000


def test_a_known_token_is_recognised_whatever_the_case_of_its_scheme() -> None:
    minted = mint()
    book = TokenBook([token_of(mint()), token_of(minted)])
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert book.authenticate(f"{scheme} {minted.plain}", NOW).digest == minted.digest


def test_a_token_that_the_operator_chose_is_recognised_too() -> None:
    book = TokenBook([token_of(adopt("correct-horse-battery-staple"))])
    assert book.authenticate("Bearer correct-horse-battery-staple", NOW).name == "name"


@pytest.mark.parametrize("plain", ["", "two words", "line\nbreak", "schlüssel", "x" * 2000])
def test_a_token_that_cannot_travel_in_a_header_is_not_adopted(plain: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        adopt(plain)


def test_the_right_prefix_with_a_wrong_secret_is_refused_like_an_unknown_token() -> None:
    minted = mint()
    book = TokenBook([token_of(minted)])
    forged = minted.plain[:-1] + ("A" if minted.plain[-1] != "A" else "B")
    assert refusal(book, f"Bearer {forged}").detail == refusal(book, f"Bearer {mint().plain}").detail


def test_a_missing_token_is_challenged_without_an_error_code() -> None:
    refused = refusal(TokenBook(), None)
    assert refused.headers == {"WWW-Authenticate": 'Bearer realm="gateway"'}
    assert "Authorization: Bearer" in refused.detail


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Bearer \x00", "gw_abc", "Bearer é"]
)
def test_a_malformed_header_is_refused_as_such(header: str) -> None:
    refused = refusal(TokenBook(), header)
    assert 'error="invalid_request"' in refused.headers["WWW-Authenticate"]


def test_a_token_expires_at_its_moment_and_says_so() -> None:
    minted = mint()
    book = TokenBook([token_of(minted, expires_at=NOW)])
    assert book.authenticate(f"Bearer {minted.plain}", NOW - timedelta(microseconds=1)).expires_at == NOW
    refused = refusal(book, f"Bearer {minted.plain}")
    assert "expired at 2026-01-01" in refused.detail and 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


def test_a_replaced_book_forgets_what_is_revoked() -> None:
    minted = mint()
    book = TokenBook([token_of(minted)])
    book.replace([])
    assert "revoked" in refusal(book, f"Bearer {minted.plain}").detail


@given(st.text(max_size=2000))
def test_no_header_is_let_in_by_accident_or_crashes(text: str) -> None:
    refusal(TokenBook([token_of(mint())]), text)
    refusal(TokenBook([token_of(mint())]), f"Bearer {text}")


def test_roles_include_each_other_upwards_and_ingest_is_included_by_none() -> None:
    assert at_least(Role.VIEWER) == {Role.VIEWER, Role.OPERATOR, Role.ADMIN}
    assert at_least(Role.ADMIN) == {Role.ADMIN}
    assert Role.VIEWER not in MAY_PUSH and {Role.INGEST, Role.OPERATOR, Role.ADMIN} == MAY_PUSH


def test_a_role_that_may_not_is_told_which_may() -> None:
    require(token_of(mint(), role=Role.ADMIN), *at_least(Role.OPERATOR))
    with pytest.raises(Problem, match="takes the role operator or admin") as refused:
        require(token_of(mint()), *at_least(Role.OPERATOR))
    assert refused.value.status == 403
