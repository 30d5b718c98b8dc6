"""A target that hangs is not noticed by the one beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.ledger import percentiles_ms
from bench.load import Load
from bench.rig import plan
from tests.acceptance.program import Gateway, RecordTarget, add_webhook

RATE_PER_S = 100.0
QUIET_S = 20.0
HUNG_S = 60.0
NOISE_MS = 25.0
"""A p99 below this is not compared: on a busy machine the scheduler alone makes such a difference."""


@pytest.mark.slow
@pytest.mark.quiet
@pytest.mark.timeout(240)
async def test_a_hanging_target_slows_no_other_webhook(tmp_path: Path) -> None:
    async with RecordTarget() as target:
        target.set("/t/hung", hang=True)
        async with Gateway(tmp_path / "data", egress_ports=[target.port]) as gateway:
            await add_webhook(gateway, target.url("/t/healthy"))
            quiet_p99_ms = await _healthy_p99_ms(gateway, target, QUIET_S)
            await add_webhook(gateway, target.url("/t/hung"))
            hung_p99_ms = await _healthy_p99_ms(gateway, target, HUNG_S)
    assert target.record("/t/hung").arrivals > 0
    assert hung_p99_ms <= max(2 * quiet_p99_ms, NOISE_MS)


async def _healthy_p99_ms(gateway: Gateway, target: RecordTarget, seconds: float) -> float:
    """Pushes at a steady rate; each event must arrive while pushing goes on, or at the latest a second after."""
    target.target.reset()
    report = await Load(plan(gateway, seconds, rate_per_s=RATE_PER_S)).run()
    assert report["accepted"] == RATE_PER_S * seconds
    healthy = target.record("/t/healthy")
    assert await target.arrived("/t/healthy", report["accepted"], timeout_s=1.0)
    assert healthy.overtaken == 0
    return percentiles_ms(healthy.lags_ns)["p99"]
