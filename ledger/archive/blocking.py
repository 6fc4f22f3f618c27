"""`ArchivedEvents` for programs without an event loop, such as checks and backups."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from ledger.archive.reading import ArchivedEvents
from ledger.postgres.connecting import make_pool

if TYPE_CHECKING:
    from uuid import UUID

    from ledger.archive.files import Row
    from ledger.postgres.connecting import Pool
    from ledger.values import Position

CONNECTION_WAIT_SECONDS_MAX = 30.0


class BlockingArchive:
    """Reads in a thread with an event loop of its own, which begins at the first read: most ledgers have no archive."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._runner: asyncio.Runner | None = None
        self._pool: Pool | None = None
        self._events: ArchivedEvents | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def between(self, workspace_id: UUID, *, after: Position, until: Position) -> list[Row]:
        """The archived rows of (after, until], in order. Blocks; raises ArchiveGone, ArchiveAltered and
        ArchiveStoreUnusable."""
        return self._thread.submit(self._read, workspace_id, after, until).result()

    def _read(self, workspace_id: UUID, after: Position, until: Position) -> list[Row]:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._between(workspace_id, after, until))

    async def _between(self, workspace_id: UUID, after: Position, until: Position) -> list[Row]:
        if self._events is None:
            self._pool = make_pool(self._dsn, size_max=1, wait_seconds_max=CONNECTION_WAIT_SECONDS_MAX)
            await self._pool.open()
            self._events = ArchivedEvents(self._pool)
        return await self._events.between(workspace_id, after=after, until=until)

    def _close(self) -> None:
        if self._runner is not None:
            if self._pool is not None:
                self._runner.run(self._pool.close())
            self._runner.close()
