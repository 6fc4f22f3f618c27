"""The one append path: group commit under the head row's lock.

Whatever waits is drained into one transaction: lock the heads concerned, read what the checks need, judge each unit
in memory, write what was admitted, advance the heads, commit, answer each caller. No timer: a lone append starts at
once. Any number of processes may append; the head row orders them.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import psycopg
import structlog

from ledger import merkle
from ledger.appending import Appended, Ledger, Unit
from ledger.errors import AppendRefused, LedgerBusy, LedgerUnavailable
from ledger.postgres.read import KEY_END
from ledger.values import StreamId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

QUEUED_MAX = 4_096
UNITS_PER_BATCH_MAX = 512
EVENTS_PER_BATCH_MAX = 4_096
RECONNECT_DELAYS_SECONDS = (0.0, 0.1, 0.3, 1.0, 2.0, 3.0)
"""How often a lost connection is tried again before the waiting callers are told; about six seconds."""

log = structlog.get_logger(__name__)


class _Waiting(NamedTuple):
    unit: Unit
    answer: asyncio.Future[Appended]
    since: float


class AppendObserver(Protocol):
    """Who measures appends (metrics) and wakes readers; called after commit, must not block or raise."""

    def committed(self, workspaces: set[UUID], *, units: int, events: int, latencies: Sequence[float]) -> None: ...


class Appender:
    """One process's writer to one PostgreSQL. `start` before use, `stop` drains what waits."""

    def __init__(self, dsn: str, *, observers: Sequence[AppendObserver] = ()) -> None:
        self._dsn = dsn
        self._observers = observers
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue(QUEUED_MAX)
        self._connection: AsyncConnection[Any] | None = None
        self._known: set[UUID] = set()
        self._writer: asyncio.Task[None] | None = None

    @property
    def queue_depth(self) -> int:
        """Units that wait for the next transaction."""
        return self._queue.qsize()

    async def start(self) -> None:
        """Starts the writer; it connects at the first append."""
        self._writer = asyncio.create_task(self._write_loop(), name="appender")

    async def stop(self) -> None:
        """Commits what waits, then closes the connection."""
        if self._writer is not None:
            await self._queue.put(None)
            await self._writer
            self._writer = None
        await self._disconnect()

    async def append(self, unit: Unit) -> Appended:
        """Returns once the unit is durable. Raises AppendRefused (nothing of it is in the ledger), LedgerBusy (the
        queue is full) or LedgerUnavailable (PostgreSQL is away: whether it was recorded, a repeat will tell)."""
        answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Waiting(unit, answer, time.perf_counter()))
        except asyncio.QueueFull:
            raise LedgerBusy(QUEUED_MAX) from None
        return await answer

    async def _write_loop(self) -> None:
        running = True
        while running:
            waiting, running = await self._drain()
            try:
                if waiting:
                    await self._commit_or_fail(waiting)
            except Exception as error:  # a broken invariant: those who wait are told, the next ones start afresh
                log.exception("appender.failed", units=len(waiting))
                await self._disconnect()
                for item in waiting:
                    _fail(item, error)

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

    async def _commit_or_fail(self, waiting: list[_Waiting]) -> None:
        """Commits a batch, reconnecting when the connection is lost.

        After a lost connection the same units are tried again: one that was committed after all is refused as
        recorded, and its caller looks the first answer up. A unit that PostgreSQL itself refuses fails alone.
        """
        failure: Exception | None = None
        for delay in RECONNECT_DELAYS_SECONDS:
            await asyncio.sleep(delay)
            try:
                await self._commit(waiting)
            except (psycopg.OperationalError, OSError) as error:
                failure = error
                await self._disconnect()
            except psycopg.Error as error:
                await self._disconnect()
                return await self._commit_singly(waiting, error)
            else:
                return None
        for item in waiting:
            _fail(item, LedgerUnavailable(f"PostgreSQL did not answer: {failure}"))
        return None

    async def _commit_singly(self, waiting: list[_Waiting], error: psycopg.Error) -> None:
        if len(waiting) == 1:
            return _fail(waiting[0], error)
        for item in waiting:
            await self._commit_or_fail([item])
        return None

    async def _commit(self, waiting: list[_Waiting]) -> None:
        connection = await self._connected()
        workspaces = sorted({item.unit.workspace_id for item in waiting})
        await self._open_heads(connection, workspaces)
        units = [item.unit for item in waiting]
        ledgers = await _lock_and_read(connection, workspaces, units)
        outcomes = [_outcome(ledgers[unit.workspace_id], unit) for unit in units]
        await _write_and_commit(connection, ledgers)
        self._answer(waiting, outcomes, ledgers)

    def _answer(
        self, waiting: list[_Waiting], outcomes: list[Appended | AppendRefused], ledgers: dict[UUID, Ledger]
    ) -> None:
        now = time.perf_counter()
        latencies: list[float] = []
        for item, outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, AppendRefused):
                _fail(item, outcome)
            else:
                latencies.append(now - item.since)
                if not item.answer.cancelled():
                    item.answer.set_result(outcome)
        changed = {workspace for workspace, ledger in ledgers.items() if ledger.event_rows}
        events = sum(len(ledger.event_rows) for ledger in ledgers.values())
        for observer in self._observers:
            observer.committed(changed, units=len(latencies), events=events, latencies=latencies)

    async def _open_heads(self, connection: AsyncConnection[Any], workspaces: list[UUID]) -> None:
        """Makes the head row of a workspace that this process has not seen yet."""
        new = [workspace for workspace in workspaces if workspace not in self._known]
        if new:
            await connection.execute(
                "INSERT INTO ledger.heads (workspace_id) SELECT unnest(%s::uuid[]) ON CONFLICT DO NOTHING", (new,)
            )
            self._known.update(new)

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None:
            connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True, prepare_threshold=0)
            # Plans cached while tables are empty would stay sequential scans for the life of the connection.
            await connection.execute("SET plan_cache_mode = force_generic_plan")
            await connection.execute("SET enable_seqscan = off")
            await connection.execute("SET TimeZone = 'UTC'")
            self._connection = connection
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _outcome(ledger: Ledger, unit: Unit) -> Appended | AppendRefused:
    try:
        return ledger.admit(unit)
    except AppendRefused as refusal:
        return refusal


def _fail(item: _Waiting, error: Exception) -> None:
    if not item.answer.done():
        item.answer.set_exception(error)


async def _lock_and_read(
    connection: AsyncConnection[Any], workspaces: list[UUID], units: Sequence[Unit]
) -> dict[UUID, Ledger]:
    """Begins the transaction, locks the heads in order, and reads what judging the units needs.

    Lock and probes are separate statements on purpose: under READ COMMITTED each sees what was committed before it
    began, so the probes see everything that the previous holder of the lock wrote. One round trip.
    """
    commands = [(unit.workspace_id, command.command_id) for unit in units for command in unit.commands]
    streams = sorted({(unit.workspace_id, stream.id, stream.kind) for unit in units for stream in unit.expected})
    keys = sorted({(unit.workspace_id, key) for unit in units for key in unit.take})
    prefixes = sorted({(unit.workspace_id, prefix) for unit in units for prefix in unit.guards})
    async with connection.pipeline():
        await connection.execute("BEGIN")
        heads = await connection.execute(
            "SELECT workspace_id, position, nullif(clock, '-infinity'), frontier FROM ledger.heads"
            " WHERE workspace_id = ANY(%b) ORDER BY workspace_id FOR UPDATE",
            (workspaces,),
            binary=True,
        )
        clock = await connection.execute("SELECT clock_timestamp()", binary=True)
        recorded = await connection.execute(
            "SELECT workspace_id, command_id FROM ledger.commands JOIN unnest(%b::uuid[], %b::uuid[])"
            " AS asked (workspace_id, command_id) USING (workspace_id, command_id)",
            _columns(commands, 2),
            binary=True,
        )
        versions = await connection.execute(
            "SELECT workspace_id, kind, id, version FROM ledger.streams JOIN unnest(%b::uuid[], %b::uuid[], %b::text[])"
            " AS asked (workspace_id, id, kind) USING (workspace_id, id, kind)",
            _columns(streams, 3),
            binary=True,
        )
        claims = keys and await connection.execute(
            "SELECT workspace_id, key, stream_kind, stream_id FROM ledger.claims"
            " JOIN unnest(%b::uuid[], %b::text[]) AS asked (workspace_id, key) USING (workspace_id, key)",
            _columns(keys, 2),
            binary=True,
        )
        lasts = prefixes and await connection.execute(
            "SELECT workspace_id, prefix, (SELECT key FROM ledger.claims WHERE claims.workspace_id = asked.workspace_id"
            " AND key >= prefix AND key < prefix || %s ORDER BY key DESC LIMIT 1)"
            " FROM unnest(%b::uuid[], %b::text[]) AS asked (workspace_id, prefix)",
            (KEY_END, *_columns(prefixes, 2)),
            binary=True,
        )
    (now,) = await clock.fetchone() or (datetime.now(UTC),)
    ledgers = {
        row[0]: Ledger(position=row[1], clock=row[2], frontier=row[3], now=now) for row in await heads.fetchall()
    }
    for workspace_id, command_id in await recorded.fetchall():
        ledgers[workspace_id].commands.add(command_id)
    for workspace_id, kind, stream_id, version in await versions.fetchall():
        ledgers[workspace_id].versions[StreamId(kind, stream_id)] = version
    for workspace_id, key, kind, stream_id in await claims.fetchall() if claims else ():
        ledgers[workspace_id].claims[key] = StreamId(kind, stream_id)
    for workspace_id, prefix, last in await lasts.fetchall() if lasts else ():
        ledgers[workspace_id].last_keys[prefix] = last
    return ledgers


async def _write_and_commit(connection: AsyncConnection[Any], ledgers: dict[UUID, Ledger]) -> None:
    """Writes what was admitted, advances the heads and commits, in one round trip."""
    events = [row for ledger in ledgers.values() for row in ledger.event_rows]
    commands = [row for ledger in ledgers.values() for row in ledger.command_rows]
    streams = [
        (workspace, stream.id, stream.kind, ledger.versions[stream])
        for workspace, ledger in ledgers.items()
        for stream in ledger.touched
    ]
    released = [(workspace, key) for workspace, ledger in ledgers.items() for key in ledger.changed_claims]
    claims = [
        (workspace, key, ledger.claims[key].kind, ledger.claims[key].id)
        for workspace, ledger in ledgers.items()
        for key in ledger.changed_claims
        if key in ledger.claims
    ]
    heads = [
        (workspace, ledger.position, ledger.recorded_at, merkle.pack(ledger.frontier))
        for workspace, ledger in ledgers.items()
        if ledger.event_rows
    ]
    async with connection.pipeline():
        if events:
            await connection.execute(INSERT_EVENTS, _columns(events, 16))
            await connection.execute(UPSERT_STREAMS, _columns(streams, 4))
            await connection.execute(ADVANCE_HEADS, _columns(heads, 4))
        if released:
            await connection.execute(DELETE_CLAIMS, _columns(released, 2))
        if claims:
            await connection.execute(INSERT_CLAIMS, _columns(claims, 4))
        if commands:
            await connection.execute(INSERT_COMMANDS, _columns(commands, 7))
        await connection.execute("COMMIT")


def _columns(rows: Sequence[Sequence[Any]], width: int) -> tuple[list[Any], ...]:
    """Rows as arrays, one per column, for unnest."""
    return tuple(list(column) for column in zip(*rows, strict=True)) if rows else tuple([] for _ in range(width))


INSERT_EVENTS = """
INSERT INTO ledger.events SELECT * FROM unnest(
    %b::uuid[], %b::bigint[], %b::text[], %b::uuid[], %b::integer[], %b::uuid[], %b::text[], %b::smallint[],
    %b::bytea[], %b::text[], %b::uuid[], %b::uuid[], %b::uuid[], %b::timestamptz[], %b::timestamptz[], %b::bytea[])
"""
UPSERT_STREAMS = """
INSERT INTO ledger.streams SELECT * FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::integer[])
ON CONFLICT (workspace_id, id, kind) DO UPDATE SET version = excluded.version
"""
ADVANCE_HEADS = """
UPDATE ledger.heads SET position = new.position, clock = new.clock, frontier = new.frontier
FROM unnest(%b::uuid[], %b::bigint[], %b::timestamptz[], %b::bytea[]) AS new (workspace_id, position, clock, frontier)
WHERE heads.workspace_id = new.workspace_id
"""
DELETE_CLAIMS = """
DELETE FROM ledger.claims USING unnest(%b::uuid[], %b::text[]) AS gone (workspace_id, key)
WHERE claims.workspace_id = gone.workspace_id AND claims.key = gone.key
"""
INSERT_CLAIMS = """
INSERT INTO ledger.claims SELECT * FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::uuid[])
"""
INSERT_COMMANDS = """
INSERT INTO ledger.commands SELECT * FROM unnest(
    %b::uuid[], %b::uuid[], %b::bytea[], %b::bigint[], %b::bigint[], %b::text[], %b::uuid[])
"""
