"""Owns the form of log lines: structlog's and the standard library's come out the same way, on standard error.

Invariant: no line holds a secret or a payload. Callers log ids, counts and kinds; what still has a
telling name (`token`, `payload`, `authorization`, …) is replaced here, before it is rendered.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
NEVER_LOGGED = frozenset(
    {
        "admin_token", "api_key", "authorization", "body", "client_secret", "cookie", "data", "dsn", "headers",
        "json", "password", "payload", "secret", "secret_key", "signing_secret", "token",
    }
)  # fmt: skip
HIDDEN = "[hidden]"
VALUE_CHARACTERS_LIMIT = 2_000

LogFormat = Literal["console", "json"]


def configure(level: str, format: LogFormat | None, *, stream: TextIO | None = None) -> None:
    """Set logging up for the whole process. `format` None: console on a terminal, else JSON."""
    stream = stream or sys.stderr
    if format is None:
        format = "console" if stream.isatty() else "json"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.stdlib.ExtraAdder(allow=()),
        _hide,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_last(format, stream)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LEVELS[level])
    # Below warning these tell of every request and every statement.
    for chatty in ("aiohttp.access", "alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(max(LEVELS[level], logging.WARNING))
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=False,
    )


def _last(format: LogFormat, stream: TextIO) -> list[Processor]:
    if format == "console":
        # The prettier tracebacks show local variables, and so payloads and credentials.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="at", exception_formatter=plain)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(serializer=_json),
    ]


def _json(line: EventDict, **_: Any) -> str:
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _hide(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    for key, value in line.items():
        if key.lower() in NEVER_LOGGED:
            line[key] = HIDDEN
        elif isinstance(value, bytes):
            line[key] = f"[{len(value)} bytes]"
        elif isinstance(value, str) and len(value) > VALUE_CHARACTERS_LIMIT:
            line[key] = value[:VALUE_CHARACTERS_LIMIT] + "…"
    return line
