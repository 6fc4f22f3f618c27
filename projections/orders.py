"""Which rebuilds are to be done: ordered by a projector that finds tables of another version, or by an operator.

An order is one row for each workspace. It is gone in the transaction that swaps the last of its tables in, so a crash
leaves the order, and whoever finds it does the work.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from projections.checkpoints import read_checkpoint
from projections.errors import NothingProjected, RebuildPending
from projections.layouts import Layout, Standing, read_layout, store_layout
from projections.registry import tables
from projections.versions import made_by, program

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.values import Position

PROGRAM = "the program"
"""Who orders the rebuild of what another version made."""


class Order(NamedTuple):
    """`position` is how far the tables beside are."""

    tables: list[str]
    ordered_by: str
    ordered_at: datetime
    position: Position


async def order_rebuild(
    pool: AsyncConnectionPool[Any], workspace_id: UUID, *, projection: str | None, ordered_by: str
) -> list[str]:
    """Orders the tables of one projection, or all, to be made anew beside the live ones, which go on moving.

    Answers their names. Raises UnknownProjection, NothingProjected, RebuildPending, and ProjectionNewer.
    """
    chosen = made_by(projection) if projection is not None else tables().keys()
    async with pool.connection() as connection, connection.transaction():
        if await read_checkpoint(connection, workspace_id, lock=True) is None:
            raise NothingProjected(workspace_id)
        await read_layout(connection, workspace_id)
        pending = await read_order(connection, workspace_id)
        if pending is not None:
            raise RebuildPending(workspace_id, pending.tables)
        await _order(connection, workspace_id, chosen, ordered_by=ordered_by)
    return sorted(chosen)


async def claim(pool: AsyncConnectionPool[Any], workspace_id: UUID) -> None:
    """Stops what this program makes otherwise where it stands, and orders its rebuild; the rest goes on.

    From here on an older program keeps away. Raises ProjectionNewer if this is the older one.
    """
    async with pool.connection() as connection, connection.transaction():
        await claim_within(connection, workspace_id)


async def claim_within(connection: AsyncConnection[Any], workspace_id: UUID) -> None:
    """The same, in the caller's transaction."""
    found = await read_checkpoint(connection, workspace_id, lock=True)
    layout = await read_layout(connection, workspace_id)
    if found is None or layout.is_claimed():
        return
    here, outdated = Standing(found.position, found.recorded_at), layout.outdated()
    standing = {**dict.fromkeys(outdated, here), **layout.standing}
    await store_layout(
        connection, workspace_id, Layout(tables=layout.tables, program=dict(program()), standing=standing)
    )
    if outdated:
        await _order(connection, workspace_id, outdated, ordered_by=PROGRAM)


async def read_order(connection: AsyncConnection[Any], workspace_id: UUID) -> Order | None:
    """What is to be rebuilt, if anything is."""
    cursor = await connection.execute(
        "SELECT tables, ordered_by, ordered_at, position FROM projections.rebuilds WHERE workspace_id = %s",
        (workspace_id,),
    )
    row = await cursor.fetchone()
    return Order(*row) if row else None


async def ordered(pool: AsyncConnectionPool[Any]) -> list[UUID]:
    """The workspaces with an order, the oldest first."""
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT workspace_id FROM projections.rebuilds ORDER BY ordered_at")
        return [row[0] for row in await cursor.fetchall()]


async def report(connection: AsyncConnection[Any], workspace_id: UUID, position: Position) -> None:
    """How far the work is, for people who watch."""
    await connection.execute(
        "UPDATE projections.rebuilds SET position = %s WHERE workspace_id = %s", (position, workspace_id)
    )


async def done(connection: AsyncConnection[Any], workspace_id: UUID, names: Collection[str]) -> None:
    """Takes what was swapped in off the order; an order for more stays for the rest."""
    await connection.execute(
        "UPDATE projections.rebuilds SET position = 0,"
        " tables = ARRAY(SELECT name FROM unnest(tables) AS name WHERE name <> ALL(%s)) WHERE workspace_id = %s",
        (list(names), workspace_id),
    )
    await connection.execute(
        "DELETE FROM projections.rebuilds WHERE workspace_id = %s AND tables = '{}'", (workspace_id,)
    )


async def _order(
    connection: AsyncConnection[Any], workspace_id: UUID, names: Collection[str], *, ordered_by: str
) -> None:
    await connection.execute(
        "INSERT INTO projections.rebuilds AS known (workspace_id, tables, ordered_by) VALUES (%s, %s, %s)"
        " ON CONFLICT (workspace_id) DO UPDATE"
        " SET tables = ARRAY(SELECT unnest(known.tables) UNION SELECT unnest(excluded.tables) ORDER BY 1)",
        (workspace_id, sorted(names), ordered_by),
    )
