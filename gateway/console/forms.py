"""What a browser submits: reading a form, and saying at each field what is wrong with it.

Invariant: a form is checked by the API's own models, so both have the same rules and the same words; this only
translates between a form's texts and a model's members.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.errors import FieldError, Problem
from gateway.http import read_body

FORM_BYTES = 64 * 1024
FIELDS_LIMIT = 200
CONTENT_TYPE = "application/x-www-form-urlencoded"


class Form:
    """The texts of a form, by the names of its fields. A field that was left blank counts as not given."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return bool(self.text(name))

    def raw(self, name: str) -> str:
        """As it was typed, for a secret, where blanks count."""
        return self._values.get(name, [""])[0]

    def text(self, name: str) -> str:
        """Without blanks around it; empty where it was not given."""
        return self.raw(name).strip()

    def all(self, name: str) -> list[str]:
        """Of a field that may be given several times, such as a group of check boxes."""
        return [value for value in self._values.get(name, []) if value]

    def number(self, name: str) -> float | int | str:
        """A number where it is one; else the text, for the model to refuse in its own words."""
        text = self.text(name)
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        return text


async def read_form(request: web.Request, limit_bytes: int) -> Form:
    """Problem 415 where the body is no form, 413 or 408 where it is too large or too slow."""
    if request.content_type != CONTENT_TYPE:
        raise Problem(415, "unsupported-media-type", "a form is expected here")
    body = await read_body(request, limit_bytes)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_LIMIT, errors="strict")
    except ValueError:
        raise Problem(400, "bad-form", "the form could not be read") from None
    return Form(pairs)


class Errors(dict[str, str]):
    """What is wrong, by the name of its field; empty for a field that is right.

    What concerns no field, or the form as a whole, stands under the empty name.
    """

    def __missing__(self, name: str) -> str:
        return ""


def field_errors(problem: Problem) -> Errors:
    """A problem's errors at their fields: the first segment of a pointer, or the parameter's name."""
    errors = Errors()
    for error in problem.errors or (FieldError("", problem.detail),):
        name = error.pointer.removeprefix("/").partition("/")[0]
        errors.setdefault(name, sentence(_plain(error.detail)))
    return errors


PLAIN = (
    ("List should have at least 1 item", "Choose at least one"),
    (" after validation, not 0", ""),
    ("Input should be", "This must be"),
    ("String should have", "This must have"),
)
"""What a model says of an input, and how it is said of a field."""


def _plain(text: str) -> str:
    for said, plain in PLAIN:
        text = text.replace(said, plain)
    return text


def sentence(text: str) -> str:
    """Begun with a capital and ended with a full stop: the API's words are parts of a sentence, a page's are not."""
    text = text.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")
