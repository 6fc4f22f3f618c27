"""Query tables computed from the ledger in a schema of their own: to compare with the live ones, or to replace them."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ledger.postgres.connecting import patient
from projections.fold import fold, needed
from projections.registry import tables
from projections.rows import Rows
from projections.schema import create_schema, drop_schema, schema_of
from projections.storage import load, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.envelope import RecordedEvent
    from ledger.postgres.read import LedgerReader
    from ledger.values import Position

EVENTS_PER_BATCH_MAX = 10_000
"""Events folded at once while replaying; rows that change often are written once a batch."""

EVENTS_PER_SLICE = 100

YOUNG = 0
"""The generation of garbage that a batch's end collects: what came into being since the end of the one before."""

INDEX_MEMORY = "256MB"
"""What PostgreSQL may use to sort the keys of an index; with its default it sorts on disk."""

REBUILD, COMPARISON = "rebuild", "comparison"
"""What scratch schemas are for; one of each at a time for a workspace."""

SCRATCH_PATTERN = f"^ws_[0-9a-f]{{32}}_({REBUILD}|{COMPARISON})$"


async def replay(
    connection: AsyncConnection[Any],
    reader: LedgerReader,
    workspace_id: UUID,
    *,
    scratch: str,
    only: Collection[str] | None = None,
    after: Position = 0,
    until: Position,
) -> Position:
    """Applies the ledger's events to scratch tables (all, or those of a `closure`), up to and including `until`.

    Reads ahead, and folds a batch while PostgreSQL writes the one before it: each batch takes over the rows of its
    predecessor, so that it needs nothing that is still on its way.
    """
    chosen = {name: declared for name, declared in tables().items() if only is None or name in only}
    replayed, previous = after, Rows(chosen)
    following = asyncio.create_task(_read(reader, workspace_id, replayed, until))
    with _rows_are_no_garbage():
        try:
            while events := await following:
                replayed = events[-1].position
                following = asyncio.create_task(_read(reader, workspace_id, replayed, until))
                rows = Rows(chosen)
                wanted = needed(events, rows)
                async with connection.pipeline():
                    await load(connection, scratch, workspace_id=workspace_id, wanted=wanted, rows=rows)
                rows.follow(previous, wanted)
                writing = asyncio.create_task(_write(connection, scratch, workspace_id=workspace_id, rows=previous))
                try:
                    await _fold_in_slices(rows, events)
                finally:
                    await writing
                previous = rows
                gc.collect(YOUNG)
            await _write(connection, scratch, workspace_id=workspace_id, rows=previous)
        finally:
            following.cancel()
    return replayed


@contextmanager
def _rows_are_no_garbage() -> Iterator[None]:
    """Rows hold no cycles, but looking for some among so many, again and again, takes a third of a replay's time. Once
    a batch is enough for what others in this process leave behind meanwhile."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


async def _fold_in_slices(rows: Rows, events: list[RecordedEvent]) -> None:
    """Lets the connection work between slices."""
    for first in range(0, len(events), EVENTS_PER_SLICE):
        fold(rows, events[first : first + EVENTS_PER_SLICE])
        await asyncio.sleep(0)


async def _write(connection: AsyncConnection[Any], scratch: str, *, workspace_id: UUID, rows: Rows) -> None:
    async with connection.transaction():
        await write(connection, scratch, workspace_id=workspace_id, rows=rows, bulk=True)


@asynccontextmanager
async def alone(
    connection: AsyncConnection[Any], workspace_id: UUID, purpose: str, *, wait: bool
) -> AsyncIterator[bool]:
    """Whether this is the only one to do so for the workspace. With `wait` it is, in the end."""
    key = (_scratch_name(workspace_id, purpose),)
    lock = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
    cursor = await connection.execute(f"SELECT {lock}(hashtextextended(%s, 0))".encode(), key)
    is_ours = wait or (await cursor.fetchone() or (False,))[0]
    try:
        yield is_ours
    finally:
        if is_ours:
            await connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)


@asynccontextmanager
async def scratch_schema(
    connection: AsyncConnection[Any], workspace_id: UUID, purpose: str, *, only: Collection[str] | None = None
) -> AsyncIterator[str]:
    """Empty tables without indexes in a schema of their own, dropped on the way out. Call it `alone`: what a crashed
    one left behind is dropped first."""
    name = _scratch_name(workspace_id, purpose)
    try:
        # What a crash loses of a scratch schema is dropped anyway.
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(f"SET maintenance_work_mem = '{INDEX_MEMORY}'")
        await _drop(connection, name)
        async with connection.transaction():
            await create_schema(connection, name, only=only, indexes=False)
        with patient(connection):
            yield name
    finally:
        await _drop(connection, name)
        await connection.execute("RESET synchronous_commit")
        await connection.execute("RESET maintenance_work_mem")


async def drop_left_overs(pool: AsyncConnectionPool[Any]) -> None:
    """Drops the scratch schemas that nobody works on: those of programs that were killed."""
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ %s", (SCRATCH_PATTERN,))
        for (name,) in await cursor.fetchall():
            hexadecimal, purpose = name.removeprefix("ws_").split("_")
            async with alone(connection, UUID(hexadecimal), purpose, wait=False) as is_ours:
                if is_ours:
                    await _drop(connection, name)


def _scratch_name(workspace_id: UUID, purpose: str) -> str:
    return f"{schema_of(workspace_id)}_{purpose}"


async def _drop(connection: AsyncConnection[Any], name: str) -> None:
    async with connection.transaction():
        await drop_schema(connection, name)


async def _read(reader: LedgerReader, workspace_id: UUID, after: Position, until: Position) -> list[RecordedEvent]:
    """The next batch, in as many reads as it takes."""
    events: list[RecordedEvent] = []
    while after < until and len(events) < EVENTS_PER_BATCH_MAX:
        more = await reader.read(workspace_id, after=after, until=until, limit=EVENTS_PER_BATCH_MAX - len(events))
        if not more:
            break
        events += more
        after = more[-1].position
    return events
