"""The tables of the read side in PostgreSQL: the checkpoints, and a schema for each workspace.

Making and dropping is safe when several programs do it at once: each holds the workspace's advisory lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from projections.registry import tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from projections.table import Column, Table

CHECKPOINTS_LOCK = 0x70726F6A
"""Key of the advisory lock under which the schema of the checkpoints is made."""

CHECKPOINTS = """
CREATE SCHEMA IF NOT EXISTS projections;
CREATE TABLE IF NOT EXISTS projections.checkpoints (
    workspace_id uuid PRIMARY KEY,
    version text NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz
) WITH (fillfactor = 50);
"""


def schema_of(workspace_id: UUID) -> str:
    """The schema with a workspace's query tables."""
    return f"ws_{workspace_id.hex}"


async def create_checkpoints(pool: AsyncConnectionPool[Any]) -> None:
    """Makes the table of checkpoints if it is not there."""
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (CHECKPOINTS_LOCK,))
        await connection.execute("SET LOCAL client_min_messages = warning")
        await connection.execute(CHECKPOINTS)


async def lock_layout(connection: AsyncConnection[Any], workspace_id: UUID) -> None:
    """Until the end of the transaction nobody else makes, swaps or drops this workspace's schema."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (schema_of(workspace_id),))


async def create_schema(connection: AsyncConnection[Any], schema: str, *, indexes: bool = True) -> None:
    """An empty set of query tables. A bulk load asks for the indexes afterwards (`create_indexes`)."""
    statements = [f"CREATE SCHEMA {schema}"]
    for table in tables().values():
        statements += _create_tables(schema, table)
        if indexes:
            statements += _create_indexes(schema, table)
    await connection.execute(";\n".join(statements).encode())


async def create_indexes(connection: AsyncConnection[Any], schema: str) -> None:
    """Every index but the primary keys, and fresh statistics for the planner."""
    for table in tables().values():
        await connection.execute(";\n".join(_create_indexes(schema, table)).encode())
        await connection.execute(f"ANALYZE {schema}.{table.name}".encode())
        if not table.append_only:
            await connection.execute(f"ANALYZE {schema}.{table.history}".encode())


async def drop_schema(connection: AsyncConnection[Any], schema: str) -> None:
    await connection.execute("SET LOCAL client_min_messages = warning")
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


def _create_tables(schema: str, table: Table) -> Iterator[str]:
    yield (
        f"CREATE TABLE {schema}.{table.name} (workspace_id uuid NOT NULL, {_definitions(table.columns)},"
        " PRIMARY KEY (workspace_id, id))"
    )
    if not table.append_only:
        yield (
            f"CREATE TABLE {schema}.{table.history} (workspace_id uuid NOT NULL, {_definitions(table.history_columns)},"
            " PRIMARY KEY (workspace_id, id, from_position))"
        )


def _definitions(columns: tuple[Column, ...]) -> str:
    """Text sorts bytewise: fast, and the same on every machine."""
    return ", ".join(
        f'"{column.name}" {column.sql_type}' + (' COLLATE "C"' if column.type == "text" else "") for column in columns
    )


def _create_indexes(schema: str, table: Table) -> Iterator[str]:
    """Lists are read in the order of creation or of an indexed column; the past by the nodes of ended values."""
    current, history = f"{schema}.{table.name}", f"{schema}.{table.history}"
    yield f"CREATE INDEX ON {current} (workspace_id, created_position, id)"
    for column in table.own:
        if column.indexed:
            # Whether a value held at a past position is seen in the index, so what did not is passed over quickly.
            since = f" INCLUDE ({column.since})" if column in table.keyed else ""
            yield f'CREATE INDEX ON {current} (workspace_id, "{column.name}", created_position, id){since}'
    if table.append_only:
        return
    if table.taggable:
        yield f"CREATE INDEX ON {current} USING gin (tags)"
    yield f"CREATE INDEX ON {current} (workspace_id, from_position)"
    yield f"CREATE INDEX ON {current} (workspace_id, deleted_since, id) WHERE deleted"
    yield f"CREATE INDEX ON {history} (workspace_id, from_position)"
    for column in table.keyed:
        yield (
            f'CREATE INDEX ON {history} (workspace_id, {column.node}, "{column.name}", created_position, id,'
            f" {column.since}, to_position) WHERE {column.node} IS NOT NULL"
        )
