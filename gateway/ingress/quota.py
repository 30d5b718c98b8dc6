"""How many events a second each tenant may push, so that none takes what the others need of a shared intake.

A tenant's own rate goes before the setting's, and where neither is set nothing is counted. Invariant: of what is
asked for at one moment a tenant gets the first ones and none after the first refusal, so what was refused and is
pushed again never comes before an earlier event of its call.
"""

from __future__ import annotations

import math
from typing import Protocol

import structlog

from gateway.clock import Clock
from gateway.errors import Problem
from gateway.model import Tenant
from gateway.rate import RateLimit

TELL_EVERY_S = 60.0
"""A tenant over its quota is named in the log this often at the most."""

log = structlog.get_logger(__name__)


class TenantsById(Protocol):
    """What is asked of the registry."""

    def tenant_by_id(self, tenant_id: int) -> Tenant: ...


class Quotas:
    """Owns a token bucket for each tenant that is limited: a second's worth of events at once, then its rate."""

    def __init__(self, tenants: TenantsById, *, default_per_s: float | None, clock: Clock) -> None:
        self._tenants = tenants
        self._default_per_s = default_per_s
        self._clock = clock
        self._limits: dict[int, RateLimit] = {}
        self._told_at_s: dict[int, float] = {}

    def now_s(self) -> float:
        """The moment to take at, for events that are to be counted as pushed together."""
        return self._clock.monotonic_s()

    def take(self, tenant_id: int, at_s: float | None = None) -> None:
        """Count one event, now or at a moment of `now_s`. Problem 429 with Retry-After where it is one too many."""
        tenant = self._tenants.tenant_by_id(tenant_id)
        per_s = self._default_per_s if tenant.rate_per_s is None else tenant.rate_per_s
        if per_s is None:
            return
        limit = self._limits.get(tenant_id)
        if limit is None or limit.per_s != per_s:  # new, or changed since: it begins with a full bucket
            limit = self._limits[tenant_id] = RateLimit(per_s)
        now_s = self.now_s() if at_s is None else at_s
        wait_s = limit.wait_s(now_s)
        if wait_s > 0.0:
            raise self._over(tenant, per_s, wait_s, now_s)

    def _over(self, tenant: Tenant, per_s: float, wait_s: float, now_s: float) -> Problem:
        if now_s - self._told_at_s.get(tenant.id, -math.inf) >= TELL_EVERY_S:
            self._told_at_s[tenant.id] = now_s
            log.warning("tenant_over_quota", tenant=tenant.name, rate_per_s=per_s)
        # Whole seconds (RFC 9110 §10.2.3): after one of them the bucket is full again, unless the rate is below 1/s.
        detail = f"the tenant “{tenant.name}” may push {per_s:g} events a second; nothing was stored"
        return Problem(429, "over-quota", detail, headers={"Retry-After": str(math.ceil(wait_s))})
