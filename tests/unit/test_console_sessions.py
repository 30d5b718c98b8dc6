"""Sessions and sign-in codes under a clock of the test's own."""

from __future__ import annotations

from gateway.console.sessions import (
    AGE_LIMIT_S,
    CODE_LIFE_S,
    IDLE_LIMIT_S,
    NOTICES_LIMIT,
    Session,
    Sessions,
    SignInCodes,
)


class Clock:
    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s


def test_a_session_that_is_used_lasts_up_to_its_age_limit() -> None:
    clock = Clock()
    sessions = Sessions(now_s=clock)
    secret = sessions.open("t")
    while clock.at_s < 1000 + AGE_LIMIT_S - IDLE_LIMIT_S:
        clock.at_s += IDLE_LIMIT_S - 1
        assert sessions.get(secret) is not None
    clock.at_s = 1000 + AGE_LIMIT_S + 1
    assert sessions.get(secret) is None


def test_a_session_that_is_not_used_ends() -> None:
    clock = Clock()
    sessions = Sessions(now_s=clock)
    secret = sessions.open("t")
    clock.at_s += IDLE_LIMIT_S + 1
    assert sessions.get(secret) is None
    clock.at_s = 1000
    assert sessions.get(secret) is None


def test_past_the_limit_the_least_recently_used_session_ends() -> None:
    sessions = Sessions(limit=2)
    first, second = sessions.open("a"), sessions.open("b")
    sessions.get(first)
    third = sessions.open("c")
    assert [sessions.get(each) is not None for each in (first, second, third)] == [True, False, True]


def test_no_secret_is_no_session() -> None:
    sessions = Sessions()
    sessions.open("t")
    assert sessions.get(None) is None and sessions.get("") is None


def test_each_session_has_a_form_secret_of_its_own() -> None:
    sessions = Sessions()
    one, other = (sessions.get(sessions.open("t")) for _ in range(2))
    assert one is not None and other is not None
    assert (
        one.has_csrf(one.csrf) and not one.has_csrf(other.csrf) and not one.has_csrf("ü") and not one.has_csrf("\udcff")
    )


def test_notices_are_shown_once_and_do_not_pile_up() -> None:
    session = Session("t", opened_s=0, used_s=0)
    for number in range(NOTICES_LIMIT + 3):
        session.notify(str(number))
    assert session.take_notices() == [str(number) for number in range(3, NOTICES_LIMIT + 3)]
    assert session.take_notices() == []


def test_a_code_is_good_once_and_not_for_long() -> None:
    clock = Clock()
    codes = SignInCodes(now_s=clock)
    code, late = codes.issue("t"), codes.issue("t")
    assert codes.redeem(code) == "t"
    assert codes.redeem(code) is None
    clock.at_s += CODE_LIFE_S
    assert codes.redeem(late) is None
    assert codes.redeem("") is None
