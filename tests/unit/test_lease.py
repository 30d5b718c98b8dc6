"""The lease and the gate: nothing starts while the right to deliver may be another's."""

from __future__ import annotations

import asyncio

import pytest

from gateway import lease as lease_module
from gateway.delivery.gate import Gate
from gateway.errors import Fenced, Unavailable
from gateway.lease import LeaseKeeper
from tests.unit.delivery.rig import until


class Lease:
    """A lease whose validity and whose answers a test decides."""

    def __init__(self) -> None:
        self.is_valid = True
        self.error: Exception | None = None
        self.renewed: list[str] = []

    async def renew(self, watermark: str) -> None:
        self.renewed.append(watermark)
        if self.error is not None:
            raise self.error


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEW_S", 0.001)


def test_the_gate_is_shut_by_each_reason_and_opened_by_the_end_of_the_last() -> None:
    gate, opened = Gate(), []
    gate.opened = lambda: opened.append(True)
    gate.shut("recorder")
    gate.shut("lease")
    gate.open("recorder")
    assert not gate.is_open and not opened
    gate.open("lease")
    gate.open("lease")
    assert gate.is_open and len(opened) == 1


def test_a_process_that_wakes_up_after_its_lease_finds_the_gate_shut_before_any_loop_has_run() -> None:
    lease = Lease()
    gate = Gate(lease_is_valid=lambda: lease.is_valid)
    assert gate.is_open
    lease.is_valid = False
    assert not gate.is_open and gate.reasons == {"lease"}
    lease.is_valid = True
    assert not gate.is_open, "until it has been renewed"


@pytest.mark.usefixtures("quick")
async def test_a_renewed_lease_opens_the_gate_again() -> None:
    lease, opened = Lease(), []
    gate = Gate(lease_is_valid=lambda: lease.is_valid)
    gate.opened = lambda: opened.append(True)
    lease.is_valid = False
    assert not gate.is_open
    lease.is_valid = True
    keeper = asyncio.create_task(LeaseKeeper(lease, gate=gate, watermark=lambda: "w").run())
    await until(lambda: gate.is_open)
    keeper.cancel()
    assert opened and set(lease.renewed) == {"w"}


@pytest.mark.usefixtures("quick")
async def test_a_store_that_is_away_shuts_the_gate_only_when_the_lease_has_run_out() -> None:
    lease = Lease()
    gate = Gate(lease_is_valid=lambda: lease.is_valid)
    lease.error = Unavailable("away")
    keeper = asyncio.create_task(LeaseKeeper(lease, gate=gate, watermark=lambda: "w").run())
    await until(lambda: len(lease.renewed) > 2)
    assert gate.is_open
    lease.is_valid = False
    await until(lambda: "lease" in gate.reasons)
    keeper.cancel()


@pytest.mark.usefixtures("quick")
async def test_another_owner_shuts_the_gate_at_once_although_the_lease_would_still_run() -> None:
    lease, gate = Lease(), Gate()
    lease.error = Fenced("another process owns the shards")
    with pytest.raises(Fenced):
        await LeaseKeeper(lease, gate=gate, watermark=lambda: "w").run()
    assert not gate.is_open
