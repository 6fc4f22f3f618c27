"""Query tables computed anew from the ledger, beside the live ones: to compare with them, or to take their place.

The live tables serve queries until the moment of the swap, which is a rename in one transaction.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from projections import checkpoints
from projections.checkpoints import Checkpoint, read_checkpoint
from projections.fold import fold, needed
from projections.registry import digest, tables
from projections.rows import Rows
from projections.schema import create_indexes, create_schema, drop_schema, schema_of
from projections.storage import load, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.envelope import RecordedEvent
    from ledger.postgres.read import LedgerReader
    from ledger.values import Position

EVENTS_PER_BATCH_MAX = 5_000
"""Events folded at once while replaying; rows that change often are written once a batch."""

EVENTS_PER_SLICE = 100


class Replayed(NamedTuple):
    """How far a replay came."""

    position: Position = 0
    recorded_at: datetime | None = None


async def rebuild(pool: AsyncConnectionPool[Any], reader: LedgerReader, workspace_id: UUID) -> Position:
    """Replaces a workspace's tables by freshly computed ones and returns their position.

    Does nothing if another program did it meanwhile. A crash leaves the live tables as they were.
    """
    async with pool.connection() as connection, scratch_schema(connection, workspace_id, "rebuild") as scratch:
        found = await read_checkpoint(connection, workspace_id)
        if found is not None and found.version == digest():
            return found.position
        replayed = await replay(connection, reader, workspace_id, scratch=scratch)
        await create_indexes(connection, scratch)
        await connection.execute("RESET synchronous_commit")
        async with connection.transaction():
            # Holding the checkpoint keeps other projectors out while the last events follow and the names change.
            await read_checkpoint(connection, workspace_id, lock=True)
            replayed = await replay(connection, reader, workspace_id, scratch=scratch, after=replayed)
            await drop_schema(connection, schema_of(workspace_id))
            await connection.execute(f"ALTER SCHEMA {scratch} RENAME TO {schema_of(workspace_id)}".encode())
            await checkpoints.store(connection, workspace_id, Checkpoint(digest(), *replayed))
        return replayed.position


async def replay(
    connection: AsyncConnection[Any],
    reader: LedgerReader,
    workspace_id: UUID,
    *,
    scratch: str,
    after: Replayed = Replayed(),  # noqa: B008 - immutable
    until: Position | None = None,
) -> Replayed:
    """Applies the ledger's events to scratch tables, up to and including `until`.

    Reads ahead, and folds a batch while PostgreSQL writes the one before it: each batch takes over the rows of its
    predecessor, so that it needs nothing that is still on its way.
    """
    replayed, previous = after, Rows(tables())
    following = asyncio.create_task(_read(reader, workspace_id, replayed.position, until))
    try:
        while events := await following:
            last = events[-1]
            following = asyncio.create_task(_read(reader, workspace_id, last.position, until))
            rows, wanted = Rows(tables()), needed(events)
            async with connection.pipeline():
                await load(connection, scratch, workspace_id=workspace_id, wanted=wanted, rows=rows)
            rows.follow(previous, wanted)
            writing = asyncio.create_task(_write(connection, scratch, workspace_id=workspace_id, rows=previous))
            try:
                await _fold_in_slices(rows, events)
            finally:
                await writing
            replayed, previous = Replayed(last.position, last.recorded_at), rows
        await _write(connection, scratch, workspace_id=workspace_id, rows=previous)
    finally:
        following.cancel()
    return replayed


async def _fold_in_slices(rows: Rows, events: list[RecordedEvent]) -> None:
    """Lets the connection work between slices."""
    for first in range(0, len(events), EVENTS_PER_SLICE):
        fold(rows, events[first : first + EVENTS_PER_SLICE])
        await asyncio.sleep(0)


async def _write(connection: AsyncConnection[Any], scratch: str, *, workspace_id: UUID, rows: Rows) -> None:
    async with connection.transaction():
        await write(connection, scratch, workspace_id=workspace_id, rows=rows, bulk=True)


@asynccontextmanager
async def scratch_schema(connection: AsyncConnection[Any], workspace_id: UUID, purpose: str) -> AsyncIterator[str]:
    """Empty tables without indexes in a schema of their own, dropped on the way out unless renamed.

    One at a time for each workspace and purpose; what a crashed one left behind is dropped first.
    """
    name = f"{schema_of(workspace_id)}_{purpose}"
    await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
    try:
        # What a crash loses of a scratch schema is dropped anyway.
        await connection.execute("SET synchronous_commit = off")
        await _drop(connection, name)
        async with connection.transaction():
            await create_schema(connection, name, indexes=False)
        yield name
    finally:
        await _drop(connection, name)
        await connection.execute("RESET synchronous_commit")
        await connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))


async def _drop(connection: AsyncConnection[Any], name: str) -> None:
    async with connection.transaction():
        await drop_schema(connection, name)


async def _read(
    reader: LedgerReader, workspace_id: UUID, after: Position, until: Position | None
) -> list[RecordedEvent]:
    if until is not None and after >= until:
        return []
    return await reader.read(workspace_id, after=after, until=until, limit=EVENTS_PER_BATCH_MAX)
