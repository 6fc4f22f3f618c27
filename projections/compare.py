"""The proof that query tables say what the ledger says: replay it beside them, then compare every table by digest.

The live tables go on serving and moving meanwhile: what is compared is what they hold as of the replayed position.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import dict_row

from projections.checkpoints import NOTHING, read_checkpoint
from projections.errors import ErasedMeanwhile, ProjectionBehind, ProjectionOutdated
from projections.layouts import read_layout
from projections.registry import tables
from projections.replay import COMPARISON, alone, replay, scratch_schema
from projections.schema import keeping_layout, schema_of
from projections.storage import documents_as_values, names
from projections.table import IDENTITY
from projections.versions import digest

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.postgres.read import LedgerReader
    from ledger.values import Position
    from projections.table import Column, Row, Table

ROW = "row"
"""The column that a difference names when one side has no such row at all."""


class TableComparison(msgspec.Struct, frozen=True):
    """The rows of one table and the digests of both sides."""

    table: str
    rows: int
    live: str
    replayed: str


class Difference(msgspec.Struct, frozen=True):
    """The first value that is not what the ledger says."""

    table: str
    id: UUID
    column: str
    live: Any
    replayed: Any


class Comparison(msgspec.Struct, frozen=True):
    """What a comparison found, up to and including `position`."""

    equal: bool
    position: int
    events: int
    seconds: float
    tables: tuple[TableComparison, ...]
    first_difference: Difference | None


class _Sides(NamedTuple):
    """The same rows from two places, as SQL, and what identifies and makes up a row."""

    name: str
    live: str
    replayed: str
    key: tuple[Column, ...]
    columns: tuple[Column, ...]


async def verify(
    pool: AsyncConnectionPool[Any], reader: LedgerReader, workspace_id: UUID, *, until: Position | None = None
) -> Comparison:
    """Replays the ledger into scratch tables up to `until` (the checkpoint, if not given) and compares.

    Raises ProjectionBehind when the live tables are not there yet, ProjectionOutdated when another version of the
    program built them, ErasedMeanwhile when one side may know a person whom the other side does not know any more. The
    scratch tables are dropped in any case.
    """
    started = time.perf_counter()
    async with pool.connection() as connection:
        found = await read_checkpoint(connection, workspace_id) or NOTHING
        position = found.position if until is None else until
        if position > found.position:
            raise ProjectionBehind(position, checkpoint=found.position)
        erased = await reader.keys.last_erasure(workspace_id)
        if erased > found.position:
            raise ProjectionBehind(erased, checkpoint=found.position)
        if found is NOTHING:
            return Comparison(True, 0, 0, time.perf_counter() - started, (), None)
        if found.version != digest():
            layout = await read_layout(connection, workspace_id)
            raise ProjectionOutdated(workspace_id, layout.outdated() | layout.standing.keys())
        async with (
            alone(connection, workspace_id, COMPARISON, wait=True),
            scratch_schema(connection, workspace_id, COMPARISON) as scratch,
        ):
            replayed = await replay(connection, reader, workspace_id, scratch=scratch, until=position)
            async with keeping_layout(connection, workspace_id):
                live = (await read_checkpoint(connection, workspace_id) or found).schema or schema_of(workspace_id)
                compared, difference = await _compare_all(
                    connection, workspace_id, live=live, scratch=scratch, until=position
                )
        if await reader.keys.last_erasure(workspace_id) != erased:
            raise ErasedMeanwhile(workspace_id)
    return Comparison(
        equal=difference is None,
        position=position,
        events=replayed,
        seconds=time.perf_counter() - started,
        tables=tuple(compared),
        first_difference=difference,
    )


async def _compare_all(
    connection: AsyncConnection[Any], workspace_id: UUID, *, live: str, scratch: str, until: Position
) -> tuple[list[TableComparison], Difference | None]:
    """Every table and history, in one view of the database."""
    compared: list[TableComparison] = []
    difference: Difference | None = None
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await connection.execute("SET LOCAL TimeZone = 'UTC'")
        for declared in tables().values():
            for sides in _sides(declared, workspace_id, live=live, scratch=scratch, position=until):
                comparison = await _compare(connection, sides)
                compared.append(comparison)
                if difference is None and comparison.live != comparison.replayed:
                    difference = await _first_difference(connection, sides)
    return compared, difference


def _sides(declared: Table, workspace_id: UUID, *, live: str, scratch: str, position: Position) -> list[_Sides]:
    """The current table, and the history twin if there is one; the live side as of the position. In a pool, others
    have rows beside."""
    columns, ours = declared.columns, f"workspace_id = '{workspace_id}'"
    everything = f"SELECT workspace_id, {names(columns)} FROM"
    current = f"{live}.{declared.name} AS c"
    if declared.append_only:
        rows = f"{everything} {current} WHERE c.{ours} AND c.created_position <= {position}"
        return [_Sides(declared.name, rows, f"{everything} {scratch}.{declared.name}", IDENTITY[:1], columns)]
    history = f"{live}.{declared.history} AS h"
    mixed = ", ".join(
        f'{"c" if column.name in declared.immutable_names else "h"}."{column.name}"' for column in columns
    )
    then = (
        f"{everything} {current} WHERE c.{ours} AND c.from_position <= {position}"
        f" UNION ALL SELECT c.workspace_id, {mixed}"
        f" FROM {history} JOIN {current} ON c.workspace_id = h.workspace_id AND c.id = h.id"
        f" WHERE h.{ours} AND h.from_position <= {position} AND h.to_position > {position}"
    )
    versions = f"SELECT workspace_id, {names(declared.history_columns)} FROM"
    key = (IDENTITY[0], *(column for column in declared.mutable if column.name == "from_position"))
    return [
        _Sides(declared.name, then, f"{everything} {scratch}.{declared.name}", IDENTITY[:1], columns),
        _Sides(
            declared.history,
            f"{versions} {history} WHERE h.{ours} AND h.to_position <= {position}",
            f"{versions} {scratch}.{declared.history}",
            key,
            declared.history_columns,
        ),
    ]


async def _compare(connection: AsyncConnection[Any], sides: _Sides) -> TableComparison:
    rows, live = await _digest(connection, sides, sides.live)
    _, replayed = await _digest(connection, sides, sides.replayed)
    return TableComparison(sides.name, rows, live, replayed)


async def _digest(connection: AsyncConnection[Any], sides: _Sides, rows: str) -> tuple[int, str]:
    """SHA-256 over the rows in the order of their keys, in two levels so that no text grows with the table."""
    key = ", ".join(f'"{column.name}"' for column in sides.key)
    query = f"""
        WITH hashed AS (
            SELECT left(id::text, 3) AS part, {key},
                   sha256(convert_to(ROW(workspace_id, {names(sides.columns)})::text, 'UTF8')) AS hash
            FROM ({rows}) AS rows
        ), parts AS (
            SELECT part, count(*) AS total, sha256(string_agg(hash, ''::bytea ORDER BY {key})) AS hash
            FROM hashed GROUP BY part
        )
        SELECT coalesce(sum(total), 0)::bigint,
               encode(sha256(coalesce(string_agg(hash, ''::bytea ORDER BY part), ''::bytea)), 'hex')
        FROM parts"""
    cursor = await connection.execute(query.encode())
    row = await cursor.fetchone()
    assert row is not None, "an aggregate always gives a row"  # noqa: S101
    return row[0], row[1]


async def _first_difference(connection: AsyncConnection[Any], sides: _Sides) -> Difference:
    """The first row by key that is not equal on both sides, and its first column that is not."""
    key = ", ".join(f'"{column.name}"' for column in sides.key)
    cursor = documents_as_values(connection.cursor(row_factory=dict_row, binary=True))
    pair: list[Row] = []
    for ours, theirs in ((sides.live, sides.replayed), (sides.replayed, sides.live)):
        query = f"SELECT * FROM (({ours}) EXCEPT ({theirs})) AS different ORDER BY {key} LIMIT 1"
        await cursor.execute(query.encode())
        pair += [row] if (row := await cursor.fetchone()) else [{}]
    live, replayed = pair
    first = min((row for row in pair if row), key=lambda row: tuple(row[column.name] for column in sides.key))
    if any(live.get(column.name) != replayed.get(column.name) for column in sides.key):
        present = first is live
        return Difference(sides.name, first["id"], ROW, live if present else None, None if present else replayed)
    for column in sides.columns:
        if live[column.name] != replayed[column.name]:
            return Difference(sides.name, first["id"], column.name, live[column.name], replayed[column.name])
    return Difference(sides.name, first["id"], "workspace_id", live["workspace_id"], replayed["workspace_id"])
