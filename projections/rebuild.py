"""Rebuilt tables take the place of the live ones: computed beside them (`replay.py`), swapped in one transaction.

The live tables serve queries until the swap commits. Nothing but rows is made here: a fold is pure, so no side effect
can be repeated, and whatever acts on events reads them from the ledger with a checkpoint of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from psycopg.errors import LockNotAvailable

from ledger.postgres.placing import pool_of
from projections.checkpoints import NOTHING, Checkpoint, read_checkpoint, store_schema
from projections.errors import SwapRefused
from projections.layouts import read_layout, store_layout
from projections.orders import done, read_order, report
from projections.pools import delete_rows, make_room, pool_schema, take_in
from projections.registry import tables
from projections.replay import REBUILD, alone, replay, scratch_schema
from projections.schema import create_indexes, drop_schema, lock_layout, move_table, schema_of
from projections.versions import closure

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.postgres.read import LedgerReader
    from ledger.values import Position

EVENTS_PER_ROUND = 50_000
"""Events between two reports of how far a rebuild is."""

EVENTS_PER_SWAP_MAX = 500
"""Events that may be left over for the swap, which holds the live tables."""

STALE_READERS_SECONDS = 0.5
SWAP_LOCK_MILLISECONDS = 500
SWAP_RETRY_SECONDS = 0.5
SWAP_ATTEMPTS_MAX = 20


async def rebuild(pool: AsyncConnectionPool[Any], reader: LedgerReader, workspace_id: UUID) -> Position | None:
    """Makes the ordered tables of a workspace anew and swaps them in; answers their position.

    None if there is nothing to do, or another program is doing it. A crash leaves the live tables as they were, and the
    order. Raises ProjectionNewer, ProjectionStopped, and SwapRefused.
    """
    async with pool.connection() as connection, alone(connection, workspace_id, REBUILD, wait=False) as is_ours:
        order = await read_order(connection, workspace_id) if is_ours else None
        if order is None:
            return None
        await read_layout(connection, workspace_id)
        wanted = frozenset(order.tables) & tables().keys()
        found = await read_checkpoint(connection, workspace_id) or NOTHING
        shared = await pool_of(connection, workspace_id) if found.schema else None
        if shared and found.schema != pool_schema(shared):
            wanted = frozenset(tables())  # all of them go to where this program's tables of the pool are
        async with scratch_schema(connection, workspace_id, REBUILD, only=closure(wanted)) as scratch:
            work = _Work(connection, reader, workspace_id, scratch=scratch, wanted=wanted, pool=shared)
            await work.catch_up()
            if shared is None:
                await create_indexes(connection, scratch, only=wanted)
            return await work.swap_in()


class _Work:
    """One rebuild: how far its tables are, and how they take the place of the live ones."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        reader: LedgerReader,
        workspace_id: UUID,
        *,
        scratch: str,
        wanted: frozenset[str],
        pool: str | None,
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._workspace_id = workspace_id
        self._scratch = scratch
        self._wanted = wanted
        self._pool = pool
        self._left: str | None = None
        self._replayed: Position = 0

    async def catch_up(self) -> None:
        """Close to what the live tables have; what is left over is replayed while they are held."""
        while True:
            found = await read_checkpoint(self._connection, self._workspace_id) or NOTHING
            if found.position - self._replayed <= EVENTS_PER_SWAP_MAX:
                return
            self._replayed = await self._replay(until=min(found.position, self._replayed + EVENTS_PER_ROUND))
            await report(self._connection, self._workspace_id, self._replayed)

    async def swap_in(self) -> Position | None:
        """The live tables stay readable until the transaction commits. Raises SwapRefused."""
        await self._connection.execute("RESET synchronous_commit")
        for _ in range(SWAP_ATTEMPTS_MAX):
            try:
                async with self._connection.transaction():
                    position = await self._swap()
            except LockNotAvailable:
                await asyncio.sleep(SWAP_RETRY_SECONDS)
                await self.catch_up()
            else:
                await self._clear_left()
                return position
        raise SwapRefused(self._workspace_id, attempts=SWAP_ATTEMPTS_MAX)

    async def _swap(self) -> Position | None:
        # First the lock that a comparison holds for long: nobody else waits for us meanwhile.
        await lock_layout(self._connection, self._workspace_id)
        # Who reads the old tables is waited for, but not long: whoever wants to read them next waits behind us.
        await self._connection.execute(f"SET LOCAL lock_timeout = {SWAP_LOCK_MILLISECONDS}")
        # Holding the checkpoint keeps the tables where they are while the last events follow and the tables move.
        found = await read_checkpoint(self._connection, self._workspace_id, lock=True)
        if found is None:
            return None  # the workspace has left this PostgreSQL
        layout = await read_layout(self._connection, self._workspace_id)
        await self._replay(until=found.position)
        await self._take_place(found)
        await store_layout(self._connection, self._workspace_id, layout.with_made(self._wanted))
        await done(self._connection, self._workspace_id, self._wanted)
        await drop_schema(self._connection, self._scratch)
        return found.position

    async def _take_place(self, found: Checkpoint) -> None:
        """Own tables change their names; in a pool, where others have rows too, rows take the place of rows."""
        if self._pool is None:
            for name in sorted(self._wanted):
                await move_table(self._connection, name, source=self._scratch, target=schema_of(self._workspace_id))
            return
        target = pool_schema(self._pool)
        if found.schema != target:
            await make_room(self._connection, self._pool, self._workspace_id)
            await store_schema(self._connection, self._workspace_id, target)
            self._left = found.schema
        for name in sorted(self._wanted):
            await take_in(self._connection, name, source=self._scratch, target=target, workspace_id=self._workspace_id)

    async def _clear_left(self) -> None:
        """The rows in another version of the pool go once whoever had begun to read there has ended."""
        if self._left is not None:
            await asyncio.sleep(STALE_READERS_SECONDS)
            async with self._connection.transaction():
                await delete_rows(self._connection, self._left, self._workspace_id)

    async def _replay(self, *, until: Position) -> Position:
        return await replay(
            self._connection,
            self._reader,
            self._workspace_id,
            scratch=self._scratch,
            only=closure(self._wanted),
            after=self._replayed,
            until=until,
        )
