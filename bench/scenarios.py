"""The list of all scenarios, in the order in which they are taken.

Invariant: `lag-half` comes after `single-1`, whose rate it halves.
"""

from __future__ import annotations

from functools import partial

from bench.scenario import BATCH, Scenario
from bench.speed import accept, lag, many, throughput
from bench.trouble import backlog, one_failing, one_hanging, restart, slow_target
from bench.watched import watched

SCENARIOS = (
    Scenario("single-1", "single pushes, 1 webhook", partial(throughput, webhooks=1)),
    Scenario("single-3", "single pushes, 3 webhooks", partial(throughput, webhooks=3)),
    Scenario("single-10", "single pushes, 10 webhooks", partial(throughput, webhooks=10)),
    Scenario("raw-1", "single raw pushes, 1 webhook", partial(throughput, raw=True), default=False),
    Scenario("batch-1", "batches of 100, 1 webhook", partial(throughput, batch=BATCH)),
    Scenario("batch-3", "batches of 100, 3 webhooks", partial(throughput, webhooks=3, batch=BATCH)),
    Scenario("batch-10", "batches of 100, 10 webhooks", partial(throughput, webhooks=10, batch=BATCH)),
    Scenario("accept-batch", "batches of 100, accepted only", partial(accept, batch=BATCH)),
    Scenario("tls-1", "single pushes, 1 webhook over TLS", partial(throughput, tls=True)),
    Scenario("many-even", "1,000 webhooks, evenly", partial(many, skew=0.0)),
    Scenario("many-skewed", "1,000 webhooks, skewed", partial(many, skew=1.0)),
    Scenario("lag-400", "400 events/s, 1 webhook", partial(lag, rate_per_s=400), paced=True),
    Scenario("lag-half", "half of full speed, 1 webhook", partial(lag, rate_per_s=None), paced=True),
    Scenario("watched", "1,000 events/s, console open", watched, default=False, paced=True),
    Scenario("slow", "target of 200 ms, 1,000 events/s", slow_target, paced=True),
    Scenario("failing", "1 of 10 targets fails, 300 events/s", one_failing, paced=True),
    Scenario("hung", "1 of 2 targets hangs, 100 events/s", one_hanging, paced=True),
    Scenario("hung-60s", "the same for a minute", partial(one_hanging, seconds=60.0), default=False, paced=True),
    Scenario("backlog", "200,000 held for a dead webhook", backlog),
    Scenario("restart", "killed over 100,000 undelivered", restart, default=False),
)
