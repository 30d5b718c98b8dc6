"""How long the pages take over a log of millions of attempts.

Run as `python -m bench.console`. The figures are of whole answers, as a browser on this machine gets them: sign-in
check, questions to the database, rendering. Invariant: it ends with status 1 where a page exceeds its bound.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from aiohttp import ClientSession

from bench.browser import signed_in
from bench.filled_log import DENSE_ACCOUNT, FilledLog, fill
from bench.process import Gateway
from gateway.store.embedded import EmbeddedPostgres

BOUND_MS = 100.0
ROUNDS = 15
WEBHOOKS = 50
ENTRY = re.compile(r'href="(/reports/logs/[0-9a-f-]{36})"')


def pages(log: FilledLog, entry: str) -> dict[str, str]:
    """The pages measured, by what they are called."""
    dead, other = log.webhook_ids[0], log.webhook_ids[7]
    week = "/reports/logs?period=all"
    return {
        "overview, 1 h": "/?period=1h",
        "overview, 24 h": "/?period=24h",
        "overview, 7 d": "/?period=7d",
        "log": "/reports/logs",
        "log, live": "/reports/logs/tail?",
        "log, yesterday": "/reports/logs?period=yesterday",
        "log, an event": f"{week}&event=call.ended",
        "log, a rare event": f"{week}&event=reg_f.declined",
        "log, a webhook": f"{week}&webhook_id={other}",
        "log, failures": f"{week}&outcome=failure",
        "log, successes": f"{week}&outcome=success",
        "log, 5xx": f"{week}&status=5xx",
        "log, a status nobody sent": f"{week}&status=418",
        "log, a success nobody sent": f"{week}&status=204",
        "log, failures of a webhook": f"{week}&webhook_id={other}&outcome=failure",
        "log, successes of one that always fails": f"{week}&webhook_id={dead}&outcome=success",
        "log, a webhook and a rare event": f"{week}&webhook_id={other}&event=reg_f.declined",
        "log, a call": f"{week}&call_id={log.call_id}",
        "log, an account": f"{week}&account_id={log.account_id}",
        "log, an account that calls all day": f"{week}&account_id={DENSE_ACCOUNT}",
        "log, an account, failures": f"{week}&account_id={DENSE_ACCOUNT}&status=503",
        "an entry": entry,
        "a call": f"/reports/calls/{log.call_id}",
        "replays": "/reports/replays",
        "webhooks": "/webhooks/settings",
        "a webhook": f"/webhooks/settings/{other}",
    }


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=5_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return await measure(Path(folder) / "data", asked.attempts)


async def measure(data_dir: Path, attempts: int) -> int:
    gateway = Gateway(data_dir)
    async with gateway, EmbeddedPostgres(data_dir) as postgres:
        ids = [await add_webhook(gateway, n) for n in range(WEBHOOKS)]
        began = time.monotonic()
        log = await fill(postgres.dsn, ids, attempts)
        print(f"{log.attempts:,} attempts in {time.monotonic() - began:.0f} s")
        async with signed_in(gateway) as browser:
            async with browser.get("/reports/logs?period=all") as answer:
                found = ENTRY.search(await answer.text())
            assert found is not None, "the log has entries"
            return await report(browser, pages(log, found[1]))


async def add_webhook(gateway: Gateway, n: int) -> str:
    body = {"name": f"hook {n}", "events": ["call.created"], "method": "POST", "url": f"https://crm.example.com/{n}"}
    webhook = await gateway.api("POST", "/webhooks", body)
    return str(webhook["id"])


async def report(browser: ClientSession, wanted: dict[str, str]) -> int:
    slow = 0
    for name, path in wanted.items():
        first_ms, *others_ms = [await took_ms(browser, path) for _ in range(ROUNDS)]
        usual_ms = statistics.median(others_ms)
        slow += usual_ms > BOUND_MS
        print(f"{name:42} {usual_ms:7.1f} ms   first {first_ms:7.1f}   most {max(others_ms):7.1f}")
    return int(slow > 0)


async def took_ms(browser: ClientSession, path: str) -> float:
    began = time.monotonic()
    async with browser.get(path) as answer:
        text = await answer.text()
    assert answer.status == 200, f"{path}: {answer.status} {text[:300]}"
    return (time.monotonic() - began) * 1000


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
