"""One listening connection for all live streams of this process: who waits is told which workspaces changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Self
from uuid import UUID

import structlog

from ledger.postgres.wake import wakeups

LOOK_SECONDS = 1.0
"""How often every stream looks for itself: the net under a wake-up that never comes."""

log = structlog.get_logger(__name__)


class Listener:
    """What one stream has not looked at yet. Iterates over sets of workspaces with new events, for ever; an empty
    set means: look for yourself. The first one comes at once."""

    def __init__(self, *, is_stream: bool) -> None:
        self.is_stream = is_stream
        self._changed: set[UUID] = set()
        self._look = True
        self._told = asyncio.Event()
        self._told.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> set[UUID]:
        await self._told.wait()
        self._told.clear()
        changed, self._changed = self._changed, set()
        look, self._look = self._look, False
        return set() if look else changed

    def tell(self, workspaces: set[UUID]) -> None:
        """What the listener did not take yet is merged, so nothing piles up behind a slow one."""
        self._changed |= workspaces
        self._look = self._look or not workspaces
        self._told.set()


class Wakeups:
    """Fans one PostgreSQL's wake-ups out to the listeners of this process."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        """How many live streams listen."""
        return sum(listener.is_stream for listener in self._listeners)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="wakeups")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @contextlib.contextmanager
    def listening(self, *, is_stream: bool = True) -> Iterator[Listener]:
        """A listener that is told of changes until the context ends."""
        listener = Listener(is_stream=is_stream)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _run(self) -> None:
        while True:
            try:
                async for workspaces in wakeups(self._dsn, timeout_seconds=LOOK_SECONDS):
                    self._tell(workspaces)
            except Exception:
                log.exception("wakeups.failed")
            # Whatever went wrong, streams must not go deaf: they look for themselves and we listen again.
            self._tell(set())
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, workspaces: set[UUID]) -> None:
        for listener in self._listeners:
            listener.tell(workspaces)
