"""The fast transport: HTTP/1.1 on an asyncio protocol and httptools' parser.

The way of an attempt through the modules::

    pool ── an idle connection ──────────────────────► connection ──► its Outcome
     │                                                   ▲    │
     ├── room for one more ──► dial ─────────────────────┘    │ lost before one byte of the
     │   (allowance)            ▲                             │ answer, and not a fresh one
     └── full: waits            └─────────────────────────────┘

Everything runs in one event loop, and nothing but a dial is a task. Invariant: an attempt is in one of
those three places, its carrier, and whoever takes it out of there ends it.
"""

from gateway.delivery.http1.allowance import connections_allowed
from gateway.delivery.http1.pool import Http1Pool, Http1Transport

__all__ = ["Http1Pool", "Http1Transport", "connections_allowed"]
