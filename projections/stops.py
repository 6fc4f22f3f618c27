"""The workspaces whose next event could not be applied: where, why, since when, and what came of trying again.

The row stays after a recovery, which is told as well. What counts is the checkpoint: a stop that it is past is over,
whoever noticed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import msgspec
from psycopg.rows import class_row

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

    from ledger.values import Position
    from projections.errors import ProjectionStopped


class Stop(msgspec.Struct, frozen=True):
    """`position` is the event that could not be applied; `rebuilding` says that this was while its tables were rebuilt,
    and the live ones went on."""

    workspace_id: UUID
    position: int
    type: str
    cause: str
    rebuilding: bool
    since: datetime
    attempts: int
    tried_at: datetime
    recovered_at: datetime | None

    def is_over(self, checkpoint: Position) -> bool:
        """Whether the tables got past it."""
        return self.recovered_at is not None or (not self.rebuilding and checkpoint >= self.position)


async def record_stop(pool: AsyncConnectionPool[Any], stopped: ProjectionStopped, *, rebuilding: bool) -> Stop:
    """Counts the attempts at the same event; another event is another stop."""
    async with pool.connection() as connection:
        cursor = await connection.cursor(row_factory=class_row(Stop)).execute(
            "INSERT INTO projections.stops AS known (workspace_id, position, type, cause, rebuilding)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (workspace_id, rebuilding) DO UPDATE SET"
            " since = CASE WHEN known.recovered_at IS NULL AND known.position = excluded.position"
            "   THEN known.since ELSE excluded.since END,"
            " attempts = CASE WHEN known.recovered_at IS NULL AND known.position = excluded.position"
            "   THEN known.attempts ELSE 0 END + 1,"
            " position = excluded.position, type = excluded.type, cause = excluded.cause,"
            " tried_at = now(), recovered_at = NULL RETURNING *",
            (stopped.workspace_id, stopped.position, stopped.type_name, stopped.cause, rebuilding),
        )
        recorded = await cursor.fetchone()
    assert recorded is not None, "an upsert always returns its row"  # noqa: S101
    return cast("Stop", recorded)


async def record_recovery(pool: AsyncConnectionPool[Any], workspace_id: UUID, *, rebuilding: bool) -> bool:
    """Whether there was a stop that is over now."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "UPDATE projections.stops SET recovered_at = now() WHERE workspace_id = %s AND rebuilding = %s"
            " AND recovered_at IS NULL",
            (workspace_id, rebuilding),
        )
        return bool(cursor.rowcount)


async def read_stops(pool: AsyncConnectionPool[Any], workspace_id: UUID | None = None) -> list[Stop]:
    """The last stops of this workspace, or of all, also those that are over."""
    async with pool.connection() as connection:
        cursor = await connection.cursor(row_factory=class_row(Stop)).execute(
            "SELECT * FROM projections.stops WHERE %s::uuid IS NULL OR workspace_id = %s",
            (workspace_id, workspace_id),
        )
        return cast("list[Stop]", await cursor.fetchall())
