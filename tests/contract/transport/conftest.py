"""Every behaviour runs on each transport and on each event loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack

import pytest
import trustme
import uvloop

from bench.aiohttp_transport import AiohttpTransport
from gateway.delivery.http1 import Http1Transport
from gateway.delivery.transport import Transport

from .caller import Caller, Listen
from .target import Names, Script, ScriptedTarget

TRANSPORTS: dict[str, Callable[..., Transport]] = {"aiohttp": AiohttpTransport, "http1": Http1Transport}
MAX_CONNECTIONS = 4


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The one certificate authority that the transports under test trust."""
    return trustme.CA()


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture(params=sorted(TRANSPORTS))
async def transport(request: pytest.FixtureRequest, names: Names, authority: trustme.CA) -> AsyncIterator[Transport]:
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    made = TRANSPORTS[request.param](names, tls=tls)
    yield made
    await made.close()


@pytest.fixture
async def caller(transport: Transport) -> AsyncIterator[Caller]:
    caller = Caller(transport.pool(max_connections=MAX_CONNECTIONS))
    yield caller
    await caller.pool.close()
    assert set(caller.endings) <= {1}, "an attempt ended other than once"


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Starts targets that follow scripts."""
    async with AsyncExitStack() as stack:

        async def start(*scripts: Script, tls: ssl.SSLContext | None = None) -> ScriptedTarget:
            target = ScriptedTarget(scripts, tls)
            await target.start()
            stack.push_async_callback(target.stop)
            return target

        yield start
