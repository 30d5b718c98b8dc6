"""The README says what is there: its settings, its links, its targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.settings import KEYS, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_table_of_settings_is_complete() -> None:
    table = README.partition("## Settings")[2].partition("## More")[0]
    rows = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    named = {name.lower() for name in re.findall(r"`GATEWAY_(\w+)`", rows)}
    assert named == {key for key in KEYS if not key.endswith("_file")}


@pytest.mark.parametrize(
    ("variable", "field"),
    [("GATEWAY_RETRY_SCHEDULE", "retry_schedule_s"), ("GATEWAY_EGRESS_PORTS", "egress_ports")],
)
def test_the_defaults_in_the_table_are_the_programs(variable: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(rf"^\| `{variable}` \| `([^`]+)` \|", README, re.MULTILINE)
    assert found is not None
    monkeypatch.setenv(variable, found[1])
    assert getattr(Settings.load(), field) == getattr(Settings(), field)


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "deploy/README.md", *sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")
)])  # fmt: skip
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    broken = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert broken == []


def test_the_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)\b", README)) <= targets
