"""How programs connect to a PostgreSQL so that nothing waits for ever, on either side of the connection.

A network may swallow what is sent and tell nobody; a program may be stopped in the middle of a transaction, with its
locks. Every wait here has an end, after which the connection counts as lost and a new one is made.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_SECONDS_MAX = 5
ANSWER_SECONDS_MAX = 20.0
"""How long one answer of PostgreSQL may take before its connection counts as lost."""

LONG_ANSWER_SECONDS_MAX = 900.0
"""The same for work that goes through a whole workspace (`patient`)."""

CHECK_SECONDS_MAX = 2.0
RECONNECT_SECONDS_MAX = 2.0
"""How long a pool tries again with pauses that double. Then it starts anew, or after an outage of a minute the next try
would be up to a minute away."""

IDLE_IN_TRANSACTION_SECONDS_MAX = 5
"""PostgreSQL ends the session of a program that stopped in the middle of a transaction: its locks hold up others."""

SESSION_SETTINGS = {
    "TimeZone": "UTC",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS_MAX}s",
    "client_connection_check_interval": "5s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
}
"""What PostgreSQL does about a client that is gone without a word: it finds out, and lets go of its locks."""

CONNECTION_PARAMETERS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": CONNECT_SECONDS_MAX,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "options": " ".join(f"-c {name}={value}" for name, value in SESSION_SETTINGS.items()),
}

LOST = (
    psycopg.OperationalError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
)
"""What a lost connection raises. PostgreSQL counts the ends that it makes itself as errors of another class."""


class Connection(AsyncConnection[Any]):
    """A connection that ends when an answer takes too long: to whoever waits, PostgreSQL is gone."""

    answer_seconds_max = ANSWER_SECONDS_MAX

    async def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Every wait for an answer comes through here."""
        ending = asyncio.get_running_loop().call_later(self.answer_seconds_max, self._hang_up)
        try:
            return await super().wait(*args, **kwargs)
        finally:
            ending.cancel()

    @contextmanager
    def answering_within(self, seconds: float) -> Iterator[None]:
        """Another bound, for a while."""
        before, self.answer_seconds_max = self.answer_seconds_max, seconds
        try:
            yield
        finally:
            self.answer_seconds_max = before

    def _hang_up(self) -> None:
        """Shuts the socket under the wait. Cancelling would ask the server first, which does not answer."""
        with socket.socket(fileno=os.dup(self.pgconn.socket)) as end:
            end.shutdown(socket.SHUT_RDWR)


class Pool(AsyncConnectionPool[Connection]):
    """Connections that are shared; a check of one that is dead does not take longer than it must."""

    @staticmethod
    async def check_connection(conn: Connection) -> None:
        """Raises OperationalError for one that does not answer."""
        with conn.answering_within(CHECK_SECONDS_MAX):
            await AsyncConnectionPool.check_connection(conn)


def make_pool(
    dsn: str,
    *,
    size_max: int,
    wait_seconds_max: float,
    size_min: int = 1,
    waiting_max: int = 0,
) -> Pool:
    """A pool that is not open yet. At most `waiting_max` callers (0: any number) wait at a time for a connection, each
    for `wait_seconds_max`."""
    return Pool(
        dsn,
        connection_class=Connection,
        open=False,
        min_size=size_min,
        max_size=size_max,
        max_waiting=waiting_max,
        timeout=wait_seconds_max,
        reconnect_timeout=RECONNECT_SECONDS_MAX,
        reconnect_failed=_try_again,
        kwargs=CONNECTION_PARAMETERS,
    )


async def _try_again(pool: AsyncConnectionPool[Any]) -> None:
    """Callers may be waiting already, and no new one may come to make the pool try."""
    await pool.check()


@contextmanager
def patient(connection: AsyncConnection[Any]) -> Iterator[None]:
    """For statements that go through a whole workspace."""
    if isinstance(connection, Connection):
        with connection.answering_within(LONG_ANSWER_SECONDS_MAX):
            yield
    else:
        yield
