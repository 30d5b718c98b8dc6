"""What a load is told to send: one frozen `Plan`, and its form as a command line, both ways.

Invariant: `read(arguments(plan)) == plan`, so a plan means the same where it is made and in the generator.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.traffic import FIRST_CALL_ID


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. `rate_per_s` is of events, None is a closed loop.

    `tenants` spreads the calls over so many, evenly or, with `skew`, by Zipf's law.
    """

    url: str
    token: str
    seconds: float
    connections: int = 64
    rate_per_s: float | None = None
    poisson: bool = False
    batch: int = 1
    raw: bool = False
    spread: int = 200
    max_events: int | None = None
    tenants: int = 0
    skew: float = 0.0
    first_call_id: int = FIRST_CALL_ID


def read(arguments: Sequence[str] | None = None, *, description: str | None = None) -> Plan:
    """The plan that a command line asks for; the process's own if none is given."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float, dest="rate_per_s", help="events a second; closed loop without it")
    parser.add_argument("--poisson", action="store_true", help="arrivals at random instead of evenly")
    parser.add_argument("--batch", type=int, default=1, help="events in one request")
    parser.add_argument("--raw", action="store_true", help="push to /v1/events/{type}")
    parser.add_argument("--spread", type=int, default=200, help="calls that are open at once; 0 is hardest")
    parser.add_argument("--max-events", type=int)
    parser.add_argument("--tenants", type=int, default=0, help="spread over tenant-0000 and on; needs an unbound token")
    parser.add_argument("--skew", type=float, default=0.0, help="exponent of Zipf's law over the tenants; 0 is even")
    parser.add_argument("--first-call-id", type=int, default=FIRST_CALL_ID, help="calls are numbered from here")
    return Plan(**vars(parser.parse_args(arguments)))


def arguments(plan: Plan) -> list[str]:
    """A plan as the generator's command line."""
    words = []
    for name, value in asdict(plan).items():
        option = "--" + {"rate_per_s": "rate"}.get(name, name).replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words += [option, str(value)]
    return words
