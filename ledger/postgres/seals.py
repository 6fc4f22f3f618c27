"""What sealing reads and writes: every method is one statement in the sealer's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import scalar_row

from ledger.deployment import Deployment, default_name
from ledger.tiles import Tile
from ledger.values import new_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from ledger.checkpoint import SignedCheckpoint
    from ledger.values import Position

SEALER_LOCK = 0x7365616C
"""Key of the advisory lock: one sealer works at a time, until its transaction ends."""


class SealedHead(NamedTuple):
    """A ledger's head, and what was signed of it last. Position 0: no head row; size 0: nothing signed."""

    position: Position
    frontier: bytes
    size: int
    root: bytes
    note: str


class Seals:
    """One connection's view."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def deployment(self, name: str | None, *, public_key: bytes) -> Deployment:
        """Who we are; decided at the first call on this database, whatever later ones say."""
        deployment_id = new_id()
        await self._connection.execute(
            "INSERT INTO ledger.deployment (id, name, public_key) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (deployment_id, name or default_name(deployment_id), public_key),
        )
        cursor = await self._connection.execute("SELECT id, name, public_key FROM ledger.deployment", binary=True)
        return Deployment(*(await cursor.fetchone() or ()))

    async def lock(self) -> bool:
        """Whether this transaction is the one that seals."""
        cursor = await self._connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (SEALER_LOCK,))
        return bool((await cursor.fetchone() or (False,))[0])

    async def heads(self) -> dict[UUID, Position | None]:
        """Every ledger's last position; None for one that is not here, because it was moved away, or not yet."""
        cursor = await self._connection.execute(
            "SELECT workspace_id, CASE WHEN presence IN ('here', 'leaving') THEN position END FROM ledger.heads",
            binary=True,
        )
        return {row[0]: row[1] for row in await cursor.fetchall()}

    async def signed(self) -> dict[UUID, tuple[int, bytes]]:
        """Size and root of the last signed checkpoint of every log, one index look-up for each."""
        cursor = await self._connection.execute(
            """
            WITH RECURSIVE logs AS (
                (SELECT log_id FROM ledger.signed_checkpoints ORDER BY log_id LIMIT 1)
                UNION ALL
                SELECT (SELECT c.log_id FROM ledger.signed_checkpoints c WHERE c.log_id > logs.log_id
                        ORDER BY c.log_id LIMIT 1) FROM logs WHERE logs.log_id IS NOT NULL
            )
            SELECT log_id, last.size, last.root FROM logs CROSS JOIN LATERAL (
                SELECT size, root FROM ledger.signed_checkpoints c WHERE c.log_id = logs.log_id
                ORDER BY size DESC LIMIT 1) AS last
            """,
            binary=True,
        )
        return {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}

    async def head(self, log_id: UUID) -> SealedHead:
        """A ledger's head with its last signed checkpoint; the deployment's own log has no head row."""
        cursor = await self._connection.execute(
            """
            SELECT coalesce(h.position, 0), coalesce(h.frontier, ''), coalesce(c.size, 0), coalesce(c.root, ''),
                   coalesce(c.note, '')
            FROM (VALUES (%s::uuid)) AS log (id) LEFT JOIN ledger.heads h ON h.workspace_id = log.id
            LEFT JOIN LATERAL (SELECT size, root, note FROM ledger.signed_checkpoints WHERE log_id = log.id
                               ORDER BY size DESC LIMIT 1) AS c ON true
            """,
            (log_id,),
            binary=True,
        )
        return SealedHead(*(await cursor.fetchone() or ()))

    async def root_at(self, log_id: UUID, size: int) -> bytes | None:
        """The root that was signed at a size."""
        cursor = await self._connection.execute(
            "SELECT root FROM ledger.signed_checkpoints WHERE log_id = %s AND size = %s", (log_id, size), binary=True
        )
        row = await cursor.fetchone()
        return bytes(row[0]) if row else None

    async def leaves(self, workspace_id: UUID, *, after: Position, until: Position) -> list[bytes]:
        """Leaf hashes in position order; shorter than asked when a position is missing in the table."""
        cursor = self._connection.cursor(binary=True, row_factory=scalar_row)
        await cursor.execute(
            "SELECT leaf_hash FROM ledger.events WHERE workspace_id = %s AND position > %s AND position <= %s"
            " ORDER BY position",
            (workspace_id, after, until),
        )
        return await cursor.fetchall()

    async def first_gap(self, workspace_id: UUID, *, after: Position, until: Position) -> Position:
        """The first position of (after, until] without an event."""
        cursor = await self._connection.execute(
            "SELECT min(asked) FROM generate_series(%s::bigint, %s::bigint) AS asked WHERE NOT EXISTS"
            " (SELECT FROM ledger.events WHERE workspace_id = %s AND position = asked)",
            (after + 1, until, workspace_id),
        )
        return int((await cursor.fetchone() or (until,))[0])

    async def tiles(self, log_id: UUID, wanted: Sequence[Tile]) -> dict[Tile, bytes]:
        """The tiles that are stored of these."""
        return await read_tiles(self._connection, log_id, wanted)

    async def put_tiles(self, log_id: UUID, tiles: Mapping[Tile, bytes]) -> None:
        """Adds tiles, and lets the partial ones grow; a trigger refuses any other change."""
        await self._connection.execute(
            "INSERT INTO ledger.tiles (log_id, level, number, hashes)"
            " SELECT %s, * FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[])"
            " ON CONFLICT (log_id, level, number) DO UPDATE SET hashes = excluded.hashes",
            (log_id, [tile.level for tile in tiles], [tile.number for tile in tiles], list(tiles.values())),
        )

    async def put_checkpoint(self, log_id: UUID, signed: SignedCheckpoint) -> None:
        """Adds a signed checkpoint."""
        size, root = signed.checkpoint.size, signed.checkpoint.root
        await self._connection.execute(
            "INSERT INTO ledger.signed_checkpoints (log_id, size, root, note) VALUES (%s, %s, %s, %s)",
            (log_id, size, root, signed.note),
        )

    async def logged(self, workspaces: Iterable[UUID]) -> dict[UUID, int]:
        """The size up to which the deployment's log knows each workspace."""
        cursor = await self._connection.execute(
            "SELECT w, (SELECT max(size) FROM ledger.deployment_entries WHERE workspace_id = w)"
            " FROM unnest(%s::uuid[]) AS w",
            (list(workspaces),),
            binary=True,
        )
        return {row[0]: row[1] or 0 for row in await cursor.fetchall()}

    async def put_entries(self, first: int, entries: Sequence[tuple[UUID, int, str]]) -> None:
        """Adds entries (workspace, size, text of the checkpoint) to the deployment's log."""
        workspaces, sizes, texts = zip(*entries, strict=True)
        await self._connection.execute(
            "INSERT INTO ledger.deployment_entries (number, workspace_id, size, entry)"
            " SELECT %s + ordinality - 1, w, s, e"
            " FROM unnest(%s::uuid[], %s::bigint[], %s::text[]) WITH ORDINALITY AS new (w, s, e, ordinality)",
            (first, list(workspaces), list(sizes), list(texts)),
        )

    async def refuse(self, log_id: UUID, *, code: str, detail: str) -> None:
        """Notes why a log is not sealed; `refused_at` stays that of the first time."""
        await self._connection.execute(
            "INSERT INTO ledger.seal_refusals (log_id, code, detail) VALUES (%s, %s, %s)"
            " ON CONFLICT (log_id) DO UPDATE SET code = excluded.code, detail = excluded.detail",
            (log_id, code, detail),
        )

    async def refused(self) -> set[UUID]:
        """The logs that are noted as refused."""
        cursor = await self._connection.execute("SELECT log_id FROM ledger.seal_refusals", binary=True)
        return {row[0] for row in await cursor.fetchall()}

    async def forget_refusal(self, log_id: UUID) -> None:
        """The log is sealed again."""
        await self._connection.execute("DELETE FROM ledger.seal_refusals WHERE log_id = %s", (log_id,))


async def read_tiles(connection: AsyncConnection[Any], log_id: UUID, wanted: Sequence[Tile]) -> dict[Tile, bytes]:
    """The tiles that are stored of these, in one statement."""
    cursor = await connection.execute(
        "SELECT level, number, hashes FROM ledger.tiles JOIN unnest(%s::smallint[], %s::bigint[])"
        " AS asked (level, number) USING (level, number) WHERE log_id = %s",
        ([tile.level for tile in wanted], [tile.number for tile in wanted], log_id),
        binary=True,
    )
    return {Tile(row[0], row[1]): row[2] for row in await cursor.fetchall()}
