"""`/`: where people arrive."""

from __future__ import annotations

from aiohttp import web

from gateway.console.visit import Page, Visit


class OverviewPages:
    def pages(self) -> list[Page]:
        return [Page(method="GET", path="/", handler=self.show)]

    async def show(self, visit: Visit) -> web.Response:
        return visit.page("overview.html")
