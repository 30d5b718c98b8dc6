"""What the demo shows: where everything is, a line of what flows, and the sum at the end.

On a terminal the line is rewritten in place; elsewhere it is printed now and then, so that a log stays readable.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click

from gateway.cli.demo_ledger import Figures
from gateway.cli.waiting import set_within

TERMINAL_PERIOD_S = 0.5
PIPE_PERIOD_S = 5.0
CLEAR_LINE = "\r\x1b[2K"


def introduce(*, url: str, sign_in_url: str, token: str, token_path: Path, log_path: Path, data_dir: Path) -> None:
    """Say where everything is."""
    places = (
        ("Console", url),
        ("Sign in with", f"{sign_in_url}  (once, within 15 minutes)"),
        ("Another link", f"gateway token sign-in-link --url {url} --data-dir {data_dir}"),
        ("Admin token", f"{token}  (kept in {token_path})"),
        ("API", f"{url}/docs"),
        ("Metrics", f"{url}/metrics"),
        ("Follow the log", f"gateway logs --follow --url {url} --data-dir {data_dir}"),
        ("Gateway's own log", str(log_path)),
    )
    click.echo()
    for title, place in places:
        click.echo(f"  {click.style(f'{title:<18}', bold=True)} {place}")
    click.echo(
        "\n  A simulated switch pushes calls, three simulated systems of record take them. Ctrl-C stops it all.\n"
    )


async def show(figures: Callable[[], Figures], stop: asyncio.Event) -> None:
    """Show what flows until `stop` is set, and then what has flown."""
    terminal = sys.stdout.isatty()
    while True:
        ended = await set_within(stop, TERMINAL_PERIOD_S if terminal else PIPE_PERIOD_S)
        text = line(figures())
        if terminal:
            click.echo(CLEAR_LINE + text[: shutil.get_terminal_size().columns - 1], nl=ended)
        else:
            click.echo(text)
        sys.stdout.flush()
        if ended:
            return


def line(figures: Figures) -> str:
    """What flows, in one line; what should not be is named only where it is."""
    parts = [
        f"accepted {figures.accepted:,}",
        f"delivered {figures.delivered:,}",
        f"answered 503 {figures.turned_away:,}",
        f"retried {figures.retried:,}",
        f"on the way {figures.owed:,}",
    ]
    if figures.lag_p50_ms is not None and figures.lag_p99_ms is not None:
        parts.append(f"lag p50 {figures.lag_p50_ms:.1f} ms p99 {figures.lag_p99_ms:.1f} ms")
    if figures.pushed_again:
        parts.append(f"pushed again {figures.pushed_again:,}")
    unwanted = (("NOT ACCEPTED", figures.refused), ("DOUBLED", figures.doubled), ("NOT GENUINE", figures.forged))
    return "  ".join(parts + [f"{name} {count:,}" for name, count in unwanted if count])


def conclude(figures: Figures) -> None:
    """Compare both books: what was accepted, and what arrived."""
    if figures.owed == 0:
        verdict = "every accepted event has arrived at every webhook that it is for"
    else:
        verdict = f"{figures.owed:,} deliveries are still to come; the next start makes them"
    click.echo(f"{figures.accepted:,} events accepted: {verdict}.")
