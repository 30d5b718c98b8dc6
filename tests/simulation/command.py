"""The command: many histories on all cores, or one with its story."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import structlog

from gateway.telemetry.metrics import Metrics
from tests.simulation.history import Result, run

CHUNK = 50


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="live through this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: tell its story")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _one(options.seed, trace=options.trace)
    began, failed, steps, events = time.monotonic(), 0, 0, 0
    for done, result in enumerate(histories(options.histories, options.from_seed, options.workers), 1):
        steps += result.steps
        events += result.events
        if result.violations:
            failed += 1
            print(describe(result), flush=True)
        if done % 10_000 == 0:
            print(f"{done} histories, {failed} failed, {time.monotonic() - began:.0f} s", flush=True)
    took_s = time.monotonic() - began
    print(f"{options.histories} histories, {events} events, {steps} steps, {took_s:.0f} s: {failed} failed")
    return 1 if failed else 0


def _one(seed: int, *, trace: bool) -> int:
    story: list[str] = []
    listen(story) if trace else silence()
    result = run(seed, metrics=Metrics(version="0"), story=story if trace else None)
    for line in result.story:
        print(line)
    for violation in result.violations:
        print("VIOLATION", violation)
    print(f"seed {seed}: {result.events} events, {result.steps} steps, {len(result.violations)} violations")
    return 1 if result.violations else 0


def histories(count: int, first: int, workers: int) -> Iterator[Result]:
    """The results of `count` seeds from `first` on, in any order."""
    context = multiprocessing.get_context("spawn")
    seeds = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    with context.Pool(workers, initializer=silence) as pool:
        for results in pool.imap_unordered(_chunk, seeds):
            yield from results


def _chunk(seeds: Sequence[int]) -> list[Result]:
    metrics = Metrics(version="0")  # dear to make, and only written to
    return [run(seed, metrics=metrics) for seed in seeds]


def describe(result: Result) -> str:
    lines = "\n  ".join(result.violations[:5])
    return f"seed {result.seed} fails:\n  {lines}\n  replay: python -m tests.simulation --seed {result.seed} --trace"


def silence() -> None:
    structlog.configure(
        processors=[_drop],
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=True,
    )


def _drop(_: Any, __: str, ___: MutableMapping[str, Any]) -> str:
    raise structlog.DropEvent


def listen(story: list[str]) -> None:
    """Let the gateway's own log be part of the story."""

    def tell(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
        name = event.pop("event")
        event.pop("exc_info", None)
        story.append(f"{'':9}    log: {name} " + " ".join(f"{key}={value}" for key, value in event.items()))
        raise structlog.DropEvent

    structlog.configure(processors=[tell])
