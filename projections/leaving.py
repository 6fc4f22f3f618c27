"""A workspace's query tables where it has left: readers are sent away first, the tables go after them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from psycopg import sql

from projections.checkpoints import read_checkpoint
from projections.pools import delete_rows
from projections.schema import drop_schema, lock_layout, schema_of

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool


async def forget(pool: AsyncConnectionPool[Any], workspace_id: UUID, *, after_seconds: float) -> None:
    """Without a checkpoint, readers ask the ledger, which says that it is gone. Queries that had begun are given
    `after_seconds` before the tables are dropped under them."""
    async with pool.connection() as connection, connection.transaction():
        found = await read_checkpoint(connection, workspace_id, lock=True)
        cursor = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'projections'")
        for (table,) in await cursor.fetchall():
            await connection.execute(
                sql.SQL("DELETE FROM projections.{} WHERE workspace_id = %s").format(sql.Identifier(table)),
                (workspace_id,),
            )
    await asyncio.sleep(after_seconds)
    async with pool.connection() as connection, connection.transaction():
        await lock_layout(connection, workspace_id)
        await drop_schema(connection, schema_of(workspace_id))
        if found is not None and found.schema is not None:
            await delete_rows(connection, found.schema, workspace_id)
