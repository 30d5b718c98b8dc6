"""The demo's simulated system of record: a small HTTP server that checks what it is sent, as a customer should.

It takes a delivery only if the credential and the Standard Webhooks signature over the exact body are
right, and now and then answers 503 so that retries are seen.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType

from aiohttp import web

from gateway.cli.demo_ledger import Ledger
from gateway.cli.demo_setup import Subscriber

TIMESTAMP_TOLERANCE_S = 300
"""Standard Webhooks §Verifying: older deliveries may be replays of somebody who listened."""


class DemoTarget:
    """Serves every subscriber on one loopback port, which is `port` once it runs."""

    def __init__(self, subscribers: tuple[Subscriber, ...], ledger: Ledger, *, failure_share: float) -> None:
        self._subscribers = subscribers
        self._ledger = ledger
        self._failure_share = failure_share
        self._secrets: dict[str, bytes] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> DemoTarget:
        app = web.Application()
        for subscriber in self._subscribers:
            app.router.add_post(subscriber.path, self._handler(subscriber))
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, subscriber: Subscriber) -> str:
        return f"http://127.0.0.1:{self.port}{subscriber.path}"

    def trust(self, secrets: Mapping[str, str]) -> None:
        """Accept what is signed with these `whsec_…` secrets, by subscriber name.

        Until then all is asked to come again: what an earlier demo still owed arrives while this one sets up.
        """
        self._secrets = {name: base64.b64decode(secret.removeprefix("whsec_")) for name, secret in secrets.items()}

    def _handler(self, subscriber: Subscriber) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def receive(request: web.Request) -> web.Response:
            at = time.monotonic()
            body = await request.read()
            secret = self._secrets.get(subscriber.name)
            if secret is None:
                return web.json_response({"error": "not set up yet"}, status=503)
            if not _genuine(subscriber, secret, request.headers, body):
                self._ledger.forge()
                return web.json_response({"error": "the signature or the credential is wrong"}, status=401)
            event_id = request.headers["webhook-id"]
            attempt = int(request.headers["webhook-attempt"])
            # Only first attempts fail, so that every retry that is seen is also seen to help.
            if attempt == 1 and random.random() < self._failure_share:  # noqa: S311 - not a secret
                self._ledger.turn_away(event_id, at=at)
                return web.json_response({"error": "busy, please try again"}, status=503)
            self._ledger.deliver(event_id, webhook=subscriber.name, attempt=attempt, at=at)
            return web.json_response({"stored": True})

        return receive


def _genuine(subscriber: Subscriber, secret: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    credential = headers.get(subscriber.credential.header, "")
    return hmac.compare_digest(credential.encode(), subscriber.credential.value.encode()) and signature_holds(
        secret, headers, body, now=time.time()
    )


def signature_holds(secret: bytes, headers: Mapping[str, str], body: bytes, *, now: float) -> bool:
    """Standard Webhooks §Verifying webhook authenticity: any one of the listed v1 signatures, and a fresh time."""
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TIMESTAMP_TOLERANCE_S:
        return False
    signed = f"{event_id}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(one.encode(), expected.encode()) for one in given)
