"""What a run says: a table on the terminal, JSON to compare the next run with.

Invariant: a figure is shown beside the committed baseline's only if both were taken in the same way (`METHOD`).
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.measure import Measurement

METHOD = 1
"""Grows with every change that makes figures incomparable with older ones."""
RESULTS = Path(__file__).parent / "results"
BASELINE = RESULTS / "baseline.json"
LATEST = RESULTS / "latest.json"
DISTURBED = 0.05
"""From this share of the machine on, other programs have spoilt the figures."""
LOW = 100
"""Notes below this are shown with a decimal."""
NOTABLE = 0.1
"""A change by less than this share is noise on most machines, and is shown dimmed."""


def document(measurements: Mapping[str, Measurement], seconds: float) -> dict[str, Any]:
    """A run as JSON: the machine, the method, every figure."""
    return {
        "method": METHOD,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version()},
        "scenarios": {
            name: {
                **asdict(taken),
                "events_per_s": taken.events_per_s,
                "deliveries_per_s": taken.deliveries_per_s,
                "ratio_to_floor": taken.ratio_to_floor,
                "all_to_floor": taken.all_to_floor,
            }
            for name, taken in measurements.items()
        },
    }


def write(path: Path, run: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(run), indent=2) + "\n")


def read(path: Path) -> dict[str, Any] | None:
    """An earlier run, if there is one and it was taken in the same way."""
    if not path.exists():
        return None
    run: dict[str, Any] = json.loads(path.read_text())
    return run if run.get("method") == METHOD else None


def merged(earlier: Mapping[str, Any] | None, run: Mapping[str, Any]) -> dict[str, Any]:
    """An earlier run with those scenarios replaced that `run` has taken anew."""
    return {**run, "scenarios": {**(earlier or {}).get("scenarios", {}), **run["scenarios"]}}


def table(
    measurements: Mapping[str, Measurement], titles: Mapping[str, str], baseline: Mapping[str, Any] | None
) -> Table:
    """One line for each scenario; in brackets the change since the baseline; others: what other programs took."""
    shown = Table(title="CPU in µs an event; lag in ms from intended sending to arrival", title_justify="left")
    shown.add_column("scenario", no_wrap=True)
    for heading in (
        "events/s",
        "deliveries/s",
        "gateway",
        "postgres",
        "÷ floor",
        "both ÷",
        "p50",
        "p99",
        "p99.9",
        "MB",
        "others",
        "lost",
    ):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("doubled, overtaken; notes")
    earlier = (baseline or {}).get("scenarios", {})
    for name, taken in measurements.items():
        old = earlier.get(name, {})
        ratios = (taken.ratio_to_floor, taken.all_to_floor)
        shown.add_row(
            titles[name],
            f"{taken.events_per_s:,.0f}{_change(taken.events_per_s, old.get('events_per_s'), more_is_better=True)}",
            f"{taken.deliveries_per_s:,.0f}",
            f"{taken.gateway_us_per_event:.0f}{_change(taken.gateway_us_per_event, old.get('gateway_us_per_event'))}",
            f"{taken.postgres_us_per_event:.0f}",
            *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
            *(f"{taken.lag_ms[key]:.1f}" if taken.lag_ms else "–" for key in ("p50", "p99", "p999")),
            f"{taken.peak_memory_mb:.0f}",
            f"[yellow]{taken.others:.0%}[/yellow]" if taken.others > DISTURBED else f"{taken.others:.0%}",
            f"[red]{taken.missing}[/red]" if taken.missing else "0",
            _notes(taken),
        )
    return shown


def _notes(taken: Measurement) -> str:
    parts = [f"{taken.duplicates}, {taken.overtaken}"]
    if taken.refused:
        parts.append(f"refused {taken.refused}")
    parts += [f"{name} {value:,.1f}" if value < LOW else f"{name} {value:,.0f}" for name, value in taken.notes.items()]
    return "; ".join(parts)


def _change(now: float, before: float | None, *, more_is_better: bool = False) -> str:
    if not before:
        return ""
    share = now / before - 1
    colour = "dim" if abs(share) < NOTABLE else "green" if (share > 0) is more_is_better else "red"
    return f" [{colour}]({share:+.0%})[/{colour}]"


def _rounded(value: Any) -> Any:
    """Six digits say more than any of these measurements knows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
