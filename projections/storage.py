"""Rows between memory and PostgreSQL: what a batch needs is read in one round trip, what it changed is written in one.

Rows travel as one JSON document for each table: a single prepared statement for any number of rows.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from projections.registry import table, tables
from projections.table import node_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from psycopg import AsyncConnection, AsyncCursor

    from ledger.values import Position
    from projections.rows import Rows
    from projections.table import Column, Row, Table

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def load(
    connection: AsyncConnection[Any], schema: str, *, workspace_id: UUID, wanted: Mapping[str, set[UUID]], rows: Rows
) -> None:
    """Reads the wanted rows, and those that their columns `load`."""
    cursors: list[tuple[str, AsyncCursor[Row]]] = []
    for name, ids in wanted.items():
        parameters = (workspace_id, list(ids))
        cursors.append((name, await _select(connection, _select_rows(schema, name), parameters)))
        for column in table(name).columns:
            if column.loads:
                query = _select_referred(schema, name, column.name)
                cursors.append((column.loads, await _select(connection, query, parameters)))
    for name, cursor in cursors:
        rows.load(name, await cursor.fetchall())


async def write(connection: AsyncConnection[Any], schema: str, *, workspace_id: UUID, rows: Rows) -> None:
    """Writes new rows, newer versions of stored rows, and the versions that ended."""
    for declared in tables().values():
        name = declared.name
        if inserted := rows.inserted(name):
            await _send(connection, _insert(schema, name), workspace_id, inserted)
        if updated := rows.updated(name):
            await _send(connection, _update(schema, name), workspace_id, updated)
        if closed := [_closed(declared, row, to_position) for row, to_position in rows.closed(name)]:
            await _send(connection, _insert_history(schema, name), workspace_id, closed)


def documents_as_values(cursor: AsyncCursor[Any]) -> AsyncCursor[Any]:
    """Reads jsonb with the decoder that events are read with."""
    set_json_loads(_decode, cursor)
    return cursor


async def _select(connection: AsyncConnection[Any], query: str, parameters: tuple[object, ...]) -> AsyncCursor[Row]:
    cursor = documents_as_values(connection.cursor(row_factory=dict_row, binary=True))
    return await cursor.execute(query.encode(), parameters, prepare=True)


async def _send(connection: AsyncConnection[Any], query: str, workspace_id: UUID, rows: Iterable[Row]) -> None:
    await connection.execute(query.encode(), (workspace_id, _encode(rows).decode()), prepare=True)


def _closed(declared: Table, row: Row, to_position: Position) -> Row:
    version = {column.name: row[column.name] for column in declared.mutable}
    return {
        **version,
        "id": row["id"],
        "created_position": row["created_position"],
        "to_position": to_position,
        "node": node_of(row["from_position"], to_position),
    }


def _select_rows(schema: str, name: str) -> str:
    return f"SELECT {names(table(name).loaded)} FROM {schema}.{name} WHERE workspace_id = %s AND id = ANY(%s)"


def _select_referred(schema: str, name: str, column: str) -> str:
    referred = table(table(name).by_name[column].loads)
    return (
        f"SELECT {names(referred.loaded)} FROM {schema}.{referred.name} WHERE workspace_id = %s AND id IN"
        f" (SELECT {column} FROM {schema}.{name} WHERE {name}.workspace_id = {referred.name}.workspace_id"
        f" AND {name}.id = ANY(%s))"
    )


def _insert(schema: str, name: str) -> str:
    columns = table(name).columns
    return (
        f"INSERT INTO {schema}.{name} (workspace_id, {names(columns)})"
        f" SELECT %s::uuid, {names(columns)} FROM json_to_recordset(%s::json) AS rows ({_definitions(columns)})"
    )


def _insert_history(schema: str, name: str) -> str:
    columns = table(name).history_columns
    return (
        f"INSERT INTO {schema}.{table(name).history} (workspace_id, {names(columns)})"
        f" SELECT %s::uuid, {names(columns)} FROM json_to_recordset(%s::json) AS rows ({_definitions(columns)})"
    )


def _update(schema: str, name: str) -> str:
    columns = table(name).mutable
    assignments = ", ".join(f'"{column.name}" = rows."{column.name}"' for column in columns)
    return (
        f"UPDATE {schema}.{name} AS stored SET {assignments}"
        " FROM (SELECT %s::uuid AS workspace_id, *"
        f" FROM json_to_recordset(%s::json) AS rows (id uuid, {_definitions(columns)})) AS rows"
        " WHERE stored.workspace_id = rows.workspace_id AND stored.id = rows.id"
    )


@cache
def _definitions(columns: tuple[Column, ...]) -> str:
    return ", ".join(f'"{column.name}" {column.sql_type}' for column in columns)


@cache
def names(columns: tuple[Column, ...]) -> str:
    """Quoted column names for a SELECT."""
    return ", ".join(f'"{column.name}"' for column in columns)
