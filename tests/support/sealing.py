"""A sealed ledger on a test's own database, and an administrator who tampers with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from ledger.deployment import Deployment
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
