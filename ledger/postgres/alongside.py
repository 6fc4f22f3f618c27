"""What of a workspace a move copies beside its log: claims, and the tables whose rows are compared.

All of it is copied once while writers go on, and brought up to date while they wait, which is cheap then: claims only
change hands with an event of the stream that holds them, and of the rest only what differs is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from ledger.errors import CopyDiffers
from ledger.postgres.tables import COMPARED, Compared
from ledger.postgres.transfer import Transfer, one

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from ledger.values import Position

CLAIM_COLUMNS = "workspace_id, key, stream_kind, stream_id"


async def copy_claims(transfer: Transfer) -> Position:
    """Every claim, as the source holds them at the position that is answered."""
    async with transfer.target.transaction(), transfer.source.transaction():
        await transfer.source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        head = await transfer.head()
        await transfer.own_target()
        await transfer.target.execute("DELETE FROM ledger.claims WHERE workspace_id = %s", (transfer.workspace_id,))
        rows = sql.SQL(f"SELECT {CLAIM_COLUMNS} FROM ledger.claims WHERE workspace_id = {{}}")
        await transfer.copy_rows(
            "ledger.claims", sql.SQL(CLAIM_COLUMNS), rows.format(sql.Literal(transfer.workspace_id))
        )
    return head.position


async def refresh_claims(transfer: Transfer, *, after: Position) -> None:
    """What streams with events after a position hold now. The source must be fenced. Raises CopyDiffers."""
    cursor = await transfer.source.execute(
        "SELECT DISTINCT stream_kind, stream_id FROM ledger.events WHERE workspace_id = %s AND position > %s",
        (transfer.workspace_id, after),
    )
    streams = await cursor.fetchall()
    kinds, ids = [kind for kind, _ in streams], [id_ for _, id_ in streams]
    async with transfer.target.transaction():
        await transfer.own_target()
        await transfer.target.execute(
            "DELETE FROM ledger.claims USING unnest(%s::text[], %s::uuid[]) AS changed (kind, id)"
            " WHERE workspace_id = %s AND stream_kind = changed.kind AND stream_id = changed.id",
            (kinds, ids, transfer.workspace_id),
        )
        rows = sql.SQL(
            f"SELECT {CLAIM_COLUMNS} FROM ledger.claims"
            " JOIN unnest({}::text[], {}::uuid[]) AS changed (kind, id) ON stream_kind = kind AND stream_id = id"
            " WHERE workspace_id = {}"
        )
        await transfer.copy_rows(
            "ledger.claims",
            sql.SQL(CLAIM_COLUMNS),
            rows.format(sql.Literal(kinds), sql.Literal(ids), sql.Literal(transfer.workspace_id)),
        )
    digests = [
        await one(connection, CLAIMS_DIGEST, (transfer.workspace_id,))
        for connection in (transfer.source, transfer.target)
    ]
    if digests[0] != digests[1]:
        raise CopyDiffers(transfer.workspace_id, position=transfer.position, reason="the claims are not the same")


async def copy_differing(transfer: Transfer) -> None:
    """The rows of every compared table that the target lacks, or has in another form."""
    for table in COMPARED:
        there = await _digests(transfer.target, table, transfer)
        here = await _digests(transfer.source, table, transfer)
        keys = [key for key, digest in here.items() if there.get(key) != digest]
        if keys:
            await _copy(transfer, table, keys)


async def _digests(connection: AsyncConnection[Any], table: Compared, transfer: Transfer) -> dict[str, str]:
    query = sql.SQL("SELECT {}, md5(rows::text) FROM ledger.{} AS rows WHERE {} = %s").format(
        _key_text(table), sql.Identifier(table.name), sql.Identifier(table.owner)
    )
    cursor = await connection.execute(query, (transfer.workspace_id,))
    return dict(await cursor.fetchall())


async def _copy(transfer: Transfer, table: Compared, keys: list[str]) -> None:
    """Through a table of the transaction's own, because COPY knows no conflict."""
    name, owner = sql.Identifier(table.name), sql.Identifier(table.owner)
    names = [sql.Identifier(column) for column in await _columns(transfer.source, table)]
    columns = sql.SQL(", ").join(names)
    rows = sql.SQL("SELECT {} FROM ledger.{} WHERE {} = {} AND {} = ANY({}::text[])").format(
        columns, name, owner, sql.Literal(transfer.workspace_id), _key_text(table), sql.Literal(keys)
    )
    updates = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(column) for column in names)
    conflict = sql.SQL("DO UPDATE SET {}").format(updates) if table.mutable else sql.SQL("DO NOTHING")
    key = sql.SQL(", ").join(map(sql.Identifier, (table.owner, *table.key)))
    async with transfer.target.transaction():
        await transfer.own_target()
        await transfer.target.execute(
            sql.SQL("CREATE TEMP TABLE arriving (LIKE ledger.{}) ON COMMIT DROP").format(name)
        )
        await transfer.copy_rows("arriving", columns, rows)
        await transfer.target.execute(
            sql.SQL("INSERT INTO ledger.{} ({}) SELECT {} FROM arriving ON CONFLICT ({}) {}").format(
                name, columns, columns, key, conflict
            )
        )


async def _columns(connection: AsyncConnection[Any], table: Compared) -> list[str]:
    cursor = await connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum",
        (f"ledger.{table.name}",),
    )
    return [row[0] for row in await cursor.fetchall()]


def _key_text(table: Compared) -> sql.Composable:
    columns = sql.SQL(", ").join(map(sql.Identifier, (table.owner, *table.key)))
    return sql.SQL("ROW({})::text").format(columns)


CLAIMS_DIGEST = """
SELECT count(*), sum(hashtextextended(ROW(key, stream_kind, stream_id)::text, 0)::numeric)
FROM ledger.claims WHERE workspace_id = %s
"""
