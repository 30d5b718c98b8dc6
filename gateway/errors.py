"""The errors that cross a module boundary, each of which a user of the gateway may see.

A failed delivery is a value (`model.Outcome`), never one of these. An exception here means that a
caller was wrong (`Problem`) or that the infrastructure is (`Unavailable` and its kin).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class GatewayError(Exception):
    """The root of everything that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with an input: where (an RFC 6901 JSON pointer, or a parameter's name) and what."""

    pointer: str
    detail: str


class Problem(GatewayError):
    """An RFC 9457 problem: what a caller did wrong, where, and what to do about it.

    `type` is the stable last segment of the problem's URI (`validation`, `not-found`, …); `detail` is a
    sentence for people. `errors` lists the offending fields of a validation problem. `headers` are
    sent along (`Retry-After`, `WWW-Authenticate`).
    """

    def __init__(
        self,
        status: int,
        type: str,
        detail: str,
        *,
        title: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.type = type
        self.title = title or type.replace("-", " ").capitalize()
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


class SettingsError(GatewayError):
    """A setting is wrong; the message names the variable, the value (never a secret's) and what is allowed."""


class EgressRefused(GatewayError):
    """A target may not be called: its URL form, its address or its port is refused.

    `kind` is stable: `url`, `address`, `port`, `dns`.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Unavailable(GatewayError):
    """The store cannot take or answer this now; the caller may try again after `retry_after_s`."""

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Fenced(GatewayError):
    """Another process owns the shards now; nothing that this one still writes may count."""
