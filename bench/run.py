"""`make bench`: takes the scenarios one after the other, shows them beside the baseline, writes JSON and a chart.

Invariant: a run always ends: every load, every wait for what is under way and every start has a limit of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from rich.console import Console

from bench import chart, report
from bench.measure import Measurement
from bench.rig import Rig
from bench.scenario import Run, Scenario
from bench.scenarios import SCENARIOS

SECONDS = 4.0
QUICK_SECONDS = 1.5
PIPED_WIDTH = 170
CHART = report.RESULTS / "latest.svg"
BASELINE_CHART = report.RESULTS / "baseline.svg"


async def take(scenarios: Sequence[Scenario], console: Console, run: Run, *, times: int) -> None:
    """Every scenario in turn; one that fails is said so and left out. Of several takes the least disturbed stays."""
    for scenario in scenarios:
        for _ in range(times):
            started = time.monotonic()
            try:
                taken = await scenario.take(run)
            except Exception as error:
                console.print(f"{scenario.name} failed: {type(error).__name__}: {error}", style="red", markup=False)
                break
            rates = f"{taken.events_per_s:>8,.0f} events/s {taken.deliveries_per_s:>8,.0f} deliveries/s"
            took = f"{time.monotonic() - started:.0f} s, others took {taken.others:.0%} of the machine"
            console.print(f"{scenario.name:<12}{rates}  [dim]{took}[/dim]")
            before = run.found.get(scenario.name)
            if before is None or taken.others < before.others:
                run.found[scenario.name] = taken


async def take_all(
    scenarios: Sequence[Scenario], console: Console, *, seconds: float, quick: bool, times: int
) -> dict[str, Measurement]:
    """What was found, by the scenarios' names."""
    async with Rig() as rig:
        run = Run(rig, seconds, quick)
        await take(scenarios, console, run, times=times)
        return run.found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    parser.add_argument("--scenario", action="append", metavar="NAME", help=f"only this one; repeatable: {names}")
    parser.add_argument("--seconds", type=float, help=f"how long each load lasts; {SECONDS:g} unless set")
    parser.add_argument("--quick", action="store_true", help="short loads and a small backlog: does it work at all?")
    parser.add_argument("--repeat", type=int, default=1, help="takes of each scenario; the least disturbed one stays")
    parser.add_argument(
        "--baseline", action="store_true", help="keep what this run took, for later ones to compare with"
    )
    arguments = parser.parse_args()
    chosen = [
        each
        for each in SCENARIOS
        if each.name in (arguments.scenario or ()) or (not arguments.scenario and each.default)
    ]
    if arguments.scenario and len(chosen) != len(set(arguments.scenario)):
        parser.error(f"known scenarios: {names}")
    seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)

    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    found = asyncio.run(take_all(chosen, console, seconds=seconds, quick=arguments.quick, times=arguments.repeat))
    run = report.document(found, seconds)
    titles = {scenario.name: scenario.title for scenario in SCENARIOS}
    console.print(report.table(found, titles, report.read(report.BASELINE)))
    report.write(report.LATEST, run)
    CHART.write_text(chart.svg(run, SCENARIOS))
    correct = all(not (taken.missing or taken.overtaken or taken.duplicates) for taken in found.values())
    complete = correct and len(found) == len(chosen)
    if arguments.baseline and complete:
        kept = report.merged(report.read(report.BASELINE), run)
        report.write(report.BASELINE, kept)
        BASELINE_CHART.write_text(chart.svg(kept, SCENARIOS))
    console.print(f"written: {report.LATEST}, {CHART}")
    return 0 if complete else 1


if __name__ == "__main__":
    raise SystemExit(main())
