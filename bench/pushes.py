"""The bytes of a push: the same HTTP request again and again, with another payload.

Invariant: everything that is the same in every request of a plan is made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bench.plan import Plan
from bench.traffic import TYPES, Payloads, Step


class Requests:
    """Builds the bytes of a request out of steps: a batch, an envelope, or the raw payload."""

    def __init__(self, plan: Plan) -> None:
        host = urlsplit(plan.url).netloc
        fields = f"Host: {host}\r\nAuthorization: Bearer {plan.token}\r\nContent-Type: application/json\r\n"
        self._payloads = Payloads()
        self._batch = plan.batch
        path = "/v1/events/batch" if plan.batch > 1 else "/v1/events"
        self._head = f"POST {path} HTTP/1.1\r\n{fields}Content-Length: ".encode()
        self._raw_heads = tuple(
            f"POST /v1/events/{type} HTTP/1.1\r\n{fields}Content-Length: ".encode() for type in TYPES
        )
        self._raw = plan.raw
        self._tenants = Tenants(plan.tenants, skew=plan.skew) if plan.tenants else None

    def build(self, steps: Sequence[Step], sent_ns: int) -> bytes:
        if self._raw:
            return _request(self._raw_heads[steps[0].rank], self._payloads.render(steps[0], sent_ns))
        bodies = [self._payloads.render_envelope(step, sent_ns, self._tenant(step)) for step in steps]
        return _request(self._head, bodies[0] if self._batch == 1 else b"[" + b",".join(bodies) + b"]")

    def _tenant(self, step: Step) -> bytes | None:
        return None if self._tenants is None else self._tenants.of(step.call_id)


class Tenants:
    """Which tenant a call belongs to: `tenant-0000` and on, each as likely, or by Zipf's law with exponent `skew`."""

    TABLE_SIZE = 65_536

    def __init__(self, count: int, *, skew: float) -> None:
        weights = [1 / (place + 1) ** skew for place in range(count)]
        scale = self.TABLE_SIZE / sum(weights)
        table = [name for place, weight in enumerate(weights) for name in [place] * max(1, round(weight * scale))]
        self._table = [b"tenant-%04d" % place for place in table]

    def of(self, call_id: int) -> bytes:
        """The same tenant for every step of a call; a multiplicative hash scatters the calls over the table."""
        return self._table[(call_id * 2_654_435_761 >> 8) % len(self._table)]


def _request(head: bytes, body: bytes) -> bytes:
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)
