"""One connection that appends batches of units, and what becomes of them when PostgreSQL refuses or goes away."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import psycopg

from ledger.appending import Appended, Ledger, Unit
from ledger.errors import AppendRefused, LedgerDiskFull, LedgerUnavailable
from ledger.postgres import arrays
from ledger.postgres.batch import lock_and_read, write_and_commit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

RECONNECT_DELAYS_SECONDS = (0.0, 0.1, 0.3, 1.0, 2.0, 3.0)
"""How often a lost connection is tried again before the waiting callers are told; about six seconds."""

RETRY_SECONDS_MAX = 15
"""After this long no further attempt begins: a PostgreSQL that hangs takes all of COMMIT_SECONDS_MAX for each."""

TRANSACTION_SECONDS_MAX = 5
"""PostgreSQL ends the transaction of a writer that stopped in the middle, so that its locks hold nobody up for long."""

COMMIT_SECONDS_MAX = 10
"""How long a batch may wait for locks and answers before its connection counts as lost."""

Outcome = Appended | Exception


class Writer:
    """Commits one batch at a time on a connection of its own, which it opens when it needs it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: AsyncConnection[Any] | None = None
        self._known: set[UUID] = set()

    async def commit(self, units: Sequence[Unit]) -> Sequence[Outcome]:
        """What became of each unit: appended, or the refusal or failure that its caller is told.

        A full disk is told at once: waiting a moment helps as little as another connection does.
        After a lost connection the same units are tried again: one that was committed after all is refused as
        recorded, and its caller looks the first answer up. A unit that PostgreSQL itself refuses fails alone.
        """
        failure: Exception | None = None
        began = time.monotonic()
        for delay in RECONNECT_DELAYS_SECONDS:
            if time.monotonic() - began > RETRY_SECONDS_MAX:
                break
            await asyncio.sleep(delay)
            try:
                async with asyncio.timeout(COMMIT_SECONDS_MAX):
                    return await self._commit(units)
            except psycopg.errors.DiskFull:
                await self.disconnect()
                return [LedgerDiskFull()] * len(units)
            except (psycopg.Error, OSError) as error:
                failure, was_lost = error, self._is_lost(error)
                await self.disconnect()
                if not was_lost and len(units) == 1:
                    return [error]
                if not was_lost:
                    return [outcome for unit in units for outcome in await self.commit([unit])]
        return [LedgerUnavailable(f"PostgreSQL did not answer: {failure!r}")] * len(units)

    def _is_lost(self, error: Exception) -> bool:
        """Whether the connection is the matter, not what was sent on it. A server that ends a session, for having
        stood still in a transaction for example, says so with an error of any class."""
        connection = self._connection
        return isinstance(error, psycopg.OperationalError | OSError) or connection is None or connection.closed

    async def disconnect(self) -> None:
        """Gives the connection up, with whatever was not committed on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _commit(self, units: Sequence[Unit]) -> Sequence[Outcome]:
        connection = await self._connected()
        workspaces = sorted({unit.workspace_id for unit in units})
        await self._open_heads(connection, workspaces)
        ledgers = await lock_and_read(connection, workspaces, units)
        outcomes = [_outcome(ledgers[unit.workspace_id], unit) for unit in units]
        await write_and_commit(connection, ledgers)
        return outcomes

    async def _open_heads(self, connection: AsyncConnection[Any], workspaces: list[UUID]) -> None:
        """Makes the head row of a workspace that this writer has not seen yet."""
        new = [workspace for workspace in workspaces if workspace not in self._known]
        if new:
            await connection.execute(
                "INSERT INTO ledger.heads (workspace_id) SELECT unnest(%s::uuid[]) ON CONFLICT DO NOTHING", (new,)
            )
            self._known.update(new)

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None:
            connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True, prepare_threshold=0)
            # Plans cached while tables are empty would stay sequential scans for the life of the connection.
            await connection.execute("SET plan_cache_mode = force_generic_plan")
            await connection.execute("SET enable_seqscan = off")
            await connection.execute("SET TimeZone = 'UTC'")
            await connection.execute(f"SET transaction_timeout = '{TRANSACTION_SECONDS_MAX}s'")
            arrays.register(connection)
            self._connection = connection
        return self._connection


def _outcome(ledger: Ledger, unit: Unit) -> Appended | AppendRefused:
    try:
        return ledger.admit(unit)
    except AppendRefused as refusal:
        return refusal
