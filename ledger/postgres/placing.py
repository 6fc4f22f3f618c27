"""The presence of a workspace on one PostgreSQL: opened in a pool, fenced for a move, opened where a move has arrived.

Each statement changes a head row only from the state it expects and for the move it names, so that any number of
programs may repeat any of them. An append takes the row's lock: after a fence has committed, none commits here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from ledger.errors import WorkspaceElsewhere

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from ledger.placement import Placing


class Presence(NamedTuple):
    """What a head row says of its workspace's place: `here`, `leaving`, `arriving` or `gone`, and by which move."""

    state: str
    move_id: UUID | None


async def presence_of(connection: AsyncConnection[Any], workspace_id: UUID) -> Presence | None:
    """None where the workspace never was."""
    cursor = await connection.execute(
        "SELECT presence, move_id FROM ledger.heads WHERE workspace_id = %s", (workspace_id,)
    )
    row = await cursor.fetchone()
    return Presence(*row) if row else None


async def pool_of(connection: AsyncConnection[Any], workspace_id: UUID) -> str | None:
    """The pool that the workspace's query tables belong into here; None for a schema of its own."""
    cursor = await connection.execute("SELECT schema FROM ledger.heads WHERE workspace_id = %s", (workspace_id,))
    row = await cursor.fetchone()
    return row[0] if row else None


async def refuse_gone(connection: AsyncConnection[Any], workspace_id: UUID) -> None:
    """Raises WorkspaceElsewhere where a move has left the workspace; until the transaction ends none does."""
    cursor = await connection.execute(
        "SELECT presence FROM ledger.heads WHERE workspace_id = %s FOR SHARE", (workspace_id,)
    )
    row = await cursor.fetchone()
    if row and row[0] == "gone":
        raise WorkspaceElsewhere(workspace_id, presence="gone")


async def open_pooled(connection: AsyncConnection[Any], workspace_id: UUID, schema: str) -> None:
    """Says before the first event of a workspace that its query tables lie in a pool."""
    await connection.execute(
        "INSERT INTO ledger.heads (workspace_id, schema) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (workspace_id, schema),
    )


async def fence(connection: AsyncConnection[Any], workspace_id: UUID, move_id: UUID) -> bool:
    """From now on nothing is appended here. Takes an earlier move's fence over. False if it is not here at all."""
    cursor = await connection.execute(
        "INSERT INTO ledger.heads (workspace_id, presence, move_id) VALUES (%(workspace)s, 'leaving', %(move)s)"
        " ON CONFLICT (workspace_id) DO UPDATE SET presence = 'leaving', move_id = %(move)s"
        " WHERE heads.presence IN ('here', 'leaving')",
        {"workspace": workspace_id, "move": move_id},
    )
    return cursor.rowcount == 1


async def take_down_fence(connection: AsyncConnection[Any], workspace_id: UUID, move_id: UUID) -> None:
    """For a move that was given up: the workspace stays here."""
    await _change(connection, workspace_id, move_id, before="leaving", after="here")


async def open_arrived(connection: AsyncConnection[Any], workspace_id: UUID, move_id: UUID) -> None:
    """For a move that the control ledger has recorded: the workspace is here now."""
    await _change(connection, workspace_id, move_id, before="arriving", after="here")


async def leave(connection: AsyncConnection[Any], workspace_id: UUID, move_id: UUID) -> None:
    """For a move that the control ledger has recorded: readers are sent away too."""
    await _change(connection, workspace_id, move_id, before="leaving", after="gone")


async def settle(
    connection: AsyncConnection[Any], workspace_id: UUID, *, seen: Presence | None, placing: Placing
) -> None:
    """Makes the head row at the present place say what the control ledger says.

    `seen` must have been read before `placing`: then the move it names has ended if `placing` does not know it as
    running, and it stays ended.
    """
    if seen is None or seen.move_id is None or (placing.moving and placing.moving.move_id == seen.move_id):
        return
    if seen.state == "leaving":
        await take_down_fence(connection, workspace_id, seen.move_id)
    elif seen.state == "arriving" and seen.move_id == placing.placement.move_id:
        await open_arrived(connection, workspace_id, seen.move_id)


async def lock_move(connection: AsyncConnection[Any], workspace_id: UUID) -> bool:
    """True if this session now is the mover of the workspace, for as long as it lives (at home); False if there is
    one."""
    cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"move {workspace_id}",))
    row = await cursor.fetchone()
    return bool(row and row[0])


async def unlock_move(connection: AsyncConnection[Any], workspace_id: UUID) -> None:
    await connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (f"move {workspace_id}",))


async def _change(
    connection: AsyncConnection[Any], workspace_id: UUID, move_id: UUID, *, before: str, after: str
) -> None:
    await connection.execute(
        "UPDATE ledger.heads SET presence = %s WHERE workspace_id = %s AND presence = %s AND move_id = %s",
        (after, workspace_id, before, move_id),
    )
