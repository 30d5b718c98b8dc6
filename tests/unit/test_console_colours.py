"""Every pair of text and ground of the console's design meets WCAG 2.2 AA, in light and in dark."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = (files("gateway.console") / "static" / "console.css").read_text()
ROOTS = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
LIGHT = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", ROOTS[0]))
DARK = LIGHT | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", ROOTS[1]))
TEXTS = ("text", "muted", "accent", "good", "waiting", "bad")
GROUNDS = ("ground", "surface", "sunken")
PAIRS = [
    *((text, ground) for text in TEXTS for ground in GROUNDS),
    ("accent-text", "accent"),
    ("accent", "accent-tint"),
    *(("text", f"{kind}-tint") for kind in ("good", "waiting", "bad")),
    *((kind, f"{kind}-tint") for kind in ("good", "waiting", "bad")),
]


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(theme: dict[str, str]) -> None:
    weak = {pair: contrast(theme[pair[0]], theme[pair[1]]) for pair in PAIRS}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_edges_of_what_can_be_used_stand_out(theme: dict[str, str]) -> None:
    assert min(contrast(theme["edge"], theme[ground]) for ground in ("ground", "surface")) >= 3


def test_both_themes_name_the_same_colours() -> None:
    assert set(re.findall(r"--([\w-]+): #", ROOTS[0])) == set(re.findall(r"--([\w-]+): #", ROOTS[1]))
