"""The one append path: group commit under the head row's lock.

Whatever waits is drained into one transaction: lock the heads concerned, read what the checks need, judge each unit
in memory, write what was admitted, advance the heads, commit, answer each caller. No timer: a lone append starts at
once. Any number of processes may append; the head row orders them.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from ledger.appending import Appended, Unit
from ledger.errors import LedgerBusy
from ledger.postgres.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from ledger.postgres.writer import Outcome

QUEUED_MAX = 4_096
UNITS_PER_BATCH_MAX = 512
EVENTS_PER_BATCH_MAX = 4_096

log = structlog.get_logger(__name__)


class _Waiting(NamedTuple):
    unit: Unit
    answer: asyncio.Future[Appended]
    since: float


class AppendObserver(Protocol):
    """Who measures appends (metrics) and wakes readers; called after commit, must not block or raise."""

    def committed(self, workspaces: set[UUID], *, units: int, events: int, latencies: Sequence[float]) -> None: ...


class Appender:
    """One process's way into one PostgreSQL. `start` before use, `stop` drains what waits."""

    def __init__(self, dsn: str, *, observers: Sequence[AppendObserver] = ()) -> None:
        self._dsn = dsn
        self._observers = observers
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue(QUEUED_MAX)
        self._writing: asyncio.Task[None] | None = None

    @property
    def queue_depth(self) -> int:
        """Units that wait for the next transaction."""
        return self._queue.qsize()

    async def start(self) -> None:
        """Starts the writer; it connects at the first append."""
        self._writing = asyncio.create_task(self._write(Writer(self._dsn)), name="appender")

    async def stop(self) -> None:
        """Commits what waits, then closes the connection."""
        if self._writing is not None:
            await self._queue.put(None)
            await self._writing
            self._writing = None

    async def append(self, unit: Unit) -> Appended:
        """Returns once the unit is durable. Raises AppendRefused (nothing of it is in the ledger), LedgerBusy (the
        queue is full) or LedgerUnavailable (PostgreSQL is away: whether it was recorded, a repeat will tell)."""
        answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Waiting(unit, answer, time.perf_counter()))
        except asyncio.QueueFull:
            raise LedgerBusy(QUEUED_MAX) from None
        return await answer

    async def _write(self, writer: Writer) -> None:
        """A batch at a time, until told to stop. A second batch under way would overlap Python and PostgreSQL, but made
        both batches smaller: as fast with many producers, a fifth slower with few."""
        running = True
        while running:
            waiting, running = await self._drain()
            try:
                if waiting:
                    self._answer(waiting, await writer.commit([item.unit for item in waiting]))
            except Exception as error:  # a broken invariant: those who wait are told, the next ones start afresh
                log.exception("appender.failed", units=len(waiting))
                await writer.disconnect()
                for item in waiting:
                    _fail(item, error)
        await writer.disconnect()

    async def _drain(self) -> tuple[list[_Waiting], bool]:
        """Whatever waits now, up to the bounds of a batch; False when the writer is to stop."""
        item = await self._queue.get()
        drained: list[_Waiting] = []
        events = 0
        while item is not None:
            if not item.answer.cancelled():
                drained.append(item)
                events += sum(len(command.events) for command in item.unit.commands)
            if len(drained) >= UNITS_PER_BATCH_MAX or events >= EVENTS_PER_BATCH_MAX or self._queue.empty():
                return drained, True
            item = self._queue.get_nowait()
        return drained, False

    def _answer(self, waiting: list[_Waiting], outcomes: Sequence[Outcome]) -> None:
        now = time.perf_counter()
        changed: set[UUID] = set()
        latencies: list[float] = []
        events = 0
        for item, outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, Exception):
                _fail(item, outcome)
                continue
            latencies.append(now - item.since)
            if appended := sum(last - first + 1 for first, last in outcome.positions):
                changed.add(item.unit.workspace_id)
                events += appended
            if not item.answer.done():
                item.answer.set_result(outcome)
        for observer in self._observers:
            observer.committed(changed, units=len(latencies), events=events, latencies=latencies)


def _fail(item: _Waiting, error: Exception) -> None:
    if not item.answer.done():
        item.answer.set_exception(error)
