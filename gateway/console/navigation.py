"""The pages that the navigation names, in the order in which it shows them.

Invariant: whoever may open a page finds it here, and nobody finds one that they may not open.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Role


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the navigation. `role` is the least that may open it."""

    title: str
    path: str
    role: Role = Role.VIEWER


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one heading, or under none."""

    title: str
    entries: tuple[Entry, ...]


NAVIGATION = (
    Group("", (Entry("Overview", "/"),)),
    Group(
        "Webhooks",
        (
            Entry("Access Setup", "/webhooks/access"),
            Entry("Webhook Settings", "/webhooks/settings"),
            Entry("Event Catalog", "/webhooks/events"),
        ),
    ),
    Group("Reports", (Entry("Webhooks Logs", "/reports/logs"), Entry("Replays", "/reports/replays"))),
    Group(
        "Operations",
        (
            Entry("Ports", "/operations/ports"),
            Entry("Rejected events", "/operations/rejected"),
            Entry("Tokens", "/operations/tokens", Role.ADMIN),
            Entry("Audit", "/operations/audit", Role.OPERATOR),
        ),
    ),
)


def active_path(path: str) -> str:
    """The path of the entry that a page belongs to; empty where it belongs to none."""
    for group in NAVIGATION:
        for entry in group.entries:
            if path == entry.path or (entry.path != "/" and path.startswith(entry.path + "/")):
                return entry.path
    return ""
