"""Deleting what a move has left behind. Only the owner may, and only where the workspace is gone (a trigger holds it).

The head row stays: it is what refuses programs that still come here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.postgres.transfer import one

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import AsyncConnection

ROWS_PER_TRANSACTION_MAX = 10_000
DROPPED = ("events", "commands", "streams", "claims")


async def drop_left(owner: AsyncConnection[Any], workspace_id: UUID) -> bool:
    """Deletes the ledger of a workspace that is gone; False where it is not, and nothing was done. Bounded
    transactions: whoever is stopped half-way starts again."""
    emptied = await one(
        owner,
        "UPDATE ledger.heads SET position = 0, frontier = '' WHERE workspace_id = %s AND presence = 'gone'"
        " RETURNING position",
        (workspace_id,),
    )
    if emptied is None:
        return False
    for table in DROPPED:
        await _drop_rows(owner, table, workspace_id)
    return True


async def _drop_rows(owner: AsyncConnection[Any], table: str, workspace_id: UUID) -> None:
    query = (
        f"DELETE FROM ledger.{table} WHERE ctid = ANY(ARRAY("
        f"SELECT ctid FROM ledger.{table} WHERE workspace_id = %s LIMIT {ROWS_PER_TRANSACTION_MAX}))"
    )
    while (await owner.execute(query.encode(), (workspace_id,))).rowcount:
        pass
