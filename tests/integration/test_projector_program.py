"""The projector program when PostgreSQL comes back from a crash with less than it had."""

from __future__ import annotations

import asyncio
import time

import psycopg

from ledger.values import new_id
from projections.projector import Projector
from projections.schema import schema_of
from runners import projector
from runners.settings import WorkerSettings
from tests.support.ledgers import a_pipeline, open_ledger, unit
from tests.support.servers import Database

SECONDS_MAX = 15
POLL_SECONDS = 0.05


async def test_rows_that_a_crash_took_back_are_applied_again_though_nothing_new_happens(database: Database) -> None:
    """Batches do not wait for the disk: a crash may lose the last ones, rows and checkpoint together."""
    workspace = new_id()
    async with open_ledger(database.app_dsn) as ledger:
        head = (await ledger.appender.append(unit(workspace, a_pipeline()))).head
        program = asyncio.create_task(projector.run(WorkerSettings(dsn=database.app_dsn)))
        seen = Projector(ledger.pool, ledger.reader)
        try:
            await seen.start()
            await _until(seen, workspace, head)
            async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
                await owner.execute(f"DROP SCHEMA {schema_of(workspace)} CASCADE".encode())
                await owner.execute("DELETE FROM projections.checkpoints WHERE workspace_id = %s", (workspace,))
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await ledger.pool.check()
            await _until(seen, workspace, head)
        finally:
            program.cancel()
            await asyncio.gather(program, return_exceptions=True)


async def _until(seen: Projector, workspace: object, head: int) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while await seen.checkpoint(workspace) < head:  # type: ignore[arg-type]
        assert time.monotonic() < deadline, "the tables stay behind the ledger"
        await asyncio.sleep(POLL_SECONDS)
