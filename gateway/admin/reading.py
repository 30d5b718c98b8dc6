"""The reading half of the API, put together: the routes under /api/v1 that show what happened, and deliver it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.admin import present
from gateway.admin.calls import CallApi
from gateway.admin.event_types import EventTypeApi
from gateway.admin.events import EventApi
from gateway.admin.logs import LogApi
from gateway.admin.rejected import RejectedApi, Submit
from gateway.admin.replays import ReplayApi
from gateway.admin.routes import Route
from gateway.ids import IdSource
from gateway.log import AttemptRecord
from gateway.registry import Registry
from gateway.store.attempt_log import AttemptInFull, AttemptLog
from gateway.store.reading import Database
from gateway.store.rejected import RejectedStore
from gateway.store.replays import ReplayStore
from gateway.store.timeline import Timeline


def reading_routes(
    database: Database,
    registry: Registry,
    *,
    rejected: RejectedStore,
    replays: ReplayStore,
    submit: Submit,
    ids: IdSource,
    nudge: Callable[[Sequence[str]], None],
    wake: Callable[[], None],
) -> list[Route]:
    """In the order in which the API's description shows them. `nudge` and `wake` are as in `ReplayApi`."""
    timeline = Timeline(database)
    return [
        *LogApi(AttemptLog(database), registry).routes(),
        *EventApi(timeline).routes(),
        *CallApi(timeline, registry).routes(),
        *ReplayApi(replays, registry, nudge=nudge, wake=wake).routes(),
        *RejectedApi(rejected, registry, submit=submit, ids=ids).routes(),
        *EventTypeApi().routes(),
    ]


def attempt_details(record: AttemptRecord) -> Mapping[str, Any]:
    """What `/logs/{id}` would show of a test that has just been sent, to an operator."""
    return present.attempt_in_full(AttemptInFull(record, None), phones=True).model_dump()
