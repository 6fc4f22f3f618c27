"""The planner's statistics: renewed while tables grow, so that a list is read through its index from the start.

PostgreSQL looks by itself only once a minute; until then it takes a table that was just filled for an empty one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from psycopg.errors import UndefinedTable

from projections.checkpoints import read_checkpoint
from projections.schema import schema_of

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from ledger.values import Position

EVENTS_MIN = 1_000
GROWTH = 0.5
"""Share of a workspace's history that has to be new before its tables are looked at again."""

log = structlog.get_logger(__name__)


class Statistics:
    """Counts what one projector applies, per workspace. Renewing takes long, so it is not done while applying."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._seen: dict[UUID, Position] = {}
        self._due: dict[UUID, None] = {}

    def applied(self, workspace_id: UUID, *, first: Position, last: Position) -> None:
        """Renewing is due when enough is new since this projector last did."""
        seen = self._seen.setdefault(workspace_id, first - 1)
        if last - seen >= max(EVENTS_MIN, GROWTH * seen):
            self._due[workspace_id] = None
            self._seen[workspace_id] = last

    async def renew(self) -> None:
        """Renews what is due."""
        while self._due:
            workspace_id = next(iter(self._due))
            await self._renew(workspace_id)
            self._due.pop(workspace_id, None)

    async def _renew(self, workspace_id: UUID) -> None:
        """A pool is left to autovacuum: one workspace's growth is little of it."""
        schema = schema_of(workspace_id)
        async with self._pool.connection() as connection:
            checkpoint = await read_checkpoint(connection, workspace_id)
            if checkpoint is None or checkpoint.schema is not None:
                return
            cursor = await connection.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(%s)", (schema,)
            )
            found = [row[0] for row in await cursor.fetchall()]
            try:
                await connection.execute(f"ANALYZE {', '.join(f'{schema}.{name}' for name in found)}".encode())
            except UndefinedTable:
                log.info("statistics.swapped_meanwhile", workspace=str(workspace_id))
