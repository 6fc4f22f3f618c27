"""The query tables in PostgreSQL: a schema for each workspace.

Making and dropping is safe when several programs do it at once: each holds the workspace's advisory lock.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from projections.registry import tables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator
    from uuid import UUID

    from psycopg import AsyncConnection

    from projections.table import Column, Table


def schema_of(workspace_id: UUID) -> str:
    """The schema of its own with a workspace's query tables, unless its checkpoint names a pool's."""
    return f"ws_{workspace_id.hex}"


async def lock_layout(connection: AsyncConnection[Any], workspace_id: UUID) -> None:
    """Until the end of the transaction nobody else makes, swaps or drops this workspace's schema."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (schema_of(workspace_id),))


@asynccontextmanager
async def keeping_layout(connection: AsyncConnection[Any], workspace_id: UUID) -> AsyncIterator[None]:
    """Nothing is swapped meanwhile. For a transaction that sees one moment: what was swapped in after that moment
    would look empty to it."""
    key = (schema_of(workspace_id),)
    await connection.execute("SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))", key)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock_shared(hashtextextended(%s, 0))", key)


async def create_schema(
    connection: AsyncConnection[Any], schema: str, *, only: Collection[str] | None = None, indexes: bool = True
) -> None:
    """A schema with these query tables (all, if not given), empty. A bulk load asks for the indexes afterwards
    (`create_indexes`)."""
    statements = [f"CREATE SCHEMA {schema}"]
    for table in _chosen(only):
        statements += _create_tables(schema, table)
        if indexes:
            statements += [*_create_history_key(schema, table), *_create_indexes(schema, table)]
    await connection.execute(";\n".join(statements).encode())


async def create_indexes(connection: AsyncConnection[Any], schema: str, *, only: Collection[str] | None = None) -> None:
    """Every index but the primary keys of the current tables, and fresh statistics for the planner."""
    for table in _chosen(only):
        statements = [*_create_history_key(schema, table), *_create_indexes(schema, table)]
        await connection.execute(";\n".join(statements).encode())
        await connection.execute(f"ANALYZE {schema}.{table.name}".encode())
        if not table.append_only:
            await connection.execute(f"ANALYZE {schema}.{table.history}".encode())


async def move_table(connection: AsyncConnection[Any], name: str, *, source: str, target: str) -> None:
    """Puts a table and its history twin, with their indexes, in the place of those of the same name."""
    await connection.execute("SET LOCAL client_min_messages = warning")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {target}".encode())
    declared = tables()[name]
    # The twin first, and of a shape that may be another program's: it may have had none.
    await connection.execute(f"DROP TABLE IF EXISTS {target}.{declared.history}, {target}.{name}".encode())
    for each in (name,) if declared.append_only else (name, declared.history):
        await connection.execute(f"ALTER TABLE {source}.{each} SET SCHEMA {target}".encode())


async def drop_schema(connection: AsyncConnection[Any], schema: str) -> None:
    await connection.execute("SET LOCAL client_min_messages = warning")
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


def _chosen(only: Collection[str] | None) -> list[Table]:
    return [table for name, table in tables().items() if only is None or name in only]


def _create_tables(schema: str, table: Table) -> Iterator[str]:
    yield (
        f"CREATE TABLE {schema}.{table.name} (workspace_id uuid NOT NULL, {_definitions(table.columns)},"
        " PRIMARY KEY (workspace_id, id))"
    )
    if not table.append_only:
        yield (
            f"CREATE TABLE {schema}.{table.history} (workspace_id uuid NOT NULL, {_definitions(table.history_columns)})"
        )


def _create_history_key(schema: str, table: Table) -> Iterator[str]:
    """While a table is filled nobody looks at its history, so its key can wait."""
    if not table.append_only:
        yield f"ALTER TABLE {schema}.{table.history} ADD PRIMARY KEY (workspace_id, id, from_position)"


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
