"""Rows between memory and PostgreSQL: what a batch needs is read in one round trip, what it changed is written in one.

Rows travel as one JSON document for each table: a single prepared statement for any number of rows. New rows of a
replay are copied instead: a third of the work for PostgreSQL, but round trips that a few rows do not repay.
"""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg.rows import dict_row
from psycopg.types.json import set_json_dumps, set_json_loads

from ledger.personal import ERASED
from projections.registry import table
from projections.table import node_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from psycopg import AsyncConnection, AsyncCursor

    from projections.rows import Closed, Rows
    from projections.table import Column, ColumnType, Row, Table

COPY_TYPES: dict[ColumnType, str] = {"int": "int8", "float": "float8", "bool": "bool"}
"""The names of types where the driver knows them by another one than SQL."""

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


async def write(
    connection: AsyncConnection[Any], schema: str, *, workspace_id: UUID, rows: Rows, bulk: bool = False
) -> None:
    """Writes new rows, newer versions of stored rows, and the versions that ended: in a pipeline, unless in `bulk`."""
    insert = _copy if bulk else _insert
    for declared in rows.tables.values():
        name = declared.name
        if inserted := rows.inserted(name):
            await insert(connection, f"{schema}.{name}", declared.columns, workspace_id=workspace_id, rows=inserted)
        if updated := rows.updated(name):
            await _send(connection, _update(schema, name), workspace_id, updated)
        if closed := [_closed(declared, version) for version in rows.closed(name)]:
            history = f"{schema}.{declared.history}"
            await insert(connection, history, declared.history_columns, workspace_id=workspace_id, rows=closed)
        if erased := rows.erased(name):
            await _erase(connection, schema, declared, workspace_id=workspace_id, ids=erased)


def documents_as_values(cursor: AsyncCursor[Any]) -> AsyncCursor[Any]:
    """Reads jsonb with the decoder that events are read with."""
    set_json_loads(_decode, cursor)
    return cursor


async def _select(connection: AsyncConnection[Any], query: str, parameters: tuple[object, ...]) -> AsyncCursor[Row]:
    cursor = documents_as_values(connection.cursor(row_factory=dict_row, binary=True))
    return await cursor.execute(query.encode(), parameters, prepare=True)


async def _insert(
    connection: AsyncConnection[Any], target: str, columns: tuple[Column, ...], *, workspace_id: UUID, rows: list[Row]
) -> None:
    query = (
        f"INSERT INTO {target} (workspace_id, {names(columns)})"
        f" SELECT %s::uuid, {names(columns)} FROM json_to_recordset(%s::json) AS rows ({_definitions(columns)})"
    )
    await _send(connection, query, workspace_id, rows)


async def _copy(
    connection: AsyncConnection[Any], target: str, columns: tuple[Column, ...], *, workspace_id: UUID, rows: list[Row]
) -> None:
    cursor = connection.cursor()
    set_json_dumps(_encode, cursor)
    values_of = itemgetter(*(column.name for column in columns))
    query = f"COPY {target} (workspace_id, {names(columns)}) FROM STDIN (FORMAT BINARY)"
    async with cursor.copy(query.encode()) as copy:
        copy.set_types(["uuid", *(COPY_TYPES.get(column.type, column.sql_type) for column in columns)])
        for row in rows:
            await copy.write_row((workspace_id, *values_of(row)))


async def _send(connection: AsyncConnection[Any], query: str, workspace_id: UUID, rows: Iterable[Row]) -> None:
    await connection.execute(query.encode(), (workspace_id, _encode(rows).decode()), prepare=True)


async def _erase(
    connection: AsyncConnection[Any], schema: str, declared: Table, *, workspace_id: UUID, ids: list[UUID]
) -> None:
    """After everything else that the batch writes, so that no version keeps what it said of these people."""
    assignments = ", ".join(f'"{column.name}" = %(erased)s' for column in declared.personal)
    where = "workspace_id = %(workspace)s AND id = ANY(%(ids)s)"
    parameters = {"erased": ERASED, "workspace": workspace_id, "ids": ids}
    for target in (declared.name, declared.history):
        await connection.execute(f"UPDATE {schema}.{target} SET {assignments} WHERE {where}".encode(), parameters)


def _closed(declared: Table, closed: Closed) -> Row:
    """The row of the history twin; values that ended with the version get the node of their interval."""
    row, to_position, following = closed
    version = dict(zip(declared.version_names, declared.version_of(row), strict=True))
    version["to_position"] = to_position
    for _, since, node in declared.intervals:
        ended = following[since] == to_position
        version[node] = node_of(row[since], to_position) if ended else None
    return version


def _select_rows(schema: str, name: str) -> str:
    return f"SELECT {names(table(name).loaded)} FROM {schema}.{name} WHERE workspace_id = %s AND id = ANY(%s)"


def _select_referred(schema: str, name: str, column: str) -> str:
    referred = table(table(name).by_name[column].loads)
    return (
        f"SELECT {names(referred.loaded)} FROM {schema}.{referred.name} WHERE workspace_id = %s AND id IN"
        f" (SELECT {column} FROM {schema}.{name} WHERE {name}.workspace_id = {referred.name}.workspace_id"
        f" AND {name}.id = ANY(%s))"
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
