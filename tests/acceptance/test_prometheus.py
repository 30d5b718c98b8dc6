"""A real Prometheus scrapes the program with the files of deploy/: every expression that is shown there has data."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientError, ClientSession

from bench.process import free_port
from gateway.catalog import BY_NAME
from tests.acceptance.program import Gateway, RecordTarget, add_webhook

DEPLOY = Path(__file__).parents[2] / "deploy"
INTERVAL = "200ms"
POLL_S = 0.1
NOTHING_WRONG = "gateway_breaker_open"
"""Expressions that show only what is wrong have no data while nothing is."""

pytestmark = pytest.mark.skipif(not shutil.which("prometheus"), reason="needs Prometheus (Debian: prometheus)")


class Prometheus:
    """A server that scrapes one gateway, asked over its own HTTP API."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def asked(self, path: str, **parameters: str) -> Any:
        async with self._session.get(f"/api/v1/{path}", params=parameters) as answer:
            answered = await answer.json()
            assert answered["status"] == "success", (parameters, answered)
            return answered["data"]

    async def value(self, expression: str) -> list[Any]:
        """The samples of a query, now."""
        return list((await self.asked("query", query=expression))["result"])

    async def until(self, expression: str) -> None:
        """Until it has a sample; the test's time limit ends it otherwise."""
        while not await self.value(expression):
            await asyncio.sleep(POLL_S)


@pytest.fixture
async def target() -> AsyncIterator[RecordTarget]:
    async with RecordTarget() as target:
        yield target


@pytest.fixture
async def gateway(tmp_path: Path, target: RecordTarget) -> AsyncIterator[Gateway]:
    async with Gateway(tmp_path / "data", egress_ports=[target.port]) as gateway:
        yield gateway


@pytest.fixture
async def prometheus(gateway: Gateway) -> AsyncIterator[Prometheus]:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL}
    config["rule_files"] = [str(DEPLOY / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [gateway.url.removeprefix("http://")]
    url = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="prometheus-") as folder:
        file = Path(folder) / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        process = await asyncio.create_subprocess_exec(
            "prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={url}", "--log.level=error",
        )  # fmt: skip
        try:
            async with ClientSession(f"http://{url}") as session:
                while not await _is_ready(session):
                    assert process.returncode is None, "Prometheus did not start"
                    await asyncio.sleep(POLL_S)
                yield Prometheus(session)
        finally:
            if process.returncode is None:
                os.kill(process.pid, signal.SIGTERM)
            await process.wait()


async def _is_ready(session: ClientSession) -> bool:
    try:
        async with session.get("/-/ready") as answer:
            return answer.status == 200
    except ClientError:
        return False


async def test_prometheus_scrapes_all_that_the_dashboard_shows_and_the_alerts_watch(
    gateway: Gateway, target: RecordTarget, prometheus: Prometheus
) -> None:
    await prometheus.until("gateway_attempts_total")  # an increase is seen only from one scrape to another
    await add_webhook(gateway, target.url("/t/crm"))
    sample = json.loads(BY_NAME["call.created"].sample)
    envelopes = [{"type": "call.created", "id": str(number), "data": sample} for number in range(20)]
    assert all("id" in result for result in await gateway.push([*envelopes, envelopes[0]]))
    await prometheus.until('sum(gateway_deliveries_total{outcome="success"}) == 20')
    assert (await prometheus.value("sum(gateway_events_accepted_total)"))[0]["value"][1] == "20"
    assert (await prometheus.value("sum(gateway_events_duplicate_total)"))[0]["value"][1] == "1"
    (scraped,) = (await prometheus.asked("targets"))["activeTargets"]
    assert scraped["health"] == "up" and not scraped["lastError"]
    for expression in shown_on_the_dashboard():
        if NOTHING_WRONG not in expression:
            await prometheus.until(expression)
    rules = [rule for group in (await prometheus.asked("rules"))["groups"] for rule in group["rules"]]
    assert rules and {rule["health"] for rule in rules} == {"ok"}, rules
    assert {rule["state"] for rule in rules} == {"inactive"}


async def test_prometheus_notices_a_gateway_that_is_killed(gateway: Gateway, prometheus: Prometheus) -> None:
    await prometheus.until('up{job="gateway"} == 1')
    gateway.kill9()
    await gateway.ended()
    await prometheus.until('ALERTS{alertname="GatewayDown", alertstate="pending"}')


def shown_on_the_dashboard() -> list[str]:
    board = json.loads((DEPLOY / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [each.replace("$job", "gateway").replace("$__rate_interval", "30s") for each in expressions]
