"""Reads of what was sealed: checkpoints, tiles, and the proofs that are computed from tiles. Nothing is written."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from ledger import merkle, tiles
from ledger.deployment import Deployment
from ledger.postgres.seals import Seals, read_tiles
from ledger.proof_errors import NotSealedYet
from ledger.values import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg_pool import AsyncConnectionPool

    from ledger.merkle import Span
    from ledger.tiles import Tile

PAGE_MAX = 1_000


class StoredCheckpoint(NamedTuple):
    """A signed checkpoint as it is stored."""

    size: int
    root: bytes
    note: str
    signed_at: datetime


class SealedLog(NamedTuple):
    """A workspace's log: where its ledger stands, how far it is sealed, and why not further. One that was moved to
    another PostgreSQL is not here, and is sealed there."""

    workspace_id: UUID
    is_here: bool
    position: Position
    size: int
    refused_code: str | None
    refused_detail: str | None
    refused_at: datetime | None


class ProofReader:
    """Reads from one PostgreSQL; each call takes a connection from the pool."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def deployment(self) -> Deployment:
        """Who this deployment is. Raises NotSealedYet before the sealer's first start."""
        rows = await self._rows("SELECT id, name, public_key FROM ledger.deployment")
        if not rows:
            raise NotSealedYet(0, sealed=0)
        return Deployment(*rows[0])

    async def latest(self, log_id: UUID) -> StoredCheckpoint | None:
        """The last signed checkpoint."""
        rows = await self._checkpoints("log_id = %s ORDER BY size DESC LIMIT 1", log_id)
        return rows[0] if rows else None

    async def covering(self, log_id: UUID, size: int) -> StoredCheckpoint | None:
        """The first signed checkpoint of at least this size."""
        rows = await self._checkpoints("log_id = %s AND size >= %s ORDER BY size LIMIT 1", log_id, size)
        return rows[0] if rows else None

    async def checkpoints(self, log_id: UUID, *, after: int, limit: int) -> list[StoredCheckpoint]:
        """Signed checkpoints of more than a size, smallest first."""
        limit = min(limit, PAGE_MAX)
        return await self._checkpoints("log_id = %s AND size > %s ORDER BY size LIMIT %s", log_id, after, limit)

    async def inclusion(self, log_id: UUID, index: int, size: int) -> tuple[bytes, list[bytes]]:
        """The leaf hash number `index`, and the proof that it is in the tree of `size` leaves.

        Raises NotSealedYet, TileTruncated."""
        spans = merkle.inclusion_spans(index, size)
        hashes = await self._hashes(log_id, [merkle.Span(index, index + 1), *spans], size=size)
        return hashes[0], hashes[1:]

    async def consistency(self, log_id: UUID, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` leaves extends that of `old_size`. Raises NotSealedYet, TileTruncated."""
        return await self._hashes(log_id, merkle.consistency_spans(old_size, size), size=size)

    async def frontier(self, log_id: UUID, size: int) -> list[bytes]:
        """The frontier of the tree at a size. Raises NotSealedYet, TileTruncated."""
        spans = [
            merkle.Span(node.number << node.level, (node.number + 1) << node.level)
            for node in merkle.frontier_nodes(size)
        ]
        return await self._hashes(log_id, spans, size=size)

    async def tiles(self, log_id: UUID, wanted: Sequence[Tile]) -> dict[Tile, bytes]:
        """The tiles that are stored of these."""
        async with self._pool.connection() as connection:
            return await read_tiles(connection, log_id, wanted)

    async def deployment_entries(self, first: int, limit: int) -> list[bytes]:
        """Entries of the deployment's own log from number `first` on."""
        rows = await self._rows(
            "SELECT entry FROM ledger.deployment_entries WHERE number >= %s AND number < %s ORDER BY number",
            first,
            first + limit,
        )
        return [row[0].encode() for row in rows]

    async def sealed(self) -> dict[UUID, int]:
        """How far every log is sealed."""
        async with self._pool.connection() as connection:
            return {log_id: size for log_id, (size, _) in (await Seals(connection).signed()).items()}

    async def refusals(self) -> dict[str, int]:
        """How many logs are not sealed, by code."""
        rows = await self._rows("SELECT code, count(*) FROM ledger.seal_refusals GROUP BY code")
        return {row[0]: row[1] for row in rows}

    async def logs(self, *, after: UUID | None, limit: int) -> list[SealedLog]:
        """Every workspace that has events or was ever sealed, in the order of ids."""
        rows = await self._rows(
            """
            WITH known AS (SELECT workspace_id AS id FROM ledger.heads
                           UNION SELECT workspace_id FROM ledger.deployment_entries)
            SELECT known.id, coalesce(h.presence IN ('here', 'leaving'), true), coalesce(h.position, 0),
                   coalesce((SELECT max(size) FROM ledger.signed_checkpoints c WHERE c.log_id = known.id), 0),
                   r.code, r.detail, r.refused_at
            FROM known LEFT JOIN ledger.heads h ON h.workspace_id = known.id
            LEFT JOIN ledger.seal_refusals r ON r.log_id = known.id
            WHERE %s::uuid IS NULL OR known.id > %s ORDER BY known.id LIMIT %s
            """,
            after,
            after,
            min(limit, PAGE_MAX),
        )
        return [SealedLog(*row) for row in rows]

    async def _hashes(self, log_id: UUID, spans: Sequence[Span], *, size: int) -> list[bytes]:
        """The hash of each span in the tree of `size` leaves, from the stored tiles."""
        latest = await self.latest(log_id)
        if latest is None or latest.size < size:
            raise NotSealedYet(size, sealed=latest.size if latest else 0)
        nodes = merkle.nodes_of(spans)
        stored = await self.tiles(log_id, tiles.tiles_of(nodes))
        return merkle.hashes_of(spans, tiles.nodes_in(nodes, stored))

    async def _checkpoints(self, where: str, *values: object) -> list[StoredCheckpoint]:
        query = f"SELECT size, root, note, signed_at FROM ledger.signed_checkpoints WHERE {where}"
        return [StoredCheckpoint(*row) for row in await self._rows(query, *values)]

    async def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values, binary=True)
            rows: list[tuple[Any, ...]] = await cursor.fetchall()
            return rows
