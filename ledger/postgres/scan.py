"""Reads for the full check: one snapshot, rows in position order, nothing believed.

A superuser may have put anything into a column, so a time that no program can hold is read as an absent one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.datetime import TimestamptzBinaryLoader

from ledger.archive.blocking import BlockingArchive
from ledger.codec import canonical
from ledger.deployment import Deployment
from ledger.merkle import leaf_hash
from ledger.postgres.read import COLUMNS, envelope
from ledger.proof_errors import NotSealedYet
from ledger.tiles import Tile
from ledger.values import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.abc import Buffer

CHUNK = 4_096


class Leaf(NamedTuple):
    """An entry: where its row says it stands, what it hashes to now, and the leaf hash beside it."""

    position: Position
    computed: bytes
    recorded: bytes


class StoredHead(NamedTuple):
    """What the head row says, and how far the log was sealed. The deployment's own log has no frontier of its own."""

    position: Position
    frontier: bytes | None
    sealed: int


class Sealed(NamedTuple):
    """A root that was sealed; without a note it is an entry of the deployment's log, whose signature covers it."""

    size: int
    root: bytes
    note: str | None


class _AnyTime(TimestamptzBinaryLoader):
    """Times outside of what Python knows (infinity, a year 10000) become None and so can hash to nothing."""

    def load(self, data: Buffer) -> datetime | None:  # type: ignore[override]
        try:
            return super().load(data)
        except psycopg.DataError:
            return None


@contextmanager
def open_scan(dsn: str) -> Iterator[Scan]:
    """A snapshot of the database, read-only, until the block ends."""
    with psycopg.connect(dsn, options="-c TimeZone=UTC") as connection, BlockingArchive(dsn) as archive:
        connection.adapters.register_loader("timestamptz", _AnyTime)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield Scan(connection, archive)


class Scan:
    """One snapshot."""

    def __init__(self, connection: psycopg.Connection[Any], archive: BlockingArchive) -> None:
        self._connection = connection
        self._archive = archive

    def deployment(self) -> Deployment:
        """Who the database says that it belongs to. Raises NotSealedYet before the sealer's first start."""
        row = self._one("SELECT id, name, public_key FROM ledger.deployment")
        if row is None:
            raise NotSealedYet(0, sealed=0)
        return Deployment(*row)

    def workspaces(self) -> list[UUID]:
        """Every workspace that any table knows: one that lost its head or its events is still named by another."""
        cursor = self._connection.execute(
            """
            WITH RECURSIVE present AS (
                (SELECT workspace_id FROM ledger.events ORDER BY workspace_id LIMIT 1)
                UNION ALL
                SELECT (SELECT e.workspace_id FROM ledger.events e WHERE e.workspace_id > present.workspace_id
                        ORDER BY e.workspace_id LIMIT 1) FROM present WHERE present.workspace_id IS NOT NULL
            )
            SELECT workspace_id FROM present WHERE workspace_id IS NOT NULL
            UNION SELECT workspace_id FROM ledger.heads UNION SELECT workspace_id FROM ledger.deployment_entries
            UNION SELECT log_id FROM ledger.signed_checkpoints WHERE log_id NOT IN (SELECT id FROM ledger.deployment)
            ORDER BY 1
            """,
            binary=True,
        )
        return [row[0] for row in cursor]

    def elsewhere(self) -> set[UUID]:
        """Workspaces whose head row says that they were moved away, or are not here yet."""
        cursor = self._connection.execute(
            "SELECT workspace_id FROM ledger.heads WHERE presence NOT IN ('here', 'leaving')", binary=True
        )
        return {row[0] for row in cursor}

    def head(self, workspace_id: UUID) -> StoredHead:
        """Position 0 with an empty frontier when the head row is gone."""
        row = self._one(
            """
            SELECT coalesce(h.position, 0), coalesce(h.frontier, ''),
                   greatest((SELECT max(size) FROM ledger.signed_checkpoints WHERE log_id = w.id),
                            (SELECT max(size) FROM ledger.deployment_entries WHERE workspace_id = w.id), 0)
            FROM (VALUES (%s::uuid)) AS w (id) LEFT JOIN ledger.heads h ON h.workspace_id = w.id
            """,
            workspace_id,
        )
        return StoredHead(*(row or (0, b"", 0)))

    def own_head(self) -> StoredHead:
        """The deployment's log ends where its last checkpoint does: both are written in one transaction."""
        row = self._one(
            "SELECT coalesce(max(size), 0) FROM ledger.signed_checkpoints JOIN ledger.deployment ON log_id = id"
        )
        size = row[0] if row else 0
        return StoredHead(size, None, size)

    def leaves(self, workspace_id: UUID) -> Iterator[list[Leaf]]:
        """Every event of a workspace, hashed from its row as it is; those that left the log from their archive's.

        Raises ArchiveGone, ArchiveAltered and ArchiveStoreUnusable."""
        archived = self._one("SELECT max(last_position) FROM ledger.archives WHERE workspace_id = %s", workspace_id)
        here = self._one("SELECT min(position) FROM ledger.events WHERE workspace_id = %s", workspace_id)
        last = (archived and archived[0]) or 0
        left = min(last, here[0] - 1) if here and here[0] is not None else last
        for after in range(0, left, CHUNK):
            yield _leaves(self._archive.between(workspace_id, after=after, until=min(left, after + CHUNK)))
        query = f"SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = %s ORDER BY position"
        for rows in self._chunks("events", query, workspace_id):
            yield _leaves(rows)

    def own_leaves(self) -> Iterator[list[Leaf]]:
        """Every entry of the deployment's own log."""
        for rows in self._chunks("entries", "SELECT number, entry FROM ledger.deployment_entries ORDER BY number"):
            hashed = [(row[0], leaf_hash(row[1].encode())) for row in rows]
            yield [Leaf(number + 1, leaf, leaf) for number, leaf in hashed]

    def sealed(self, log_id: UUID) -> Iterator[Sealed]:
        """Every root that was sealed, by size: signed checkpoints, and what the deployment's log says of them."""
        query = """
            SELECT size, root, note FROM ledger.signed_checkpoints WHERE log_id = %s
            UNION ALL
            SELECT size, decode(split_part(entry, E'\\n', 3), 'base64'), NULL FROM ledger.deployment_entries
            WHERE workspace_id = %s ORDER BY 1, 3 NULLS LAST
        """
        for rows in self._chunks("sealed", query, log_id, log_id):
            yield from (Sealed(*row) for row in rows)

    def tiles(self, log_id: UUID, wanted: Sequence[Tile]) -> dict[Tile, bytes]:
        """The tiles that are stored of these."""
        cursor = self._connection.execute(
            "SELECT level, number, hashes FROM ledger.tiles JOIN unnest(%s::smallint[], %s::bigint[])"
            " AS asked (level, number) USING (level, number) WHERE log_id = %s",
            ([tile.level for tile in wanted], [tile.number for tile in wanted], log_id),
            binary=True,
        )
        return {Tile(row[0], row[1]): row[2] for row in cursor}

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        return self._connection.execute(query, values, binary=True).fetchone()

    def _chunks(self, name: str, query: str, *values: object) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of a server-side cursor, a bounded number at a time."""
        with self._connection.cursor(f"{name}_{id(values)}", binary=True) as cursor:
            cursor.execute(query, values, binary=True)
            while rows := cursor.fetchmany(CHUNK):
                yield rows


def _leaves(rows: Iterable[tuple[Any, ...]]) -> list[Leaf]:
    return [Leaf(row[1], leaf_hash(canonical(envelope(row))), row[15]) for row in rows]
