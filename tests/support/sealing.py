"""A sealed ledger on a test's own database, and an administrator who tampers with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from ledger import checkpoint, merkle, tiles
from ledger.checkpoint import Checkpoint
from ledger.codec import canonical
from ledger.deployment import Deployment
from ledger.merkle import leaf_hash
from ledger.postgres.read import COLUMNS, envelope
from ledger.postgres.seals import SEALER_LOCK
from ledger.sealing import Sealer
from ledger.signing import KeyFile, make_key_file
from ledger.values import new_id
from tests.support.ledgers import OpenLedger, a_pipeline, open_ledger, unit
from tests.support.servers import Database


@dataclass
class SealedLedger:
    """A ledger with a sealer that works when it is asked to."""

    ledger: OpenLedger
    sealer: Sealer
    deployment: Deployment
    key: KeyFile
    database: Database

    async def append(self, workspace_id: UUID, count: int = 1) -> None:
        """Events of new pipelines, one command each."""
        for number in range(count):
            await self.ledger.appender.append(unit(workspace_id, a_pipeline(f"p{number}")))

    async def workspace(self, *steps: int) -> UUID:
        """A new workspace with events, sealed after each step."""
        workspace_id = new_id()
        for count in steps:
            await self.append(workspace_id, count)
            await self.sealer.seal()
        return workspace_id

    async def another(self) -> Sealer:
        """A second sealer, started now: it remembers nothing."""
        made = Sealer(self.ledger.pool, self.key)
        await made.start()
        return made

    async def refusals(self) -> dict[UUID, str]:
        """The codes of the logs that are not sealed."""
        async with self.ledger.pool.connection() as connection:
            cursor = await connection.execute("SELECT log_id, code FROM ledger.seal_refusals")
            return dict(await cursor.fetchall())


@asynccontextmanager
async def open_sealed(database: Database, directory: Path) -> AsyncIterator[SealedLedger]:
    """A ledger and its sealer, whose key lies in the directory."""
    make_key_file(directory / "checkpoint.pem")
    key = KeyFile(directory / "checkpoint.pem")
    async with open_ledger(database.app_dsn) as ledger:
        sealer = Sealer(ledger.pool, key)
        yield SealedLedger(ledger, sealer, await sealer.start(), key, database)


@contextmanager
def administrator(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A superuser for whom no trigger fires."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


class Forger:
    """An administrator who changes events and then makes everything beside them fit, except signatures."""

    def __init__(self, connection: psycopg.Connection[Any], workspace_id: UUID) -> None:
        self._connection, self._workspace_id = connection, workspace_id

    def fix_leaf_hashes(self) -> list[bytes]:
        """Hashes every row again, as it is now."""
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = %s ORDER BY position",
            (self._workspace_id,),
            binary=True,
        ).fetchall()
        leaves = [leaf_hash(canonical(envelope(row))) for row in rows]
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE ledger.events SET leaf_hash = %s WHERE workspace_id = %s AND position = %s",
                [(leaf, self._workspace_id, row[1]) for leaf, row in zip(leaves, rows, strict=True)],
            )
        return leaves

    def fix_head(self) -> list[bytes]:
        """The leaf hashes, and the head row as their appends would have left it."""
        leaves = self.fix_leaf_hashes()
        frontier: list[bytes] = []
        for size, leaf in enumerate(leaves):
            merkle.grow(frontier, size, leaf)
        self._connection.execute(
            "UPDATE ledger.heads SET position = %s, frontier = %s WHERE workspace_id = %s",
            (len(leaves), merkle.pack(frontier), self._workspace_id),
        )
        return leaves

    def fix_tiles(self, *, size: int) -> list[bytes]:
        """The leaf hashes, the head, and the tiles up to a size."""
        leaves = self.fix_head()
        put_tiles(self._connection, self._workspace_id, leaves[:size])
        return leaves

    def fix_roots(self, *, size: int) -> None:
        """Also the roots beside the signed notes."""
        leaves = self.fix_tiles(size=size)
        sizes = self._connection.execute(
            "SELECT size FROM ledger.signed_checkpoints WHERE log_id = %s", (self._workspace_id,)
        ).fetchall()
        for (signed_size,) in sizes:
            self._connection.execute(
                "UPDATE ledger.signed_checkpoints SET root = %s WHERE log_id = %s AND size = %s",
                (merkle.root_of(leaves[:signed_size]), self._workspace_id, signed_size),
            )


class Usurper:
    """An administrator with the database and the signing key: rewrites history so that everything inside fits."""

    def __init__(self, connection: psycopg.Connection[Any], key: KeyFile) -> None:
        self._connection, self._key = connection, key
        row = connection.execute("SELECT id, name, public_key FROM ledger.deployment").fetchone()
        assert row is not None
        self._deployment = Deployment(*row)

    def rewrite(self, workspace_id: UUID, statement: str) -> None:
        """Changes events of a workspace, then signs its log and the deployment's anew."""
        with self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (SEALER_LOCK,))
            self._connection.execute(statement.encode(), (workspace_id,))
            forger = Forger(self._connection, workspace_id)
            sizes = self._sizes(workspace_id)
            leaves = forger.fix_tiles(size=max(sizes))
            self._sign(workspace_id, leaves)
            for size in sizes:
                text = Checkpoint(self._deployment.origin(workspace_id), size, merkle.root_of(leaves[:size])).text
                self._connection.execute(
                    "UPDATE ledger.deployment_entries SET entry = %s WHERE workspace_id = %s AND size = %s",
                    (text, workspace_id, size),
                )
            entries = self._connection.execute("SELECT entry FROM ledger.deployment_entries ORDER BY number").fetchall()
            own = [leaf_hash(row[0].encode()) for row in entries]
            put_tiles(self._connection, self._deployment.id, own)
            self._sign(self._deployment.id, own)

    def _sign(self, log_id: UUID, leaves: list[bytes]) -> None:
        for size in self._sizes(log_id):
            root = merkle.root_of(leaves[:size])
            signed = checkpoint.sign(Checkpoint(self._deployment.origin(log_id), size, root), self._key)
            self._connection.execute(
                "UPDATE ledger.signed_checkpoints SET root = %s, note = %s WHERE log_id = %s AND size = %s",
                (root, signed.note, log_id, size),
            )

    def _sizes(self, log_id: UUID) -> list[int]:
        rows = self._connection.execute("SELECT size FROM ledger.signed_checkpoints WHERE log_id = %s", (log_id,))
        return [row[0] for row in rows]


def put_tiles(connection: psycopg.Connection[Any], log_id: UUID, leaves: list[bytes]) -> None:
    """Replaces a log's tiles by those of these leaves."""
    edge = tiles.Edge(0, {})
    edge.add(leaves)
    connection.execute("DELETE FROM ledger.tiles WHERE log_id = %s", (log_id,))
    for tile, hashes in edge.take().items():
        connection.execute("INSERT INTO ledger.tiles VALUES (%s, %s, %s, %s)", (log_id, *tile, hashes))
