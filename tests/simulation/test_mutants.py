"""The simulation can fail: a gateway that is wrong in one thing is caught within a few hundred histories."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from gateway.telemetry.metrics import Metrics
from tests.simulation.history import run
from tests.simulation.mutants import MUTANTS, Mutant

HISTORIES = 300


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    metrics = Metrics(version="0")
    assert any(run(seed, metrics=metrics, make=mutant.make).violations for seed in range(mutant.within))


def test_what_catches_the_mutants_passes_the_gateway_itself() -> None:
    metrics = Metrics(version="0")
    assert [found for seed in range(HISTORIES) for found in run(seed, metrics=metrics).violations] == []
