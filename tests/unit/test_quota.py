"""How many events a second a tenant may push: its own rate, the setting's, or none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.clock import Clock
from gateway.errors import Problem
from gateway.ingress.quota import Quotas
from gateway.model import Tenant


class World:
    """Tenants whose rates a test sets, and a clock that it moves."""

    def __init__(self, default_per_s: float | None = None, **rates: float | None) -> None:
        self.rates = list(rates.items())
        self.now_s = 100.0
        self.quotas = Quotas(self, default_per_s=default_per_s, clock=Clock(monotonic_s=lambda: self.now_s))

    def tenant_by_id(self, tenant_id: int) -> Tenant:
        name, rate_per_s = self.rates[tenant_id]
        return Tenant(tenant_id, name, rate_per_s)

    def taken(self, count: int, tenant_id: int = 0, at_s: float | None = None) -> int:
        """How many of so many are let in."""
        return count - sum(self.refused(tenant_id, at_s) is not None for _ in range(count))

    def refused(self, tenant_id: int = 0, at_s: float | None = None) -> Problem | None:
        try:
            self.quotas.take(tenant_id, at_s)
        except Problem as problem:
            return problem
        return None


def test_without_a_rate_nothing_is_refused() -> None:
    assert World(crm=None).taken(100_000) == 100_000


def test_a_tenant_over_its_rate_takes_nothing_from_another() -> None:
    world = World(loud=10.0, quiet=10.0)
    assert world.taken(100, 0) == 10
    assert world.taken(10, 1) == 10


def test_the_setting_holds_for_all_who_have_no_rate_of_their_own() -> None:
    world = World(5.0, any=None, big=50.0, small=2.0)
    assert [world.taken(100, tenant_id) for tenant_id in range(3)] == [5, 50, 2]


def test_a_changed_rate_holds_from_the_next_event() -> None:
    world = World(crm=1.0)
    assert world.taken(10) == 1
    world.rates[0] = ("crm", 7.0)
    assert world.taken(10) == 7
    world.rates[0] = ("crm", None)
    assert world.taken(100) == 100


@given(st.integers(1, 5_000), st.integers(1, 1_000))
def test_after_the_told_seconds_a_whole_second_of_events_is_let_in_again(rate: int, pushed: int) -> None:
    world = World(crm=float(rate))
    world.taken(rate)
    refused = world.refused()
    assert refused is not None and (refused.status, refused.type) == (429, "over-quota")
    world.now_s += int(refused.headers["Retry-After"])
    assert world.taken(pushed) == min(pushed, rate)


def test_less_than_one_event_a_second_is_told_to_wait_for_the_next() -> None:
    world = World(crm=0.1)
    assert world.refused() is None
    refused = world.refused()
    assert refused is not None and refused.headers["Retry-After"] == "10"


def test_of_one_batch_nothing_is_let_in_after_the_first_refusal() -> None:
    world = World(crm=3.0)
    at_s = world.quotas.now_s()
    let_in = []
    for _ in range(20):
        let_in.append(world.refused(at_s=at_s) is None)
        world.now_s += 0.5  # the batch takes its time; its events are one moment's all the same
    assert let_in == [True] * 3 + [False] * 17


def test_a_tenant_over_its_quota_is_named_in_the_log_once_a_minute() -> None:
    world = World(crm=1.0)
    with capture_logs() as lines:
        world.taken(100)
        world.now_s += 61.0
        world.taken(100)
    assert [(line["event"], line["tenant"]) for line in lines] == [("tenant_over_quota", "crm")] * 2
