"""What a listener says of an address that it cannot have."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
from aiohttp import web

from gateway import listener
from gateway.errors import GatewayError
from gateway.listener import Listener

PUSHES = SimpleNamespace(open_fast_lane=lambda server: None)


async def refusal(host: str, port: int) -> str:
    with pytest.raises(GatewayError) as caught:
        await Listener(web.Application(), PUSHES, host=host, port=port).start()  # type: ignore[arg-type]
    return str(caught.value)


async def test_a_port_that_is_taken_is_named_with_the_likely_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "BIND_ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = await refusal("127.0.0.1", port)
    assert line.startswith(f"Cannot listen on 127.0.0.1 port {port} (GATEWAY_HOST, GATEWAY_PORT): it is in use.")
    assert "another gateway" in line and "\n" not in line


async def test_a_host_that_is_not_here_is_not_blamed_on_another_gateway() -> None:
    line = await refusal("192.0.2.1", 0)
    assert "192.0.2.1 port 0" in line and "another gateway" not in line
