"""How a worker program lives: logs as JSON, one event loop, an orderly end on SIGTERM, and bounded patience.

A worker that loses PostgreSQL or NATS goes on trying; a worker that meets a broken invariant ends with an error, and
its supervisor says so.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
import uvloop
from psycopg_pool import PoolTimeout

from ledger.archive.errors import ArchiveStoreUnusable
from ledger.erasure import MasterKey
from ledger.errors import SchemaNewer, SchemaOlder
from ledger.postgres.connecting import LOST, Pool, make_pool

if TYPE_CHECKING:
    from pathlib import Path

POOL_SIZE_MAX = 4
RETRY_SECONDS = 0.5
AWAY = (*LOST, PoolTimeout, OSError, TimeoutError, SchemaOlder, SchemaNewer, ArchiveStoreUnusable)
"""What a dependency that is away raises, or is there and not migrated yet: worth another try, for ever."""

log = structlog.get_logger(__name__)


def main(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a worker until it ends or is told to stop. Blocks."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    gc.freeze()  # what was imported stays: going through it again and again would stop everything for 60 ms
    uvloop.run(_until_stopped(work()))


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("worker.stopped")


async def on_each(aliases: Mapping[str, str], work: Callable[[str, str], Coroutine[Any, Any, None]]) -> None:
    """Does the work (for an alias and its DSN) on every PostgreSQL at once. One that is away delays no other; a broken
    invariant on one ends all."""
    async with asyncio.TaskGroup() as group:
        for alias, dsn in aliases.items():
            group.create_task(work(alias, dsn), name=alias)


async def again_and_again(
    name: str, pool: Pool, work: Callable[[], Awaitable[None]], *, away: tuple[type[Exception], ...]
) -> None:
    """Starts the work anew whenever a dependency goes away, and replaces the pool's connections that died with it."""
    while True:
        try:
            await work()
        except away as error:
            log.warning("worker.waiting", worker=name, reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(RETRY_SECONDS)
            await pool.check()


def master_key(keys: Path | None) -> MasterKey | None:
    """The key to personal data, if the program is told in which directory it lies. Raises KeyUnusable."""
    return MasterKey.read(keys) if keys else None


async def until_one_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Runs them together until the first ends, ends the others, and raises what it raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()


@asynccontextmanager
async def connections(
    dsn: str, *, size_max: int = POOL_SIZE_MAX, wait_seconds_max: float = 30.0
) -> AsyncIterator[Pool]:
    """The worker's pool. A connection is not tried before it is used: that would be a fifth of a relay's round trips,
    and a worker that meets a dead one starts anew."""
    pool = make_pool(dsn, size_max=size_max, wait_seconds_max=wait_seconds_max)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()
