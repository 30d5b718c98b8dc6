"""JSON and other foreign text as a page shows it: indented, in colours, and without power over the page or its reader.

Invariant: what is shown is the text that came, spelled as it came; only white space between tokens is ours, and
characters that nobody can see, or that turn the direction of reading, stand as their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

HIGHLIGHT_CHARS = 64 * 1024
"""Beyond this much, text is shown as it is: a browser would choke on the colours."""
INDENT = "  "

_TOKEN = re.compile(r'\s+|"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is a CSS class: `key`, `string`, `number`, `word` or empty."""

    text: str
    kind: str = ""


def visible(text: str) -> str:
    """With what cannot be seen spelled out as `⟨U+202E⟩`; line ends and tabs stay."""
    return _INVISIBLE.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", text.replace("\r\n", "\n"))


def tokens(text: str) -> list[Token]:
    """`text` indented and in tokens where it is JSON of a size to be shown so; else all of it as one."""
    if len(text) > HIGHLIGHT_CHARS or not _is_json(text):
        return [Token(visible(text))]
    return list(_indented([found.group() for found in _TOKEN.finditer(text) if not found.group().isspace()]))


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _indented(pieces: list[str]) -> Iterator[Token]:
    depth = 0
    for place, piece in enumerate(pieces):
        before = pieces[place - 1] if place else ""
        after = pieces[place + 1] if place + 1 < len(pieces) else ""
        if piece in "}]":
            depth -= 1
            if before not in "{[":
                yield Token("\n" + INDENT * depth)
        if piece == ":":
            yield Token(": ")
        elif piece == ",":
            yield Token(",\n" + INDENT * depth)
        else:
            yield Token(visible(piece), _kind(piece, after))
        if piece in "{[":
            depth += 1
            if after not in "}]":
                yield Token("\n" + INDENT * depth)


def _kind(piece: str, after: str) -> str:
    if piece.startswith('"'):
        return "key" if after == ":" else "string"
    if piece in "{}[]":
        return ""
    return "word" if piece in ("true", "false", "null") else "number"
