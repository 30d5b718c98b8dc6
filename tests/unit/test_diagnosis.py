"""Every failure has words that say what happened and what to do."""

from __future__ import annotations

import pytest

from gateway.delivery.diagnosis import diagnose
from gateway.model import ErrorKind


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.STATUS])
def test_every_error_kind_is_explained_with_and_without_a_known_target(kind: ErrorKind) -> None:
    for host, port in (("crm.example.com", 8443), (None, None)):
        said = diagnose(kind, None, host=host, port=port)
        assert said is not None
        assert said.title
        assert said.explanation.endswith(".")
        assert said.next_step.endswith(".")
        assert "{" not in str(said)
        assert "None" not in str(said)


@pytest.mark.parametrize("status", [*range(100, 200), *range(300, 600), 600, 999])
def test_every_status_outside_2xx_is_explained(status: int) -> None:
    said = diagnose(ErrorKind.STATUS, status)
    assert said is not None
    assert str(status) in said.title
    assert said.next_step.endswith(".")


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_a_success_needs_no_words(status: int) -> None:
    assert diagnose(None, status) is None


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        (ErrorKind.STATUS, 401, "access"),
        (ErrorKind.STATUS, 403, "access"),
        (ErrorKind.STATUS, 302, "never followed"),
        (ErrorKind.STATUS, 405, "method"),
        (ErrorKind.STATUS, 410, "paused"),
        (ErrorKind.STATUS, 429, "Retry-After"),
        (ErrorKind.DNS, None, "DNS"),
        (ErrorKind.TLS_EXPIRED, None, "Renew"),
        (ErrorKind.TLS_NAME, None, "issued for another name"),
        (ErrorKind.TLS_UNTRUSTED, None, "authority"),
        (ErrorKind.CONNECT_TIMEOUT, None, "firewall"),
        (ErrorKind.TIMEOUT, None, "timeout"),
    ],
)
def test_the_words_name_the_cause(kind: ErrorKind, status: int | None, words: str) -> None:
    assert words in str(diagnose(kind, status))


def test_a_closed_port_is_named_and_the_way_to_open_it() -> None:
    said = diagnose(ErrorKind.PORT, None, host="crm.example.com", port=8443)
    assert said is not None
    assert "crm.example.com:8443" in said.explanation
    assert "Ask an operator to open the port" in said.next_step


def test_the_technical_cause_is_added_and_an_unknown_target_is_still_a_sentence() -> None:
    said = diagnose(ErrorKind.CONNECT_REFUSED, None, "errno 111")
    assert said is not None
    assert said.explanation.startswith("The target is reachable")
    assert said.explanation.endswith("Technically: errno 111.")
