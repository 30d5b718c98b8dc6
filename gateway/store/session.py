"""One dedicated connection to PostgreSQL: prepared statements, hard time limits, errors in our words.

Invariant: a statement that did not answer in time, or whose connection broke, is never assumed to have
failed: it raises `OutcomeUnknown`, and the connection is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from gateway.errors import Unavailable
from gateway.log import BadRow, OutcomeUnknown

CONNECT_TIMEOUT_S = 2.0

Connect = Callable[..., "Awaitable[asyncpg.Connection[asyncpg.Record]]"]
"""`asyncpg.connect`, or what stands for it in a simulation."""

BAD_ROW = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
BROKEN = (
    OSError,
    EOFError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that died between two statements may still call itself busy
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,  # the server process was ended: perhaps after the commit, before it could say so
    asyncpg.CrashShutdownError,
)
REFUSED = (
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.OperatorInterventionError,  # shut down, cancelled, starting up
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.PostgresSystemError,  # I/O error
    asyncpg.LockNotAvailableError,
)


class Session:
    """Connects when first used and again after it broke; used by one caller at a time."""

    def __init__(self, dsn: str, *, name: str, timeout_s: float, connect: Connect = asyncpg.connect) -> None:
        self._dsn = dsn
        self._connect_to = connect
        self._name = name
        self._timeout_s = timeout_s
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._statements: dict[str, asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]] = {}
        self.pid: int | None = None
        """The server process of the last connection, so that its end can be made sure of."""

    async def fetch(self, sql: str, *args: Any, timeout_s: float | None = None) -> list[asyncpg.Record]:
        """Run one statement in a transaction of its own. Raises `BadRow`, `Unavailable` or `OutcomeUnknown`."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._connect()
        try:
            async with asyncio.timeout((timeout_s or self._timeout_s) + 0.5):  # asyncpg's own should fire first
                statement = self._statements.get(sql)
                if statement is None:
                    statement = self._statements[sql] = await connection.prepare(sql)
                return await statement.fetch(*args, timeout=timeout_s or self._timeout_s)
        except BAD_ROW as error:
            raise BadRow(str(error)) from error
        except BROKEN as error:
            self.drop()
            raise OutcomeUnknown(f"the database went away: {_words(error)}") from error
        except REFUSED as error:
            self.drop()
            raise Unavailable(f"the database refuses to write: {error}") from error
        except asyncio.CancelledError:
            self.drop()
            raise

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await self._connect_to(
                    self._dsn,
                    timeout=CONNECT_TIMEOUT_S,
                    server_settings={"application_name": self._name, "jit": "off"},
                )
        except (*BROKEN, asyncpg.PostgresError) as error:
            raise Unavailable(f"the database cannot be reached: {_words(error)}") from error
        self._connection = connection
        self._statements = {}
        self.pid = connection.get_server_pid()
        return connection

    def drop(self) -> None:
        """Give the connection up at once; the next use makes a new one."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None
        self._statements = {}

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1.0)
            except (*BROKEN, asyncpg.PostgresError):
                connection.terminate()


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
