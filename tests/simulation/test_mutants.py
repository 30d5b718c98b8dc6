"""The simulation can fail: a gateway that is wrong in one thing is caught, in histories that the real one passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from gateway.telemetry.metrics import Metrics
from tests.simulation.history import run
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.mutants_of_rules import RULES


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.mark.parametrize("mutant", [*MUTANTS, *RULES], ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    metrics = Metrics(version="0")
    histories = (run(seed, metrics=metrics, make=mutant.make, mix=mutant.mix) for seed in range(mutant.within))
    assert any(history.violations for history in histories)
