"""The command line's HTTP client: one connection to one gateway, answers as bytes, failures as exit codes.

It is synchronous and on the standard library, because a command makes few requests and importing aiohttp
costs more than all of them. Every failure leaves here as a `CliError` whose message a person can act on;
no other exception of the network or of HTTP crosses this boundary.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

import click

from gateway.cli.text import printable

DEFAULT_URL = "http://127.0.0.1:8080"
PAGE_ITEMS = 500
"""The largest page that the API gives."""
IDLE_LIMIT_S = 5.0
"""A connection unused for longer is not trusted: the gateway may have closed it just as the request leaves."""

Item = dict[str, Any]
Query = Mapping[str, str | int | float | None]


class CliError(click.ClickException):
    """A command that failed: what to say on stderr, and the exit code."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"Error: {printable(self.message, lines=True)}", file=file, err=True)


class Refused(CliError):
    """The gateway said no (4xx), or what it said makes no sense."""

    exit_code = 1


class Unreachable(CliError):
    """Nothing that speaks HTTP answered."""

    exit_code = 3


class GatewayUnavailable(CliError):
    """The gateway answered that it cannot do this now (5xx)."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `body` is as it came, so that scripts see the gateway's own bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refused("The answer is not JSON: is the URL that of a gateway?") from None

    def item(self) -> Item:
        value = self.json()
        if not isinstance(value, dict):
            raise Refused("The answer is not a JSON object: is the URL that of a gateway?")
        return value


class Client:
    """One gateway, seen through its public API. Not safe for use from two threads at once."""

    def __init__(self, url: str, token: str | None, *, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.UsageError(f"'{printable(url)}' is not a URL: http://HOST:PORT or https://HOST is.")
        try:
            self._port = parts.port
        except ValueError:
            raise click.UsageError(f"'{printable(url)}' has a port that is not a number up to 65535.") from None
        self.url = url.rstrip("/")
        self.token = token
        self._tls = parts.scheme == "https"
        self._host = parts.hostname
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self._used_at = 0.0

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, query: Query | None = None) -> Answer:
        return self.request("GET", path, query=query)

    def post(self, path: str, body: object = None) -> Answer:
        return self.request("POST", path, body=_encoded(body))

    def patch(self, path: str, body: object) -> Answer:
        return self.request("PATCH", path, body=_encoded(body))

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    def pages(self, path: str, query: Query | None = None, *, limit: int | None = None) -> Iterator[Item]:
        """Walk a list in its own order, page by page, up to `limit` items (None: all of them)."""
        left = limit
        cursor: str | None = None
        while left is None or left > 0:
            size = PAGE_ITEMS if left is None else min(left, PAGE_ITEMS)
            page = self.get(path, {**(query or {}), "limit": size, "cursor": cursor}).item()
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return
            if left is not None:
                left -= len(page["items"])

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. Raises `Refused`, `GatewayUnavailable` or `Unreachable`; `path` starts with a slash."""
        set_query = {name: value for name, value in (query or {}).items() if value is not None}
        target = self._prefix + path + (f"?{urlencode(set_query)}" if set_query else "")
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        answer = self._exchange(method, target, body, sent)
        if 200 <= answer.status < 300:
            return answer
        raise problem_error(answer, url=self.url)

    def _exchange(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if time.monotonic() - self._used_at > IDLE_LIMIT_S:
            self.close()
        connection = self._connection or self._connect()
        self._connection = connection
        try:
            connection.request(method, target, body=body, headers=dict(headers))
            response = connection.getresponse()
            answer = Answer(response.status, _lower(response.getheaders()), response.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(self._explained(error)) from error
        self._used_at = time.monotonic()
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _explained(self, error: OSError | http.client.HTTPException) -> str:
        if isinstance(error, ConnectionRefusedError):
            return (
                f"No gateway answers at {self.url}: the connection was refused.\n"
                "Start one with `gateway serve`, or name another with --url or GATEWAY_URL."
            )
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"The certificate of {self.url} is not trusted: {error.verify_message}."
        if isinstance(error, TimeoutError):
            return f"No answer from {self.url} within {self._timeout_s:g} s."
        if isinstance(error, http.client.HTTPException):
            return f"What answers at {self.url} does not speak HTTP, or broke off ({type(error).__name__})."
        return f"{self.url} cannot be reached: {error.strerror or error}."


def problem_error(answer: Answer, *, url: str) -> CliError:
    """An answer that is not 2xx as the error to show: its problem details in one or few lines."""
    problem = _problem(answer)
    if problem is None:
        message = f"{url} answered {answer.status} without saying why: is it a gateway?"
    else:
        kind = str(problem.get("type", "")).rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        said = str(problem.get("detail") or problem.get("title") or "The request was refused.")
        message = f"{said} ({answer.status}{f' {kind}' if kind else ''})"
        wrongs = problem.get("errors") or ()
        if len(wrongs) > 1 or any(str(wrong.get("detail")) not in said for wrong in wrongs):
            message += "".join(f"\n  {wrong.get('pointer') or '/'}: {wrong.get('detail')}" for wrong in wrongs)
    if answer.status == 401:
        message += "\nPass a valid token with --token, GATEWAY_TOKEN or GATEWAY_TOKEN_FILE."
    if "retry-after" in answer.headers:
        message += f"\nTry again in {answer.headers['retry-after']} s."
    if answer.status >= 500:
        return GatewayUnavailable(message)
    return Refused(message)


def _problem(answer: Answer) -> Item | None:
    try:
        value = json.loads(answer.body)
    except ValueError:
        return None
    return value if isinstance(value, dict) and ("title" in value or "detail" in value) else None


def _lower(headers: list[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def _encoded(body: object) -> bytes | None:
    return None if body is None else json.dumps(body, ensure_ascii=False).encode()
