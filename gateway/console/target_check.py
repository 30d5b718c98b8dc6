"""What is to be said of a target URL, while it is typed and when it is saved.

Invariant: it says what saving would say, from the same policy; it looks nothing up and calls nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gateway.console.forms import sentence
from gateway.egress.policy import EgressPolicy
from gateway.errors import EgressRefused
from gateway.model import PortRule


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` is a CSS class: what is `bad` cannot be saved, a `waiting` matter can. `port` is to be opened first."""

    kind: Literal["good", "waiting", "bad"]
    text: str
    port: int | None = None


def check_target(url: str, *, tenant_id: int, policy: EgressPolicy, rules: Iterable[PortRule]) -> list[Finding]:
    """Nothing for nothing; one that is `bad` alone; else what to think of, or that all is well."""
    if not url:
        return []
    try:
        target = policy.parse_target(url)
        policy.check_literal(target)
    except EgressRefused as refused:
        return [Finding("bad", sentence(refused.detail))]
    findings = []
    if target.scheme == "http":
        findings.append(
            Finding(
                "waiting",
                "http is not encrypted: phone numbers and the credential can be read on the way. Use https where your "
                "system has it.",
            )
        )
    if not policy.port_is_open(target, tenant_id, rules):
        findings.append(
            Finding(
                "waiting",
                f"Port {target.port} is not open for {target.host} yet. Save the webhook all the same: that asks for "
                "the port. Its events are kept, and delivered once an operator has opened it under Ports.",
                port=target.port,
            )
        )
    return findings or [Finding("good", f"Events will go to {target.host}, port {target.port}.")]
