"""Foreign text on a page: JSON in colours, everything else as it is, and nothing that cannot be seen."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.json_view import HIGHLIGHT_CHARS, tokens, visible

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def joined(text: str) -> str:
    return "".join(token.text for token in tokens(text))


@given(st.dictionaries(st.text(), JSON))
def test_json_means_the_same_after_it_was_indented(value: dict[str, object]) -> None:
    assert json.loads(joined(json.dumps(value))) == value


def test_numbers_and_escapes_keep_their_spelling() -> None:
    shown = joined('{"a":1.50,"b":1e3,"c":"\\u00e9\\/","d":[],"e":{}}')
    assert shown == '{\n  "a": 1.50,\n  "b": 1e3,\n  "c": "\\u00e9\\/",\n  "d": [],\n  "e": {}\n}'


def test_names_texts_numbers_and_words_are_told_apart() -> None:
    kinds = {token.text: token.kind for token in tokens('{"a":"b","c":[1,true]}')}
    assert (kinds['"a"'], kinds['"b"'], kinds["1"], kinds["true"]) == ("key", "string", "number", "word")


@pytest.mark.parametrize("text", ["", "plain", "{broken", '{"a":', "[" * 5_000, "<script>", '"' * 99])
def test_what_is_no_json_is_shown_as_it_is(text: str) -> None:
    assert joined(text) == text


def test_much_text_is_shown_without_colours() -> None:
    text = json.dumps(["x" * 100] * (HIGHLIGHT_CHARS // 100 + 1))
    assert [token.kind for token in tokens(text)] == [""]


@given(st.text())
def test_nothing_invisible_or_that_turns_the_text_is_left(text: str) -> None:
    shown = visible(text)
    assert not {c for c in shown if c in "\u202e\u2066\u200b\x00\x1b\x7f\x85"}


def test_what_cannot_be_seen_is_named() -> None:
    assert visible("a\u202eb\x00\r\nc\td") == "a⟨U+202E⟩b⟨U+0000⟩\nc\td"
