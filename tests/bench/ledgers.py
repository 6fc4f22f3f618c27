"""Ledgers of a wanted size, filled through the append path: a realistic mix, or many runs; filled once a bench."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ledger.appending import CommandToAppend, Unit
from ledger.events.run import Failure, RunCompleted, RunCreated, RunFailed, RunStarted
from ledger.values import StreamId, derived_id, new_id
from tests.support.histories import History
from tests.support.histories import snapshot as snapshot_of
from tests.support.histories import stack as stack_of
from tests.support.ledgers import open_ledger, to_append

if TYPE_CHECKING:
    from ledger.envelope import Event
    from ledger.postgres.append import Appender
    from tests.bench.stand import Stand
    from tests.support.servers import Database

WORKSPACE = derived_id("workspace", "bench")
ACTIONS_PER_CHAPTER = 400
EVENTS_PER_UNIT = 250
UNITS_AT_ONCE = 16
PIPELINES = 20
STARTED_SHARE, FAILED_SHARE = 0.2, 0.1
OCCURRED = datetime(2026, 1, 1, tzinfo=UTC)

Change = tuple[StreamId, "Event"]


class Filled(NamedTuple):
    """A database whose ledger holds so many events in `WORKSPACE`, and how fast they went in."""

    database: Database
    events: int
    seconds: float


@dataclass
class Chapter(History):
    """A stretch of a long history; names are unique in the whole of it."""

    def name(self, word: str) -> str:
        return f"{word}-{self.seed}-{len(self.names)}"


def mixed_events(count: int) -> Iterator[Change]:
    """What users would cause, in chapters that know nothing of each other: memory and time stay linear."""
    seed = 0
    while count > 0:
        seed += 1
        events = Chapter(seed).act(ACTIONS_PER_CHAPTER).take()[:count]
        count -= len(events)
        yield from events


def run_events(count: int) -> Iterator[Change]:
    """So many runs; some started, half of those failed, the others completed."""
    chance = random.Random(1)  # noqa: S311 - the same table each time
    history = Chapter(0)
    snapshots, stack = [snapshot_of(history) for _ in range(PIPELINES)], stack_of(history)
    yield from history.take()
    for number in range(count):
        stream = StreamId("run", new_id())
        snapshot = chance.choice(snapshots)
        created = RunCreated(
            name=f"run-{number}",
            snapshot_id=snapshot,
            pipeline_id=history.parents[snapshot],
            stack_id=stack,
            step_count=0,
            parameters={"C": chance.random()},
        )
        yield stream, created
        fate = chance.random()
        if fate < STARTED_SHARE:
            yield stream, RunStarted()
            failed = RunFailed(failure=Failure("ValueError", "no convergence", ""))
            yield stream, failed if fate < FAILED_SHARE else RunCompleted()


def filled(stand: Stand, kind: str, count: int) -> Filled:
    """From the stand if it was made before. `kind` is "mixed" (count of events) or "runs" (count of runs)."""
    known = stand.filled.get((kind, count))
    if known is None:
        database = stand.postgres.create_database()
        events = {"mixed": mixed_events, "runs": run_events}[kind](count)
        started = time.perf_counter()
        written = asyncio.run(_fill(database.app_dsn, events))
        known = stand.filled[kind, count] = Filled(database, written, time.perf_counter() - started)
    return known


async def _fill(dsn: str, events: Iterable[Change]) -> int:
    written = 0
    versions: dict[StreamId, int] = {}
    async with open_ledger(dsn) as ledger:
        for units in _units_at_once(events, versions):
            written += sum(len(unit.commands[0].events) for unit in units)
            await _append_all(ledger.appender, units)
    return written


def _units_at_once(events: Iterable[Change], versions: dict[StreamId, int]) -> Iterator[list[Unit]]:
    """Units in the order of their events, as many as are appended together."""
    units: list[Unit] = []
    for some in _in_parts(events, EVENTS_PER_UNIT):
        units.append(_unit(some, versions))
        if len(units) == UNITS_AT_ONCE:
            yield units
            units = []
    if units:
        yield units


async def _append_all(appender: Appender, units: list[Unit]) -> None:
    await asyncio.gather(*(appender.append(unit) for unit in units))


def _unit(events: list[Change], versions: dict[StreamId, int]) -> Unit:
    expected = {stream: versions.get(stream, 0) for stream, _ in events}
    for stream, _ in events:
        versions[stream] = versions.get(stream, 0) + 1
    encoded = tuple(to_append(stream, event) for stream, event in events)
    command = CommandToAppend(new_id(), b"\x00" * 32, events[0][0], encoded, OCCURRED)
    return Unit(WORKSPACE, (command,), expected, actor="user:ada", correlation_id=new_id())


def _in_parts(events: Iterable[Change], size: int) -> Iterator[list[Change]]:
    part: list[Change] = []
    for event in events:
        part.append(event)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
