"""How answers are shown: aligned tables for people, the gateway's own JSON for scripts.

What people see on a terminal is coloured and fits it; through a pipe it is plain and never cut. Cells
are made printable here, so that no value from outside can drive the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from gateway.cli.client import Answer, Item
from gateway.cli.connection import Session
from gateway.cli.text import printable

if TYPE_CHECKING:
    from rich.console import Console

GAP = 2
PIPE_COLUMNS = 10_000
"""Through a pipe no row wraps."""

STYLES = {
    "active": "green", "open": "green", "success": "green", "delivered": "green", "done": "green",
    "paused": "yellow", "queued": "yellow", "retrying": "yellow", "held": "yellow", "asked": "yellow",
    "running": "yellow", "cancelled": "yellow",
    "blocked": "red", "denied": "red", "failed": "red", "failure": "red",
}  # fmt: skip
"""The words of the API that carry a colour."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column or field: its title, and what it shows: a member's name, or a function of the item.

    One that `wraps` may be broken at its spaces where the terminal is narrow.
    """

    title: str
    value: str | Callable[[Item], object]
    wraps: bool = False

    def of(self, item: Item) -> str:
        value = self.value(item) if callable(self.value) else item.get(self.value)
        return shown(value)


def shown(value: object) -> str:
    """A JSON value as a reader expects it: nothing for null, yes and no, lists with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(shown(one) for one in value)
    if isinstance(value, dict):
        return printable(json.dumps(value, ensure_ascii=False))
    return printable(str(value))


def print_list(session: Session, items: Iterable[Item], columns: Sequence[Column], *, empty: str) -> None:
    """A list: a JSON array for scripts, else a table, else the sentence that says that there is nothing."""
    if session.as_json:
        print_json(list(items))
        return
    rows = [[column.of(item) for column in columns] for item in items]
    if rows:
        print_table(columns, rows)
    else:
        click.echo(empty, err=True)


def print_item(session: Session, answer: Answer, fields: Sequence[Column]) -> None:
    """One resource: the answer's own bytes for scripts, else a line for each field that has a value."""
    if session.as_json:
        print_raw(answer)
    else:
        print_fields(answer.item(), fields)


def print_fields(item: Item, fields: Sequence[Column]) -> None:
    from rich.text import Text

    values = [(field.title, text) for field in fields if (text := field.of(item))]
    width = max((len(title) for title, _ in values), default=0)
    screen = console()
    for title, text in values:
        line = Text.assemble((f"{title:<{width}}  ", "bold"), (text, STYLES.get(text, "")))
        screen.print(line, soft_wrap=True)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    # An id or a URL that is broken apart cannot be copied: rather let a narrow terminal wrap the line itself.
    needed = [_widest(column, [column.title, *(row[place] for row in rows)]) for place, column in enumerate(columns)]
    screen = console()
    screen.width = max(screen.width, sum(needed) + GAP * len(needed))
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.title, no_wrap=not column.wraps)
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    screen.print(table)


def _widest(column: Column, cells: Iterable[str]) -> int:
    """The columns of the screen that the longest part takes which may not be broken."""
    from rich.cells import cell_len

    parts = (part for cell in cells for part in (cell.split() if column.wraps else [cell]))
    return max(map(cell_len, parts), default=0)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_json_line(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    sys.stdout.flush()


def print_raw(answer: Answer) -> None:
    click.echo(answer.body)


def note(text: str) -> None:
    """Something for the person at the terminal that is not the command's result."""
    click.echo(printable(text, lines=True), err=True)


def console() -> Console:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else PIPE_COLUMNS, highlight=False, markup=False, emoji=False)
