"""The test button: logged, apart from every queue, and harmless to whoever leaves."""

from __future__ import annotations

import asyncio

import pytest

from gateway.catalog import BY_NAME
from gateway.delivery.trial import Trial
from gateway.egress.target import parse_target
from tests.unit.delivery.rig import Rig, answer, running, until, webhook


def trial(rig: Rig) -> Trial:
    return Trial(transport=rig.transport, recorder=rig.recorder, ids=rig.ids, parse_target=parse_target)


async def test_a_test_sends_the_sample_and_answers_once_it_is_in_the_log() -> None:
    async with running() as rig:
        testing = asyncio.create_task(trial(rig).send(webhook(), "call.created"))
        await until(lambda: rig.transport.under_way)
        (sent,) = rig.transport.under_way
        assert sent.request.body == BY_NAME["call.created"].sample
        rig.end(sent.event_id, answer(503))
        record = await testing
        assert record.test and not record.ok and record.status == 503
        assert list(rig.log.attempts.values()) == [record] and not rig.log.rows
        assert rig.transport.pools[-1].is_closed


async def test_who_leaves_during_a_test_does_no_harm() -> None:
    async with running() as rig:
        testing = asyncio.create_task(trial(rig).send(webhook(), "call.created"))
        await until(lambda: rig.transport.under_way)
        testing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await testing
        assert rig.transport.pools[-1].is_closed and not rig.transport.under_way
