"""A gateway with its console on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.console.site import Site, open_site


@pytest.fixture
async def site(database: str) -> AsyncIterator[Site]:
    async with open_site(database) as opened:
        yield opened
