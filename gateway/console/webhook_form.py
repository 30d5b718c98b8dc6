"""A webhook as a form: from its settings to the texts of fields, and from those to what the API's models take.

Invariant: what a form shows of a webhook and is sent back unchanged, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from gateway.admin.schemas import DEFAULTS
from gateway.console.forms import Form
from gateway.model import Webhook

NEVER = "never"
"""What stands for an empty retry schedule: a blank field means the gateway's own."""
UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
MORE = ("name", "timeout_s", "max_in_flight", "rate_per_s", "retry_schedule", "order_wait_s")
"""The fields under *More*, which are in view only where one of them is wrong."""


def blank() -> Form:
    """A new webhook, as HCC's guide has it: POST, and every setting the usual one."""
    return Form(
        [
            ("method", "POST"),
            ("timeout_s", plain(DEFAULTS["timeout_s"])),
            ("max_in_flight", plain(DEFAULTS["max_in_flight"])),
            ("ordered", "on"),
            ("order_wait_s", span(DEFAULTS["order_wait_s"])),
        ]
    )


def as_form(webhook: Webhook) -> Form:
    wait_s = DEFAULTS["order_wait_s"] if webhook.order_wait_s is None else webhook.order_wait_s
    return Form(
        [
            ("name", webhook.name),
            *(("events", event) for event in sorted(webhook.events)),
            ("method", webhook.method),
            ("url", webhook.url),
            ("access_id", webhook.access.id if webhook.access else ""),
            ("timeout_s", plain(webhook.timeout_s)),
            ("max_in_flight", plain(webhook.max_in_flight)),
            ("rate_per_s", "" if webhook.rate_per_s is None else plain(webhook.rate_per_s)),
            ("retry_schedule", _schedule_text(webhook.retry_schedule_s)),
            ("ordered", "" if webhook.order_wait_s is None else "on"),
            ("order_wait_s", span(wait_s)),
        ]
    )


def as_data(form: Form) -> dict[str, Any]:
    """What `WebhookIn` and `WebhookPatch` take; a setting that was emptied is the usual one again."""
    data: dict[str, Any] = {
        "name": form.text("name") or None,
        "events": form.all("events"),
        "method": form.text("method"),
        "url": form.text("url"),
        "access_id": form.text("access_id") or None,
        "rate_per_s": form.number("rate_per_s") if "rate_per_s" in form else None,
        "retry_schedule": _schedule(form.text("retry_schedule")),
    }
    for name in ("timeout_s", "max_in_flight"):
        data[name] = form.number(name) if name in form else DEFAULTS[name]
    wait = form.number("order_wait_s") if "order_wait_s" in form else DEFAULTS["order_wait_s"]
    data["order_wait_s"] = wait if "ordered" in form else None
    return data


def as_new(form: Form) -> dict[str, Any]:
    """The same of a webhook that is not saved yet: it has a customer, where there is a choice."""
    tenant = form.text("tenant")
    return as_data(form) | ({"tenant": tenant} if tenant else {})


def span(seconds: float) -> str:
    """A duration as one number and the largest unit that fits it whole, which can be typed back: `90m`, `2.5s`."""
    for size, unit in UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{plain(seconds)}s"


def schedule_in_words(schedule_s: Sequence[float]) -> str:
    return ", ".join(span(wait_s) for wait_s in schedule_s)


def _schedule_text(schedule_s: Sequence[float] | None) -> str:
    if schedule_s is None:
        return ""
    return schedule_in_words(schedule_s) or NEVER


def _schedule(text: str) -> str | list[str] | None:
    if not text:
        return None
    return [] if text.lower() == NEVER else text


def plain(value: float) -> str:
    """A number as people write it: all of its digits, no exponent, and no fraction that is none."""
    return f"{Decimal(repr(value)).normalize():f}"
