"""The projector program inside a test, and what it made of a workspace."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from runners import projector
from runners.settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.servers import Database

POLL_SECONDS = 0.005
SECONDS_MAX = 30.0


@asynccontextmanager
async def projecting(database: Database, *, nats_url: str | None = None) -> AsyncIterator[None]:
    """While it runs; it must not end by itself."""
    task = asyncio.create_task(projector.run(WorkerSettings(dsn=database.app_dsn, nats_url=nats_url)))
    try:
        yield
        assert not task.done(), "the projector ended"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], Awaitable[bool]], *, seconds_max: float = SECONDS_MAX) -> None:
    """Waits for a condition; an AssertionError when the deadline passes."""
    deadline = asyncio.get_running_loop().time() + seconds_max
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds_max:.0f} s"
        await asyncio.sleep(POLL_SECONDS)
