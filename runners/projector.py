"""The projector program: follows every ledger and keeps its query tables up. Several may run: the checkpoint's
compare-and-set makes a batch that two of them apply count once.

A workspace whose next event cannot be applied stops there, loudly, and is tried again from time to time; the other
workspaces go on. Nothing is ever skipped.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from ledger.postgres.read import LedgerReader
from ledger.subscription import Subscription
from projections.errors import ProjectionGap, ProjectionStopped
from projections.projector import Projector
from runners import worker

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from ledger.envelope import RecordedEvent
    from runners.settings import WorkerSettings

STOPPED_RETRY_SECONDS = 5.0

log = structlog.get_logger(__name__)


def main(settings: WorkerSettings) -> None:
    """Runs the projector until it is told to stop. Blocks."""
    worker.main(partial(run, settings))


async def run(settings: WorkerSettings) -> None:
    async with worker.connections(settings.dsn) as pool:
        once = partial(_project_until_lost, settings, pool)
        await worker.again_and_again("projector", once, away=worker.AWAY)


async def _project_until_lost(settings: WorkerSettings, pool: AsyncConnectionPool[Any]) -> None:
    """Works while PostgreSQL is there; raises what was lost."""
    reader = LedgerReader(pool, master_key=worker.master_key(settings.keys))
    projector = Projector(pool, reader)
    await projector.start()
    stopped: set[UUID] = set()
    for workspace_id in await reader.heads():
        await _catch_up(projector, workspace_id, stopped)
    retrying = asyncio.create_task(_retry_stopped(projector, stopped))
    try:
        subscription = Subscription(reader, dsn=settings.dsn, nats_url=settings.nats_url)
        async for batch in subscription.batches(await projector.checkpoints()):
            if batch[0].workspace_id not in stopped:
                await _apply(projector, batch, stopped)
    finally:
        retrying.cancel()
        await asyncio.gather(retrying, return_exceptions=True)


async def _apply(projector: Projector, batch: list[RecordedEvent], stopped: set[UUID]) -> None:
    workspace_id = batch[0].workspace_id
    try:
        await projector.apply(workspace_id, batch)
    except ProjectionGap:
        await _catch_up(projector, workspace_id, stopped)
    except ProjectionStopped as error:
        _stop(error, stopped)


async def _catch_up(projector: Projector, workspace_id: UUID, stopped: set[UUID]) -> None:
    try:
        await projector.catch_up(workspace_id)
    except ProjectionStopped as error:
        _stop(error, stopped)
    else:
        stopped.discard(workspace_id)


def _stop(error: ProjectionStopped, stopped: set[UUID]) -> None:
    log.error("projection.stopped", workspace=str(error.workspace_id), position=error.position, reason=str(error))
    stopped.add(error.workspace_id)


async def _retry_stopped(projector: Projector, stopped: set[UUID]) -> None:
    """A fixed program or a fixed table lets a stopped workspace go on without a restart."""
    while True:
        await asyncio.sleep(STOPPED_RETRY_SECONDS)
        for workspace_id in tuple(stopped):
            await _catch_up(projector, workspace_id, stopped)
