"""`/api/v1/replays`: deliver again: one event, or what a filter like the log's finds, all of it or what failed.

Invariant: a replayed event keeps its id, so its target can tell it from a new one; and a replay is of one tenant,
settled before anything is looked up, whatever else its filter names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from gateway.admin import present
from gateway.admin.auth import Principal, listed_tenant, owning_tenant, principal
from gateway.admin.logs import asked_for
from gateway.admin.paging import Page, TenantPageQuery, decode_cursor, encode_cursor, page
from gateway.admin.period import id_bounds
from gateway.admin.read_schemas import ReplayEventIn, ReplayIn, ReplayOut, ReplayRangeIn
from gateway.admin.routes import Route
from gateway.errors import FieldError, Problem
from gateway.http import invalid, json_response, parse, parse_query, read_json
from gateway.model import Role
from gateway.registry.registry import Registry
from gateway.store.audit import AuditEntry
from gateway.store.replay_range import ReplayRange
from gateway.store.replays import Replay, ReplayStore

PATH = "/api/v1/replays"
TAG = "Replays"


class ReplayApi:
    """`nudge` tells the lanes of these webhooks that rows were put, `withdrawn` that some were taken away again, and
    `wake` the loop of the ranges.
    """

    def __init__(
        self,
        store: ReplayStore,
        registry: Registry,
        *,
        nudge: Callable[[Sequence[str]], None],
        withdrawn: Callable[[Sequence[str]], None],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._nudge = nudge
        self._withdrawn = withdrawn
        self._wake = wake

    def routes(self) -> list[Route]:
        one = PATH + "/{id}"
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.list,
                role=Role.VIEWER,
                summary="List replays",
                tag=TAG,
                query_model=TenantPageQuery,
                response_model=Page[ReplayOut],
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self.create,
                role=Role.OPERATOR,
                summary="Deliver again",
                tag=TAG,
                description="One event by its id; or what a period and a filter say, at one webhook or all of them."
                " What is on its way already is left alone, and counted as skipped.",
                request_model=ReplayIn,
                response_model=ReplayOut,
                status=202,
            ),
            Route(
                method="GET",
                path=one,
                handler=self.show,
                role=Role.VIEWER,
                summary="Show a replay's progress",
                tag=TAG,
                response_model=ReplayOut,
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self.cancel,
                role=Role.OPERATOR,
                summary="Cancel a replay",
                tag=TAG,
                description="What has not begun is withdrawn; what is in flight ends.",
                status=204,
                problems=(409,),
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(TenantPageQuery, request.query)
        tenant_id = listed_tenant(principal(request), query.tenant, self._registry)
        position = decode_cursor("replays", query.cursor)
        before_id = str(position[0]) if position else None
        found = await self._store.page(tenant_id=tenant_id, before_id=before_id, limit=query.limit + 1)
        shown = found[: query.limit]
        after = encode_cursor("replays", [shown[-1].id]) if len(found) > len(shown) else None
        return json_response(page([_shown(each) for each in shown], after))

    async def create(self, request: web.Request) -> web.Response:
        who, body = principal(request), await read_json(request)
        if isinstance(body, dict) and "event_id" in body:
            replay = await self.start(parse(ReplayEventIn, body), who)
        else:
            replay = await self.start(parse(ReplayRangeIn, body), who)
        return json_response(_shown(replay), status=202, headers={"Location": f"{PATH}/{replay.id}"})

    async def start(self, body: ReplayEventIn | ReplayRangeIn, who: Principal) -> Replay:
        """Problem 422 where it names what does not exist, or what `who` may not see."""
        replay_id = self._registry.new_id()
        if isinstance(body, ReplayEventIn):
            await self._start_event(replay_id, body, who)
        else:
            await self._start_range(replay_id, body, who)
        replay = await self._store.one(replay_id, who.tenant_id)
        assert replay is not None, "it was committed"
        return replay

    async def show(self, request: web.Request) -> web.Response:
        return json_response(_shown(await self._one(request, principal(request))))

    async def cancel(self, request: web.Request) -> web.Response:
        await self.withdraw(await self._one(request, principal(request)), principal(request))
        return web.Response(status=204)

    async def withdraw(self, replay: Replay, who: Principal) -> None:
        """Problem 409 where it is finished."""
        if replay.state == "done":
            raise Problem(409, "conflict", "this replay is finished; there is nothing left to cancel")
        entry = self._entry(replay.id, replay.tenant_id, who, "replay.cancel", {})
        if webhook_ids := await self._store.cancel(replay.id, who.tenant_id, entry):
            self._withdrawn(webhook_ids)

    async def _start_event(self, replay_id: str, body: ReplayEventIn, who: Principal) -> None:
        webhook = None if body.webhook_id is None else self._registry.webhook(body.webhook_id)
        if body.webhook_id is not None and (webhook is None or not who.sees(webhook.tenant_id)):
            raise invalid(FieldError("/webhook_id", "there is no webhook with this id"))
        detail = {"event_id": body.event_id, "webhook_id": body.webhook_id}
        webhook_ids = await self._store.start_event(
            replay_id,
            event_id=body.event_id,
            webhook_id=body.webhook_id,
            tenant_id=who.tenant_id if webhook is None else webhook.tenant_id,
            entry=self._entry(replay_id, who.tenant_id, who, "replay.create", detail),
        )
        if webhook_ids is None:
            raise invalid(FieldError("/event_id", "there is no event with this id"))
        if not webhook_ids:
            reason = "this event matched no webhook that still exists; name one to send it to as webhook_id"
            raise invalid(FieldError("/event_id", reason))
        self._nudge(webhook_ids)

    async def _start_range(self, replay_id: str, body: ReplayRangeIn, who: Principal) -> None:
        what = self.range(body, who)
        detail = body.model_dump(mode="json", by_alias=True, exclude_none=True)
        await self._store.start_range(
            replay_id,
            what,
            total=await self._store.count(what),
            entry=self._entry(replay_id, what.tenant_id, who, "replay.create", detail),
        )
        self._wake()

    async def count(self, body: ReplayRangeIn, who: Principal) -> int | None:
        """How many deliveries a replay would be about; None where that takes too long to say."""
        return await self._store.count(self.range(body, who))

    def range(self, body: ReplayRangeIn, who: Principal) -> ReplayRange:
        """Problem 422 where it names what does not exist, or what `who` may not see."""
        from_id, before_id = id_bounds(body.begin, body.end, place="/")
        assert from_id is not None
        assert before_id is not None
        return ReplayRange(
            tenant_id=self._tenant(body, who),
            from_id=from_id,
            before_id=before_id,
            only_failed=body.only == "failed",
            period_of=body.period_of,
            **asked_for(body),
        )

    def _tenant(self, body: ReplayRangeIn, who: Principal) -> int:
        """The webhook's, which must be one that `who` may see; the one named; the token's own; or the only one."""
        named = None if body.tenant is None else owning_tenant(who, body.tenant, self._registry).id
        if body.webhook_id is not None:
            webhook = self._registry.webhook(body.webhook_id)
            if webhook is None or not who.sees(webhook.tenant_id) or named not in (None, webhook.tenant_id):
                raise invalid(FieldError("/webhook_id", "there is no webhook with this id"))
            return webhook.tenant_id
        if named is None and who.tenant_id is None and len(self._registry.tenants()) > 1:
            raise invalid(FieldError("/tenant", "say of which tenant, or name a webhook"))
        return named or owning_tenant(who, None, self._registry).id

    async def _one(self, request: web.Request, who: Principal) -> Replay:
        found = await self._store.one(present.path_id(request, "replay"), who.tenant_id)
        if found is None:
            raise Problem(404, "not-found", "there is no replay with this id")
        return found

    def _entry(
        self, replay_id: str, tenant_id: int | None, who: Principal, action: str, detail: Mapping[str, object]
    ) -> AuditEntry:
        return AuditEntry(self._registry.new_id(), tenant_id, who.actor, action, replay_id, detail)


def _shown(replay: Replay) -> ReplayOut:
    return ReplayOut.model_validate(replay, from_attributes=True)
