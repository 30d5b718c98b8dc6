"""The examples under deploy/ fit the program: its metrics, its settings, its commands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.settings import KEYS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
METRICS_PAGE = (ROOT / "docs" / "metrics.md").read_text()


def metrics_named_in(text: str) -> set[str]:
    names = set(re.findall(r"\b(?:gateway|process)_[a-z_]+[a-z]\b", text))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


def documented_metrics() -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", METRICS_PAGE, re.MULTILINE))


def alert_names() -> set[str]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"]}


def test_the_alerts_watch_metrics_that_exist() -> None:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    expressions = " ".join(rule["expr"] for group in groups for rule in group["rules"])
    assert metrics_named_in(expressions)
    assert metrics_named_in(expressions) <= documented_metrics()


def test_the_dashboard_shows_metrics_that_exist() -> None:
    board = json.loads((DEPLOY / "dashboard.json").read_text())
    expressions = " ".join(target["expr"] for panel in board["panels"] for target in panel.get("targets", ()))
    own = {name for name in documented_metrics() if name.startswith("gateway_")} - {"gateway_build_info"}
    assert own <= metrics_named_in(expressions) <= documented_metrics()


def test_the_manual_names_exactly_the_alerts_on_metrics() -> None:
    assert set(re.findall(r"`(Gateway\w+)`", METRICS_PAGE)) == alert_names() - {"GatewayDown"}


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    tests = yaml.safe_load((DEPLOY / "alerts_test.yml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    assert {check["alertname"] for check in checks if check.get("exp_alerts")} == alert_names()


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs Prometheus's promtool (Debian: prometheus)")
def test_the_alerts_do_what_they_say() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", DEPLOY / "alerts_test.yml"], capture_output=True, text=True, cwd=DEPLOY
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "gateway.service", "kubernetes.yaml", "README.md"])
def test_the_examples_use_settings_that_exist(name: str) -> None:
    named = set(re.findall(r"GATEWAY_([A-Z_]+[A-Z])\b", (DEPLOY / name).read_text()))
    assert {setting.lower() for setting in named} <= KEYS


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml", "prometheus.yml"])
def test_the_examples_are_well_formed(name: str) -> None:
    assert all(list(yaml.safe_load_all((DEPLOY / name).read_text())))


def test_the_image_is_made_of_files_that_exist() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    let_through = re.findall(r"^!(\S+)", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(let_through)
    assert all((ROOT / path).exists() for path in copied)
