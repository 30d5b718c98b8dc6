"""Option types and resolutions that several commands share: times, durations, secrets, names for ids.

A secret never comes from the command line's own arguments, where every process of the machine could
read it: it comes from a file, from standard input, or from a prompt that does not echo.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime
from typing import BinaryIO

import click

from gateway.cli.client import Client, Refused
from gateway.cli.text import duration_s, moment, printable

INPUT_LIMIT_BYTES = 16 * 1024 * 1024
"""More than any body that the gateway takes; a larger file is a mistake, and is not read into memory."""
SECRET_LIMIT_BYTES = 64 * 1024

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Moment(click.ParamType[str]):
    """A time as RFC 3339, as a date, or as a duration before now."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return moment(value, now=datetime.now().astimezone())
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Duration(click.ParamType[float | str]):
    """A duration in seconds or with units; `none_word` is the one word that stands for none."""

    name = "duration"

    def __init__(self, none_word: str | None = None) -> None:
        self.none_word = none_word

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if isinstance(value, float | int) or value == self.none_word:
            return value
        try:
            return duration_s(value)
        except ValueError as error:
            also = f" Or write '{self.none_word}'." if self.none_word else ""
            self.fail(f"{error}{also}", param, ctx)


def is_id(reference: str) -> bool:
    return _ID.fullmatch(reference) is not None


def resolve(client: Client, path: str, reference: str) -> str:
    """The id of the resource under `path` that `reference` names: an id as it is, else the name in the list."""
    if is_id(reference):
        return reference.lower()
    kind = {"/api/v1/access": "access", "/api/v1/webhooks": "webhook"}[path]
    found = [item for item in client.pages(path) if item.get("name") == reference]
    if not found:
        raise Refused(f"No {kind} is called '{printable(reference)}', and it is not an id.")
    if len(found) > 1:
        ids = ", ".join(str(item["id"]) for item in found)
        raise Refused(f"{len(found)} of the kind {kind} are called '{printable(reference)}'; use an id: {ids}.")
    return str(found[0]["id"])


def read_input(file: BinaryIO) -> bytes:
    """All of a file or of standard input, within a limit."""
    body = file.read(INPUT_LIMIT_BYTES + 1)
    if len(body) > INPUT_LIMIT_BYTES:
        raise click.UsageError(f"The input is larger than {INPUT_LIMIT_BYTES // (1024 * 1024)} MiB.")
    return body


def secret(file: BinaryIO | None, title: str) -> str:
    """A secret from its file, else from a prompt. One line end after it is no part of it."""
    if file is None:
        if not sys.stdin.isatty():
            raise click.UsageError(f"No {title}: name a file that holds it, or - for standard input.")
        return str(click.prompt(title, hide_input=True, err=True))
    try:
        value = file.read(SECRET_LIMIT_BYTES).decode()
    except UnicodeDecodeError:
        raise click.UsageError(f"The {title} is not text.") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise click.UsageError(f"The {title} is empty.")
    return value


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, where there is somebody to ask; a script says --yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("This cannot be undone; confirm it with --yes.")
    click.confirm(question, abort=True, err=True)
