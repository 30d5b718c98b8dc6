"""What is declared, locked and imported is the same."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-dev.lock")


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=; ]", requirement)[0] for requirement in requirements}


def locked(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def imported(folder: str) -> set[str]:
    """The distributions whose modules are imported anywhere under a folder."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    others = found - set(sys.stdlib_module_names) - {"gateway", "tests", "bench"}
    spelled = {"yaml": "pyyaml"}
    return {spelled.get(name, name.replace("_", "-")) for name in others}


def test_what_the_program_imports_is_declared() -> None:
    assert imported("gateway") | imported("migrations") <= names(PROJECT["project"]["dependencies"])


def test_what_tests_and_benchmarks_import_is_declared() -> None:
    declared = names(PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"])
    assert imported("tests") | imported("bench") <= declared


def test_what_is_declared_is_locked() -> None:
    assert names(PROJECT["project"]["dependencies"]) <= locked("requirements.lock").keys()
    assert names(PROJECT["dependency-groups"]["dev"]) <= locked("requirements-dev.lock").keys()


def test_the_program_is_tested_with_the_versions_that_it_is_shipped_with() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash_and_none_names_a_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked(lock))
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    assert "--index" not in text
