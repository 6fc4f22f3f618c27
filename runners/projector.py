"""The projector program: follows every ledger and keeps its query tables up. Several may run: the checkpoint's
compare-and-set makes a batch that two of them apply count once.

A workspace whose next event cannot be applied stops there, loudly, and is tried again from time to time; the other
workspaces go on. Nothing is ever skipped.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from ledger.postgres.connecting import CONNECTION_PARAMETERS, Connection
from ledger.postgres.migrate import check_schema
from ledger.postgres.read import LedgerReader
from ledger.subscription import Subscription
from projections.projector import Projector
from runners import worker
from runners.rebuilds import Rebuilds
from runners.turns import HANDS, Turns

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

    from ledger.erasure import MasterKey
    from runners.settings import WorkerSettings

LOOK_SECONDS = 1.0
"""How often it is asked whether PostgreSQL is still the one that was there."""


def main(settings: WorkerSettings) -> None:
    """Runs the projector until it is told to stop. Blocks."""
    worker.main(partial(run, settings))


async def run(settings: WorkerSettings) -> None:
    await worker.on_each(settings.aliases(), partial(_project, settings, worker.master_key(settings.keys)))


async def _project(settings: WorkerSettings, master_key: MasterKey | None, alias: str, dsn: str) -> None:
    """One PostgreSQL's workspaces, for ever."""
    async with worker.connections(dsn, size_max=HANDS + worker.POOL_SIZE_MAX) as pool:
        reader = LedgerReader(pool, master_key=master_key)
        once = partial(_project_until_lost, pool, reader, alias=alias, dsn=dsn, nats_url=settings.nats_url)
        await worker.again_and_again(f"projector {alias}", pool, once, away=worker.AWAY)


async def _project_until_lost(
    pool: AsyncConnectionPool[Any], reader: LedgerReader, *, alias: str, dsn: str, nats_url: str | None
) -> None:
    """Works while PostgreSQL is there; raises what was lost."""
    await check_schema(pool)
    projector = Projector(pool, reader)
    await projector.start()
    subscription = Subscription(reader, dsn=dsn, nats_url=nats_url, alias=alias)
    turns = Turns(projector, reader, subscription)
    turns.remember(await projector.stopped())
    hands = [turns.work() for _ in range(HANDS)]
    follow = _follow(subscription, turns, projector)
    await worker.until_one_ends(_session(dsn), follow, Rebuilds(projector).work(), *hands)


async def _session(dsn: str) -> None:
    """Raises when its session is lost, idle or not. A crash of PostgreSQL may have taken the last batches back, which
    do not wait for the disk: then the work has to start anew from the checkpoints, or nothing would tell it."""
    async with await Connection.connect(dsn, **CONNECTION_PARAMETERS) as connection:
        while True:
            await connection.execute("SELECT 1")
            await asyncio.sleep(LOOK_SECONDS)


async def _follow(subscription: Subscription, turns: Turns, projector: Projector) -> None:
    async for batch in subscription.batches(await projector.checkpoints()):
        turns.offer(batch)
