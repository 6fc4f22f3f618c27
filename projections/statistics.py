"""The planner's statistics: renewed while tables grow, so that a list is read through its index from the start.

PostgreSQL looks by itself only once a minute; until then it takes a table that was just filled for an empty one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from projections.registry import tables
from projections.schema import schema_of

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from ledger.values import Position

EVENTS_MIN = 1_000
GROWTH = 0.5
"""Share of a workspace's history that has to be new before its tables are looked at again."""


class Statistics:
    """Counts what one projector applies, per workspace."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._seen: dict[UUID, Position] = {}

    async def applied(self, workspace_id: UUID, *, first: Position, last: Position) -> None:
        """Renews the statistics when enough is new since this projector last did."""
        seen = self._seen.setdefault(workspace_id, first - 1)
        if last - seen >= max(EVENTS_MIN, GROWTH * seen):
            await self._renew(workspace_id)
            self._seen[workspace_id] = last

    async def _renew(self, workspace_id: UUID) -> None:
        schema = schema_of(workspace_id)
        names = [f"{schema}.{table.name}" for table in tables().values()]
        names += [f"{schema}.{table.history}" for table in tables().values() if not table.append_only]
        async with self._pool.connection() as connection:
            await connection.execute(f"ANALYZE {', '.join(names)}".encode())
