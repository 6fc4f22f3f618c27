"""How far each workspace is projected, and by which version of the program. It moves in the rows' own transaction."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import AsyncConnection

    from ledger.envelope import RecordedEvent
    from ledger.values import Position


class Checkpoint(NamedTuple):
    """`version` names what the tables hold (`registry.digest`); `recorded_at` is that of the last event in them."""

    version: str
    position: Position
    recorded_at: datetime | None


NOTHING = Checkpoint("", 0, None)
"""Where a workspace without tables stands."""


async def read_checkpoint(
    connection: AsyncConnection[Any], workspace_id: UUID, *, lock: bool = False
) -> Checkpoint | None:
    """None for a workspace without tables. With `lock` no other projector moves it until the transaction ends."""
    cursor = await connection.execute(
        "SELECT version, position, recorded_at FROM projections.checkpoints WHERE workspace_id = %s"
        + (" FOR UPDATE" if lock else ""),
        (workspace_id,),
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    return Checkpoint(*row) if row else None


async def advance(connection: AsyncConnection[Any], workspace_id: UUID, last: RecordedEvent) -> None:
    """Moves a locked checkpoint to the last event whose rows are written."""
    await connection.execute(
        "UPDATE projections.checkpoints SET position = %s::bigint, recorded_at = %s WHERE workspace_id = %s",
        (str(last.position), last.recorded_at, workspace_id),
        prepare=True,
    )


async def store(connection: AsyncConnection[Any], workspace_id: UUID, checkpoint: Checkpoint) -> None:
    """Names the version and the position of tables that were just made or swapped in."""
    await connection.execute(
        "INSERT INTO projections.checkpoints (workspace_id, version, position, recorded_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (workspace_id) DO UPDATE"
        " SET version = excluded.version, position = excluded.position, recorded_at = excluded.recorded_at",
        (workspace_id, *checkpoint),
    )
