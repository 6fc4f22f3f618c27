"""How far each workspace is projected. It moves in the rows' own transaction; whoever locks it decides what is next.

Also the tables that the projectors keep of their own work: by which versions query tables were made
(`layouts.py`), which rebuilds are ordered (`orders.py`), and which workspaces stopped (`stops.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.envelope import RecordedEvent
    from ledger.values import Position

CREATION_LOCK = 0x70726F6A
"""Key of the advisory lock under which these tables are made."""

RATE_SECONDS = 10
"""Over how long the events per second are averaged: what is older counts less and less."""

TABLES = """
CREATE SCHEMA IF NOT EXISTS projections;
CREATE TABLE IF NOT EXISTS projections.checkpoints (
    workspace_id uuid PRIMARY KEY,
    version text NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz
) WITH (fillfactor = 50);
ALTER TABLE projections.checkpoints
    ADD COLUMN IF NOT EXISTS rate float8 NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS moved_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS schema text;
CREATE TABLE IF NOT EXISTS projections.layouts (
    workspace_id uuid PRIMARY KEY,
    tables jsonb NOT NULL,
    program jsonb NOT NULL,
    standing jsonb NOT NULL
);
CREATE TABLE IF NOT EXISTS projections.rebuilds (
    workspace_id uuid PRIMARY KEY,
    tables text[] NOT NULL,
    ordered_by text NOT NULL,
    ordered_at timestamptz NOT NULL DEFAULT now(),
    position bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS projections.stops (
    workspace_id uuid NOT NULL,
    rebuilding boolean NOT NULL,
    position bigint NOT NULL,
    type text NOT NULL,
    cause text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    attempts int NOT NULL DEFAULT 1,
    tried_at timestamptz NOT NULL DEFAULT now(),
    recovered_at timestamptz,
    PRIMARY KEY (workspace_id, rebuilding)
);
"""


NEWEST_COLUMN = "schema"
"""Of the checkpoints: the last that was added."""


class Checkpoint(NamedTuple):
    """`version` is the program's digest when every table is there and is its own; else the layout tells more.
    `recorded_at` is that of the last event in the tables; `schema` is a pool's, None the workspace's own."""

    version: str
    position: Position
    recorded_at: datetime | None
    schema: str | None = None


NOTHING = Checkpoint("", 0, None)
"""Where a workspace without tables stands."""

PARTIAL = "partial"
"""The version of a checkpoint whose tables are not all of one program: some stand still until they are rebuilt."""


async def create_tables(pool: AsyncConnectionPool[Any]) -> None:
    """Makes what is not there; repeating is harmless, also from several programs at once."""
    async with pool.connection() as connection, connection.transaction():
        if await _are_there(connection):
            return  # adding nothing would still wait for whoever uses the tables, and everybody else behind us
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
        await connection.execute("SET LOCAL client_min_messages = warning")
        await connection.execute(TABLES)


async def _are_there(connection: AsyncConnection[Any]) -> bool:
    """Whether the newest of the tables and columns are."""
    cursor = await connection.execute(
        "SELECT to_regclass('projections.stops') IS NOT NULL AND EXISTS (SELECT FROM pg_attribute"
        " WHERE attrelid = to_regclass('projections.checkpoints') AND attname = %s)",
        (NEWEST_COLUMN,),
    )
    return bool((await cursor.fetchone() or (False,))[0])


async def read_checkpoint(
    connection: AsyncConnection[Any], workspace_id: UUID, *, lock: bool = False
) -> Checkpoint | None:
    """None for a workspace without tables. With `lock` no other projector moves it until the transaction ends."""
    cursor = await connection.execute(
        "SELECT version, position, recorded_at, schema FROM projections.checkpoints WHERE workspace_id = %s"
        + (" FOR UPDATE" if lock else ""),
        (workspace_id,),
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    return Checkpoint(*row) if row else None


async def advance(connection: AsyncConnection[Any], workspace_id: UUID, last: RecordedEvent, *, events: int) -> None:
    """Moves a locked checkpoint to the last event whose rows are written, which are `events` more."""
    await connection.execute(
        "UPDATE projections.checkpoints SET position = %s::bigint, recorded_at = %s, moved_at = clock_timestamp(),"
        f" rate = rate * exp(-extract(epoch FROM clock_timestamp() - moved_at)::float8 / {RATE_SECONDS})"
        f" + %s::float8 / {RATE_SECONDS} WHERE workspace_id = %s",
        (str(last.position), last.recorded_at, str(events), workspace_id),
        prepare=True,
    )


async def store(connection: AsyncConnection[Any], workspace_id: UUID, checkpoint: Checkpoint) -> None:
    """Names the version and the position of tables that were just made or swapped in."""
    await connection.execute(
        "INSERT INTO projections.checkpoints (workspace_id, version, position, recorded_at, schema)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (workspace_id) DO UPDATE SET version = excluded.version,"
        " position = excluded.position, recorded_at = excluded.recorded_at, schema = excluded.schema",
        (workspace_id, *checkpoint),
    )


async def store_schema(connection: AsyncConnection[Any], workspace_id: UUID, schema: str) -> None:
    """With the checkpoint locked by the same transaction: the rows are in another pool schema now."""
    await connection.execute(
        "UPDATE projections.checkpoints SET schema = %s WHERE workspace_id = %s", (schema, workspace_id)
    )
