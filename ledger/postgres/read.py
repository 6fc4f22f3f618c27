"""Reads of the log: by stream, by position, by time; heads, claims and recorded commands. Nothing here writes
events; asking for a recent time may advance a workspace's clock (see `position_at`)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec

from ledger.archive.reading import ArchivedEvents
from ledger.codec import decode_data
from ledger.envelope import Envelope, RecordedEvent
from ledger.erasure import Seal
from ledger.errors import PositionBeyondHead, WorkspaceElsewhere
from ledger.personal import is_personal
from ledger.postgres.subject_keys import SubjectKeys
from ledger.values import Position, StreamId, Version

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.erasure import MasterKey

READ_LIMIT_MAX = 5_000
STREAM_PAGE = 2_000
KEY_END = "\U0010ffff"
"""Sorts after every character of a claim key: prefix + KEY_END is the end of a prefix's range."""

READABLE = frozenset({"here", "leaving"})
"""Where a ledger can be read (`ledger.heads`): until the end of a move that is its old place."""

COLUMNS = """workspace_id, position, stream_kind, stream_id, version, event_id, type, schema, data, actor,
    command_id, correlation_id, causation_id, occurred_at, recorded_at, leaf_hash"""


class Head(NamedTuple):
    """Where a ledger stands: its last position, the newest time it gave out, its Merkle frontier as stored."""

    position: Position
    recorded_at: datetime | None
    frontier: bytes


class RecordedCommand(NamedTuple):
    """A command that the ledger has: what it asked (hashed), which positions answered it, what it acted on."""

    request_hash: bytes
    first_position: Position
    last_position: Position
    stream: StreamId


class LedgerReader:
    """Reads from one PostgreSQL. Safe to share between tasks; each call takes a connection from the pool.

    `readable` are the presences (`ledger.heads`) in which a ledger is answered for: a mover reads what arrives.
    Personal fields are opened with their person's key, or read as erased. Without a master key, reading an event about
    a person who is not erased raises MasterKeyMissing; with `people=False`, for programs that do not look at them, all
    of them read as erased. Archived positions are read from their object store, which may raise ArchiveGone,
    ArchiveAltered and ArchiveStoreUnusable.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        *,
        readable: Collection[str] = READABLE,
        master_key: MasterKey | None = None,
        people: bool = True,
    ) -> None:
        self._pool = pool
        self._people = people
        self._readable = readable
        self.keys = SubjectKeys(pool, master_key)
        self.archived = ArchivedEvents(pool)

    async def head(self, workspace_id: UUID) -> Head:
        """The head of a ledger; position 0 for one without events. Raises WorkspaceElsewhere where a move has left
        it, or has not yet arrived."""
        rows = await self._rows(
            "SELECT presence, position, nullif(clock, '-infinity'), frontier FROM ledger.heads WHERE workspace_id = %s",
            workspace_id,
        )
        if not rows:
            return Head(0, None, b"")
        presence, *head = rows[0]
        if presence not in self._readable:
            raise WorkspaceElsewhere(workspace_id, presence=presence)
        return Head(*head)

    async def heads(self, workspaces: set[UUID] | None = None) -> dict[UUID, Position]:
        """The last position of these ledgers, or of every one that lives on this PostgreSQL."""
        rows = await self._rows(
            "SELECT workspace_id, position FROM ledger.heads WHERE presence = ANY(%s)"
            " AND (%s::uuid[] IS NULL OR workspace_id = ANY(%s))",
            list(self._readable),
            *[None if workspaces is None else list(workspaces)] * 2,
        )
        return {row[0]: row[1] for row in rows}

    async def read(
        self, workspace_id: UUID, *, after: Position, until: Position | None = None, limit: int = READ_LIMIT_MAX
    ) -> list[RecordedEvent]:
        """At most `limit` events in position order, from the one after `after` up to and including `until`."""
        limit = min(limit, READ_LIMIT_MAX)
        last = after + limit if until is None else min(until, after + limit)
        return await self._recorded(await self.rows_between(workspace_id, after=after, until=last))

    async def read_published(
        self, workspace_id: UUID, *, after: Position, until: Position, limit: int
    ) -> list[tuple[Envelope, bytes]]:
        """Envelopes with their leaf hashes, data as it was stored: what the relay publishes."""
        rows = await self.rows_between(workspace_id, after=after, until=min(until, after + limit))
        return [(envelope(row), row[15]) for row in rows]

    async def rows_between(self, workspace_id: UUID, *, after: Position, until: Position) -> list[tuple[Any, ...]]:
        """The log's rows of (after, until] as they are stored, in the order of COLUMNS; bounded by the caller.

        What begins with a hole, or is empty, begins with what was archived."""
        rows = await self._rows(
            f"SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = %s AND position > %s AND position <= %s"
            " ORDER BY position",
            workspace_id,
            after,
            until,
        )
        if rows and rows[0][1] == after + 1:
            return rows
        last = rows[0][1] - 1 if rows else until
        return [*await self.archived.between(workspace_id, after=after, until=last), *rows]

    async def read_at(self, workspace_id: UUID, positions: Sequence[Position]) -> list[RecordedEvent]:
        """The events at these positions, in position order; at most READ_LIMIT_MAX of them."""
        if len(positions) > READ_LIMIT_MAX:
            raise ValueError(f"{len(positions)} positions are over the limit of {READ_LIMIT_MAX}")
        rows = await self._rows(
            f"SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = %s AND position = ANY(%s) ORDER BY position",
            workspace_id,
            list(positions),
        )
        missing = set(positions) - {row[1] for row in rows}
        archived = await self.archived.at(workspace_id, missing) if missing else []
        return await self._recorded([*archived, *rows])

    async def read_stream(
        self, workspace_id: UUID, stream: StreamId, *, after_version: Version = 0, until: Position | None = None
    ) -> list[RecordedEvent]:
        """The whole stream after a version, up to and including position `until`; read in bounded pages."""
        events: list[RecordedEvent] = []
        while True:
            last = events[-1].version if events else after_version
            rows = await self._rows(
                f"SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = %s AND stream_id = %s AND stream_kind = %s"
                " AND version > %s AND (%s::bigint IS NULL OR position <= %s) ORDER BY version LIMIT %s",
                workspace_id,
                stream.id,
                stream.kind,
                last,
                until,
                until,
                STREAM_PAGE,
            )
            if not events and not (rows and rows[0][4] == last + 1):
                before = rows[0][1] - 1 if rows else until
                found = await self.archived.of_stream(workspace_id, stream, after_version=last, until=before)
                events += await self._recorded(found)
            events += await self._recorded(rows)
            if len(rows) < STREAM_PAGE:
                return events

    async def position_at(self, workspace_id: UUID, at: datetime) -> Position:
        """The last position recorded at or before `at`, the same for ever.

        For a time after the newest event the head's clock is advanced to it under the head's lock: what commits
        later gets a later time, even if the machine's clock steps backwards. Raises PositionBeyondHead for the future,
        and WorkspaceElsewhere where the ledger takes no events: its clock goes on at another place.
        """
        position = await self._position_in_log(workspace_id, at)
        return await self.archived.position_at(workspace_id, at) if position is None else position

    async def _position_in_log(self, workspace_id: UUID, at: datetime) -> Position | None:
        """None for a time that is older than something that was archived."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "SELECT clock >= %s, position, presence FROM ledger.heads WHERE workspace_id = %s", (at, workspace_id)
            )
            row = await cursor.fetchone()
            if row is None:
                return await _nothing_yet(connection, at)
            if row[2] not in READABLE:
                raise WorkspaceElsewhere(workspace_id, presence=row[2])
            if row[0]:
                return await _position_at(connection, workspace_id, at)
            cursor = await connection.execute("SELECT %s <= clock_timestamp()", (at,))
            if not (await cursor.fetchone() or (False,))[0]:
                raise PositionBeyondHead(at.isoformat(), head=row[1])
            cursor = await connection.execute(
                "UPDATE ledger.heads SET clock = greatest(clock, %s) WHERE workspace_id = %s AND presence = 'here'",
                (at, workspace_id),
            )
            if cursor.rowcount == 0:
                raise WorkspaceElsewhere(workspace_id, presence="leaving")
            return await _position_at(connection, workspace_id, at)

    async def time_of(self, workspace_id: UUID, position: Position) -> datetime | None:
        """When a position was recorded; None for position 0."""
        rows = await self._rows(
            "SELECT recorded_at FROM ledger.events WHERE workspace_id = %s AND position = %s", workspace_id, position
        )
        if rows or position < 1:
            return rows[0][0] if rows else None
        archived = await self.archived.at(workspace_id, [position])
        return archived[0][14] if archived else None

    async def holder(self, workspace_id: UUID, key: str) -> StreamId | None:
        """Who holds a claim."""
        rows = await self._rows(
            "SELECT stream_kind, stream_id FROM ledger.claims WHERE workspace_id = %s AND key = %s", workspace_id, key
        )
        return StreamId(*rows[0]) if rows else None

    async def last_claim(self, workspace_id: UUID, prefix: str, *, before: str | None = None) -> str | None:
        """The greatest claim key under a prefix (and before a key)."""
        rows = await self._rows(
            "SELECT key FROM ledger.claims WHERE workspace_id = %s AND key >= %s AND key < %s"
            " ORDER BY key DESC LIMIT 1",
            workspace_id,
            prefix,
            before or prefix + KEY_END,
        )
        return str(rows[0][0]) if rows else None

    async def streams_between(
        self, workspace_id: UUID, kind: str, *, first: UUID, last: UUID, limit: int
    ) -> list[StreamId]:
        """Streams of a kind with ids in a range: how an id prefix is looked up."""
        rows = await self._rows(
            "SELECT kind, id FROM ledger.streams WHERE workspace_id = %s AND id BETWEEN %s AND %s AND kind = %s"
            " ORDER BY id LIMIT %s",
            workspace_id,
            first,
            last,
            kind,
            limit,
        )
        return [StreamId(*row) for row in rows]

    async def changed_streams(
        self, workspace_id: UUID, *, after: Position, until: Position, limit: int
    ) -> list[StreamId]:
        """The streams with events in (after, until], in order of their first such event."""
        rows = await self._rows(
            "SELECT stream_kind, stream_id FROM ledger.events WHERE workspace_id = %s AND position > %s"
            " AND position <= %s GROUP BY 1, 2 ORDER BY min(position) LIMIT %s",
            workspace_id,
            after,
            until,
            limit,
        )
        archived = await self.archived.between(workspace_id, after=after, until=until)
        streams = dict.fromkeys([StreamId(row[2], row[3]) for row in archived] + [StreamId(*row) for row in rows])
        return list(streams)[:limit]

    async def relayed(self) -> dict[UUID, Position]:
        """How far each ledger was published to NATS."""
        rows = await self._rows("SELECT workspace_id, position FROM ledger.relays")
        return {row[0]: row[1] for row in rows}

    async def recorded_commands(self, workspace_id: UUID, ids: Sequence[UUID]) -> dict[UUID, RecordedCommand]:
        """Those of the commands that the ledger has. Raises WorkspaceElsewhere: what an old place has not recorded
        says nothing, and nothing may be refused by what it knows."""
        await self.head(workspace_id)
        rows = await self._rows(
            "SELECT command_id, request_hash, first_position, last_position, stream_kind, stream_id"
            " FROM ledger.commands WHERE workspace_id = %s AND command_id = ANY(%s)",
            workspace_id,
            list(ids),
        )
        return {row[0]: RecordedCommand(row[1], row[2], row[3], StreamId(row[4], row[5])) for row in rows}

    async def _recorded(self, rows: Sequence[tuple[Any, ...]]) -> list[RecordedEvent]:
        """Rows of one workspace as events. The keys are read after the events: one that was destroyed in between
        leaves them erased."""
        subjects = {row[3] for row in rows if is_personal(row[6])}
        keys = await self.keys.find_all(rows[0][0], subjects) if subjects and self._people else dict.fromkeys(subjects)
        return [
            recorded(row, Seal(keys[row[3]], row[0], row[3], row[5]) if row[3] in subjects else None) for row in rows
        ]

    async def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values, binary=True)
            rows: list[tuple[Any, ...]] = await cursor.fetchall()
            return rows


async def _position_at(connection: AsyncConnection[Any], workspace_id: UUID, at: datetime) -> Position | None:
    cursor = await connection.execute(
        "SELECT ledger.position_at(%s, %s), EXISTS (SELECT FROM ledger.archives"
        " WHERE workspace_id = %s AND restored_at IS NULL AND last_recorded_at > %s)",
        (workspace_id, at, workspace_id, at),
    )
    position, is_archived = await cursor.fetchone() or (0, False)
    return None if is_archived else int(position)


async def _nothing_yet(connection: Any, at: datetime) -> Position:
    """A ledger without a head row has no past to be exact about: only the future is refused."""
    cursor = await connection.execute("SELECT %s <= clock_timestamp()", (at,))
    if not (await cursor.fetchone())[0]:
        raise PositionBeyondHead(at.isoformat(), head=0)
    return 0


def envelope(row: tuple[Any, ...]) -> Envelope:
    """One row of the log as the envelope that its leaf hash covers."""
    return Envelope(
        workspace_id=row[0],
        position=row[1],
        stream=str(StreamId(row[2], row[3])),
        version=row[4],
        event_id=row[5],
        type=row[6],
        schema=row[7],
        data=msgspec.Raw(row[8]),
        actor=row[9],
        command_id=row[10],
        correlation_id=row[11],
        causation_id=row[12],
        occurred_at=row[13],
        recorded_at=row[14],
    )


def recorded(row: tuple[Any, ...], seal: Seal | None = None) -> RecordedEvent:
    """One row of the log, in the order of COLUMNS; `seal` opens its personal fields."""
    return RecordedEvent(
        workspace_id=row[0],
        position=row[1],
        stream=StreamId(row[2], row[3]),
        version=row[4],
        event_id=row[5],
        type=row[6],
        schema=row[7],
        event=decode_data(row[6], row[7], row[8], seal),
        actor=row[9],
        command_id=row[10],
        correlation_id=row[11],
        causation_id=row[12],
        occurred_at=row[13],
        recorded_at=row[14],
        leaf_hash=row[15],
    )
