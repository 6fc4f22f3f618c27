"""The relay program: copies committed events to JetStream. Several may run; one at a time works, the others wait."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nats.errors import Error as NatsError

from ledger import broker
from ledger.postgres.connecting import CONNECTION_PARAMETERS, Connection
from ledger.postgres.migrate import check_schema
from ledger.postgres.read import LedgerReader
from ledger.postgres.wake import wakeups
from ledger.relay import Relay
from runners import worker

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

    from runners.settings import WorkerSettings

RELAY_LOCK = 0x72656C61
"""Key of the advisory lock that the working relay holds for as long as its connection lives."""


class Nats(NamedTuple):
    """The servers, separated by commas, and on how many of them a stream lies."""

    urls: str
    replicas: int


def main(settings: WorkerSettings) -> None:
    """Runs the relay until it is told to stop. Blocks."""
    worker.main(partial(run, settings))


async def run(settings: WorkerSettings) -> None:
    if settings.nats_url is None:
        raise ValueError("the relay needs EVERLINE_NATS_URL")
    nats = Nats(settings.nats_url, settings.nats_replicas)
    await worker.on_each(settings.aliases(), partial(_relay, nats))


async def _relay(nats: Nats, alias: str, dsn: str) -> None:
    """One PostgreSQL's events, for ever."""
    async with worker.connections(dsn) as pool:
        once = partial(_relay_until_lost, alias, dsn, nats, pool)
        await worker.again_and_again(f"relay {alias}", pool, once, away=(*worker.AWAY, NatsError))


async def _relay_until_lost(alias: str, dsn: str, nats: Nats, pool: AsyncConnectionPool[Any]) -> None:
    """Works while PostgreSQL, NATS and the lock are there; raises what was lost."""
    await check_schema(pool)
    async with await Connection.connect(dsn, **CONNECTION_PARAMETERS) as fence:
        await fence.execute("SELECT pg_advisory_lock(%s)", (RELAY_LOCK,))
        client = await broker.connect(nats.urls, name="everline-relay")
        try:
            relay = Relay(pool, LedgerReader(pool), client.jetstream(), alias=alias, replicas=nats.replicas)
            await relay.start()
            await relay.catch_up()
            async for workspaces in wakeups(dsn):
                await fence.execute("SELECT 1")
                await relay.catch_up(workspaces or None)
        finally:
            await broker.close(client)
