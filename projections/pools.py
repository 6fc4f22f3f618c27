"""Pool schemas: query tables that many small workspaces share, each with rows of its own in them.

A pool has a schema for each version of the tables as a whole (`pool_<digest>`): a workspace whose tables are rebuilt
by another program finds room beside the old ones, and its checkpoint says in which schema its rows are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from projections.registry import tables
from projections.schema import create_schema
from projections.versions import digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from psycopg import AsyncConnection

    from projections.table import Table

DIGEST_DIGITS = 8


def pool_schema(pool: str) -> str:
    """Where a pool's tables are that this program makes."""
    return f"{pool}_{digest()[:DIGEST_DIGITS]}"


async def make_room(connection: AsyncConnection[Any], pool: str, workspace_id: UUID) -> str:
    """The pool's schema, made by whoever comes first, without rows of this workspace. In a transaction."""
    schema = pool_schema(pool)
    if not await _exists(connection, schema):
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (schema,))
        if not await _exists(connection, schema):
            await create_schema(connection, schema)
    await delete_rows(connection, schema, workspace_id)
    return schema


async def take_in(connection: AsyncConnection[Any], name: str, *, source: str, target: str, workspace_id: UUID) -> None:
    """Puts a workspace's rows of a table and its history twin in the place of those that are there."""
    for each in _both(tables()[name]):
        await connection.execute(f"DELETE FROM {target}.{each} WHERE workspace_id = %s".encode(), (workspace_id,))
        await connection.execute(f"INSERT INTO {target}.{each} SELECT * FROM {source}.{each}".encode())


async def delete_rows(connection: AsyncConnection[Any], schema: str, workspace_id: UUID) -> None:
    """Everything of a workspace, also of tables that only another program has. In one round trip after the names."""
    cursor = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
    named = [table for (table,) in await cursor.fetchall()]
    await connection.execute(
        ";\n".join(f"DELETE FROM {schema}.{table} WHERE workspace_id = '{workspace_id}'" for table in named).encode()
    )


async def _exists(connection: AsyncConnection[Any], schema: str) -> bool:
    cursor = await connection.execute("SELECT to_regnamespace(%s) IS NOT NULL", (schema,))
    return bool((await cursor.fetchone() or (False,))[0])


def _both(declared: Table) -> Iterator[str]:
    yield declared.name
    if not declared.append_only:
        yield declared.history
