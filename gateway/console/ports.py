"""Operations → Ports: what webhooks have asked for, and what operators have decided.

Invariant: a decision is taken by those who may take it through the API, and the page says whom it concerns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from gateway.admin.ports import PortApi, check_decider
from gateway.admin.schemas import PortIn
from gateway.console.forms import Errors, Form, field_errors
from gateway.console.visit import Page, Visit
from gateway.console.words import webhook_title
from gateway.egress.policy import EgressPolicy
from gateway.egress.target import DEFAULT_PORTS
from gateway.errors import Problem
from gateway.http import parse
from gateway.model import PortRule, PortState, Role, Webhook
from gateway.registry.registry import Registry

PATH = "/operations/ports"
ORDER = {PortState.ASKED: 0, PortState.OPEN: 1, PortState.DENIED: 2}
SHOWN_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Row:
    """A rule with the webhooks that it concerns."""

    rule: PortRule
    webhooks: list[Webhook]


class PortPages:
    def __init__(self, registry: Registry, policy: EgressPolicy) -> None:
        self._registry = registry
        self._policy = policy
        self._api = PortApi(registry)

    def pages(self) -> list[Page]:
        one = PATH + "/{id}"
        return [
            Page(method="GET", path=PATH, handler=self.index),
            Page(method="POST", path=PATH, handler=self.add, role=Role.OPERATOR),
            Page(method="POST", path=one, handler=self.decide, role=Role.OPERATOR),
            Page(method="POST", path=one + "/close", handler=self.close, role=Role.OPERATOR),
        ]

    async def index(self, visit: Visit) -> web.Response:
        return self._page(visit, Form())

    async def add(self, visit: Visit) -> web.Response:
        data: dict[str, Any] = {"port": visit.form.number("port")}
        data |= {name: visit.form.text(name) for name in ("host", "tenant") if name in visit.form}
        try:
            rule = await self._api.add(parse(PortIn, data), visit.who)
        except Problem as problem:
            return self._page(visit, visit.form, field_errors(problem))
        return visit.redirect(PATH, notice=f"Port {rule.port} is open{_for_host(rule)}.")

    async def decide(self, visit: Visit) -> web.Response:
        check_decider(visit.who)
        rule = self._api.find(visit.id(), visit.who)
        state = PortState.DENIED if visit.form.text("state") == PortState.DENIED else PortState.OPEN
        await self._registry.change_port(rule.id, state, by=visit.who.actor)
        said = "is open; what waited for it is being delivered" if state is PortState.OPEN else "stays closed"
        return visit.redirect(PATH, notice=f"Port {rule.port}{_for_host(rule)} {said}.")

    async def close(self, visit: Visit) -> web.Response:
        check_decider(visit.who)
        rule = self._api.find(visit.id(), visit.who)
        await self._registry.remove_port(rule.id, by=visit.who.actor)
        return visit.redirect(PATH, notice=f"The decision on port {rule.port}{_for_host(rule)} was taken back.")

    def _page(self, visit: Visit, form: Form, errors: Errors | None = None) -> web.Response:
        rules = sorted(
            self._registry.ports(visit.who.tenant_id), key=lambda rule: (ORDER[rule.state], rule.port, rule.host or "")
        )
        concerned = by_port(self._registry.webhooks(visit.who.tenant_id))
        context: dict[str, Any] = {
            "rows": [Row(rule, _needing(rule, concerned)) for rule in rules[:SHOWN_LIMIT]],
            "unshown": max(0, len(rules) - SHOWN_LIMIT),
            "open_from_start": sorted(self._policy.open_from_start),
            "may_decide": visit.is_operator and visit.who.tenant_id is None,
            "form": form,
            "errors": errors or Errors(),
        }
        return visit.page("ports.html", status=422 if errors else 200, **context)


def by_port(webhooks: Iterable[Webhook]) -> dict[int, list[tuple[str, Webhook]]]:
    """The webhooks by the port of their target, each with the target's host."""
    found: dict[int, list[tuple[str, Webhook]]] = {}
    for webhook in sorted(webhooks, key=lambda each: webhook_title(each).casefold()):
        try:
            split = urlsplit(webhook.url)
            port = split.port or DEFAULT_PORTS[split.scheme.lower()]
        except (ValueError, KeyError):  # a URL that today's rules would refuse
            continue
        found.setdefault(port, []).append((split.hostname or "", webhook))
    return found


def _needing(rule: PortRule, concerned: dict[int, list[tuple[str, Webhook]]]) -> list[Webhook]:
    return [
        webhook
        for host, webhook in concerned.get(rule.port, [])
        if rule.host in (None, host) and rule.tenant_id in (None, webhook.tenant_id)
    ]


def _for_host(rule: PortRule) -> str:
    return f" for {rule.host}" if rule.host else ""
