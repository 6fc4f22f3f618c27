"""Waking readers after a commit: a NOTIFY of its own, after the append's transaction, never inside it.

A NOTIFY in the append transaction would serialise commits. This one may be lost (a crash in between, a reconnect):
whoever listens also looks at the heads from time to time, so nothing but latency depends on it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import structlog

from ledger.postgres.connecting import CONNECTION_PARAMETERS, Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

CHANNEL = "everline_appended"
RECONNECT_SECONDS = 0.5
LISTEN_TIMEOUT_SECONDS = 0.25
"""The longest time between two looks at the heads when no wake-up arrives."""

PAUSE_SECONDS_PER_EVENT = 0.001
PAUSE_SECONDS_MAX = 0.01
"""How long a NOTIFY is followed by none, longer the more it told of. A round of a reader costs about as much for one
event as for twenty, so under load fewer and larger rounds leave the processors to the writers; a lone event never
waits."""

log = structlog.get_logger(__name__)


class Waker:
    """Tells listeners which workspaces have new events; several commits become one NOTIFY when they come fast."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._changed: set[UUID] = set()
        self._events = 0
        self._pending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="waker")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def committed(self, workspaces: set[UUID], *, units: int, events: int, latencies: Sequence[float]) -> None:  # noqa: ARG002 - AppendObserver
        """Called by the appender after each commit."""
        if workspaces:
            self._changed |= workspaces
            self._events += events
            self._pending.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._notify_until_lost()
            except (psycopg.Error, OSError) as error:
                log.info("waker.reconnecting", reason=str(error))
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _notify_until_lost(self) -> None:
        async with await Connection.connect(self._dsn, prepare_threshold=0, **CONNECTION_PARAMETERS) as connection:
            # Nothing durable is written here: waiting for the disk would only delay the wake-up.
            await connection.execute("SET synchronous_commit = off")
            while True:
                await self._pending.wait()
                self._pending.clear()
                workspaces = [str(workspace) for workspace in self._changed]
                pause_seconds = min(self._events * PAUSE_SECONDS_PER_EVENT, PAUSE_SECONDS_MAX)
                self._changed.clear()
                self._events = 0
                await connection.execute("SELECT pg_notify(%s, unnest(%s::text[]))", (CHANNEL, workspaces))
                await asyncio.sleep(pause_seconds)


async def wakeups(dsn: str, *, timeout_seconds: float = LISTEN_TIMEOUT_SECONDS) -> AsyncIterator[set[UUID]]:
    """Sets of workspaces with new events; an empty set after each timeout, so that the caller looks for itself.

    Never ends and never raises for a lost connection: while PostgreSQL is away it yields empty sets.
    """
    while True:
        try:
            async with await Connection.connect(dsn, **CONNECTION_PARAMETERS) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                yield set()
                while True:
                    yield await _next_wakeup(connection, timeout_seconds)
        except (psycopg.Error, OSError) as error:
            log.info("wakeups.reconnecting", reason=str(error))
            yield set()
            await asyncio.sleep(RECONNECT_SECONDS)


async def _next_wakeup(connection: psycopg.AsyncConnection[Any], timeout_seconds: float) -> set[UUID]:
    """What the next notification and those already received with it name."""
    woken = {UUID(note.payload) async for note in connection.notifies(timeout=timeout_seconds, stop_after=1)}
    return woken | {UUID(note.payload) async for note in connection.notifies(timeout=0)}
