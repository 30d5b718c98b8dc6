"""The demo's simulated switch: calls that start, are talked on, end and are saved, pushed as a switch does.

`Dialler` decides what happens in a call, from random numbers that it is given; `DemoSwitch` pushes it.
A call's pushes follow each other, so that Created has been accepted before Ended is pushed. What the gateway cannot
take now (503, 429, no answer) is pushed again under the same key until it is taken: never lost, and never doubled.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from gateway import catalog
from gateway.cli.demo_ledger import Ledger
from gateway.cli.waiting import set_within

RING_S = (0.2, 1.0)
TALK_S = (3, 240)
"""As the payload tells it; the demo's own time runs faster."""
TALK_SPEED = 60.0
WRAP_S = (5, 45)
WRAP_SPEED = 30.0
ANSWERED_SHARE = 0.8
DECLINED_SHARE = 0.05
DISPOSITIONS = (12, 17, 23, 51, 64)
CAMPAIGNS = ((235, 591), (236, 592), (301, 610))
AGENTS = range(11, 43)
CALLS_LIMIT = 2_000
"""Calls under way at a time; while there are as many, no other starts."""
PUSH_TIMEOUT_S = 10.0
AGAIN_FIRST_S = 0.2
AGAIN_LIMIT_S = 5.0
"""The wait before a push is repeated: twice as long each time, up to a limit, unless the gateway asks for longer."""
AGAIN_STATUSES = frozenset({429, 500, 502, 503, 504})
LAST_PUSHES_S = 2.0
"""What pushes that are under way at the end are given to be answered."""


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a call: how long after the step before, its type and payload."""

    wait_s: float
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Said:
    """What the gateway said to a push: the event's id, or whether and when to push again."""

    event_id: str | None = None
    again: bool = False
    retry_after_s: int = 0


class Dialler:
    """Makes up calls from the catalog's samples. `now` is the local time of the first one."""

    def __init__(self, chance: random.Random, *, first_call_id: int) -> None:
        self._chance = chance
        self._next_call_id = first_call_id
        self._samples = {each.name: json.loads(each.sample) for each in catalog.PUSHED_TYPES}

    def dial(self, now: datetime) -> Iterator[Step]:
        """One lead: usually a call of two or three events, now and then one that may not be called."""
        if self._chance.random() < DECLINED_SHARE:
            yield self._declined(now)
        else:
            yield from self._call(now)

    def _declined(self, now: datetime) -> Step:
        data = self._samples["reg_f.declined"] | {
            "lead_phone": self._phone(),
            "account_id": self._account(),
            "retry_at": _told(now + timedelta(days=self._chance.randint(1, 7))),
        }
        return Step(0.0, "reg_f.declined", data)

    def _call(self, now: datetime) -> Iterator[Step]:
        chance = self._chance
        call_id = self._next_call_id
        self._next_call_id += 1
        campaign, pool = chance.choice(CAMPAIGNS)
        lead = {
            "call_id": call_id,
            "call_date": _told(now),
            "lead_id": chance.randint(10_000, 99_999),
            "phone": self._phone(),
            "account_id": self._account(),
            "camp_id": campaign,
            "pool_id": pool,
        }
        yield Step(0.0, "call.created", self._samples["call.created"] | lead)
        if chance.random() > ANSWERED_SHARE:
            unanswered = {"agent_id": 0, "talk_time": 0, "is_abandoned": True, "call_final_event": "ABANDON"}
            yield Step(chance.uniform(*RING_S), "call.ended", self._samples["call.ended"] | lead | unanswered)
            return
        talk_s, wrap_s = chance.randint(*TALK_S), chance.randint(*WRAP_S)
        talked = lead | {"agent_id": chance.choice(AGENTS), "talk_time": talk_s}
        yield Step(talk_s / TALK_SPEED, "call.ended", self._samples["call.ended"] | talked)
        final = talked | {
            "wrap_time": wrap_s,
            "call_duration": talk_s + 2,
            "billable_seconds": talk_s + 2,
            "agent_disp": chance.choice(DISPOSITIONS),
        }
        yield Step(wrap_s / WRAP_SPEED, "call.saved", self._samples["call.saved"] | final)

    def _phone(self) -> str:
        # 555-01xx is set aside for fiction: no demo ever names somebody's number.
        return f"{self._chance.randint(201, 989)}55501{self._chance.randint(0, 99):02}"

    def _account(self) -> str:
        return f"{self._chance.randint(1, 99_999_999):08}"


class DemoSwitch:
    """Starts `rate` calls a second until stopped, and writes what was accepted into the ledger.

    `routes` says which webhooks get each event type.
    """

    def __init__(
        self, url: str, token: str, ledger: Ledger, *, rate: float, routes: Mapping[str, frozenset[str]]
    ) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._ledger = ledger
        self._rate = rate
        self._routes = routes

    async def run(self, dialler: Dialler, stop: asyncio.Event) -> None:
        """Dial until `stop` is set, then let go of the calls under way: their later events are never pushed."""
        timeout = aiohttp.ClientTimeout(total=PUSH_TIMEOUT_S)
        calls: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers, trust_env=False) as session:
            try:
                while not await set_within(stop, random.expovariate(self._rate)):
                    if len(calls) < CALLS_LIMIT:
                        call = self._play(session, dialler.dial(datetime.now().astimezone()), stop)
                        calls.add(task := asyncio.create_task(call))
                        task.add_done_callback(calls.discard)
            finally:
                await _end(calls)

    async def _play(self, session: aiohttp.ClientSession, call: Iterator[Step], stop: asyncio.Event) -> None:
        for step in call:
            if step.wait_s and await set_within(stop, step.wait_s):
                return
            if not await self._push(session, step, stop):
                return  # its later events would make no sense without this one

    async def _push(self, session: aiohttp.ClientSession, step: Step, stop: asyncio.Event) -> bool:
        """Whether the event was accepted, at once or in the end."""
        key = str(uuid.uuid4())
        pushed_at = time.monotonic()  # uvloop's own clock counts whole milliseconds
        wait_s = AGAIN_FIRST_S
        while True:
            said = await self._say(session, step, key)
            if said.event_id is not None:
                self._ledger.accept(said.event_id, pushed_at=pushed_at, webhooks=self._routes[step.type])
                return True
            jittered_s = max(wait_s, said.retry_after_s) * random.uniform(1.0, 1.25)  # noqa: S311 - not a secret
            if not said.again or await set_within(stop, jittered_s):
                self._ledger.refuse()
                return False
            self._ledger.push_again()
            wait_s = min(wait_s * 2, AGAIN_LIMIT_S)

    async def _say(self, session: aiohttp.ClientSession, step: Step, key: str) -> _Said:
        url, headers = f"{self._url}/v1/events/{step.type}", {"Idempotency-Key": key}
        try:
            async with session.post(url, json=step.data, headers=headers) as response:
                if response.status == 202:
                    return _Said(event_id=str((await response.json(content_type=None))["id"]))
                wait = response.headers.get("Retry-After", "")
                return _Said(
                    again=response.status in AGAIN_STATUSES, retry_after_s=int(wait) if wait.isdecimal() else 0
                )
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
            return _Said(again=True)  # taken or not, or no answer of a gateway: the key makes sure that it counts once


async def _end(calls: set[asyncio.Task[None]]) -> None:
    if calls:
        _, late = await asyncio.wait(calls, timeout=LAST_PUSHES_S)
        for call in late:
            call.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _told(at: datetime) -> str:
    """A time as the switch spells it: local, without a zone."""
    return at.strftime("%Y-%m-%d %H:%M:%S")
