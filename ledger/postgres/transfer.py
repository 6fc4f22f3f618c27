"""One workspace's log on its way from one PostgreSQL to another, stretch by stretch.

Each stretch is one transaction at the target: events, commands, streams and the head row, which is thereby the mark of
how far the copy is and what it hashes to. Every leaf is recomputed from what the target stored. Whoever continues a
copy must own the head row there (`arriving`, by this move), so a mover that was given up writes nothing any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

from ledger import merkle
from ledger.codec import canonical
from ledger.errors import CopyDiffers, MoveGivenUp, TargetOccupied
from ledger.postgres.read import COLUMNS, envelope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import AsyncConnection

    from ledger.values import Position

STRETCH_EVENTS_MAX = 2_000
COMMAND_COLUMNS = "workspace_id, command_id, request_hash, first_position, last_position, stream_kind, stream_id"


class SourceHead(NamedTuple):
    """Where the ledger stands that is copied."""

    position: Position
    clock: datetime | None
    frontier: bytes


class Transfer:
    """Copies between two connections in autocommit mode, with times in UTC, which nobody else uses."""

    def __init__(
        self, source: AsyncConnection[Any], target: AsyncConnection[Any], *, workspace_id: UUID, move_id: UUID
    ) -> None:
        self.source = source
        self.target = target
        self.workspace_id = workspace_id
        self._move_id = move_id
        self._frontier: list[bytes] = []
        self.position: Position = 0
        """How far the copy is."""

    async def head(self) -> SourceHead:
        """Where the source stands now."""
        row = await one(
            self.source,
            "SELECT position, nullif(clock, '-infinity'), frontier FROM ledger.heads WHERE workspace_id = %s",
            (self.workspace_id,),
        )
        return SourceHead(*row) if row else SourceHead(0, None, b"")

    async def begin(self, *, schema: str | None) -> None:
        """Makes the target this move's, and goes on from what is there: of an earlier attempt, or of a time when the
        workspace lived there. Raises TargetOccupied if that is no beginning of the source's log."""
        row = await one(self.target, TAKE_TARGET, (self.workspace_id, self._move_id, schema))
        if row is None:
            raise TargetOccupied(self.workspace_id, reason="it can be written to")
        position, frontier = row
        beyond = "SELECT FROM ledger.events WHERE workspace_id = %s AND position > %s LIMIT 1"
        if await one(self.target, beyond, (self.workspace_id, position)) is not None:
            raise TargetOccupied(self.workspace_id, reason="what was there before was dropped in part: drop it again")
        while self.position < position:
            await self._check_beginning(min(position, self.position + STRETCH_EVENTS_MAX))
        if merkle.pack(self._frontier) != frontier:
            raise TargetOccupied(self.workspace_id, reason="its events do not hash to its head")

    async def copy(self, *, until: Position) -> None:
        """The next stretches of the log, up to and including `until`."""
        while self.position < until:
            await self._copy_stretch(min(until, self.position + STRETCH_EVENTS_MAX))

    async def finish(self, head: SourceHead) -> None:
        """What is no part of a stretch: commands without events at the head, and the newest time that was given out.
        Raises CopyDiffers unless the copy hashes to the source's root."""
        if self.position != head.position or merkle.pack(self._frontier) != head.frontier:
            raise CopyDiffers(self.workspace_id, position=self.position, reason="it does not hash to the same root")
        async with self.target.transaction():
            await self.own_target()
            await self._copy_commands_without_events(self.position + 1, self.position + 1)
            await self.target.execute(
                "UPDATE ledger.heads SET clock = greatest(clock, %s) WHERE workspace_id = %s",
                (head.clock or "-infinity", self.workspace_id),
            )

    async def own_target(self) -> None:
        """Locks the target's head row. Raises MoveGivenUp when it is another move's by now."""
        row = await one(
            self.target,
            "SELECT position FROM ledger.heads WHERE workspace_id = %s AND presence = 'arriving' AND move_id = %s"
            " FOR UPDATE",
            (self.workspace_id, self._move_id),
        )
        if row is None:
            raise MoveGivenUp(self.workspace_id)

    async def copy_rows(self, table: str, columns: sql.Composable, rows: sql.Composable) -> None:
        """What a query gives at the source, into a table of the target."""
        out = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(rows)
        into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.SQL(table), columns)
        async with self.source.cursor().copy(out) as reading, self.target.cursor().copy(into) as writing:
            async for data in reading:
                await writing.write(data)

    async def _copy_stretch(self, last: Position) -> None:
        stretch = {"workspace": sql.Literal(self.workspace_id), "first": self.position + 1, "last": last}
        async with self.target.transaction():
            await self.own_target()
            await self.copy_rows("ledger.events", sql.SQL(COLUMNS), sql.SQL(EVENTS_OF).format(**stretch))
            await self.copy_rows("ledger.commands", sql.SQL(COMMAND_COLUMNS), sql.SQL(COMMANDS_OF).format(**stretch))
            await self._copy_commands_without_events(self.position + 1, last)
            await self.target.execute(UPSERT_STREAMS, (self.workspace_id, self.position, last))
            await self._grow(last)
            await self.target.execute(
                "UPDATE ledger.heads SET position = %(last)s, frontier = %(frontier)s, clock = greatest(clock,"
                " (SELECT recorded_at FROM ledger.events WHERE workspace_id = %(workspace)s AND position = %(last)s))"
                " WHERE workspace_id = %(workspace)s",
                {"last": last, "frontier": merkle.pack(self._frontier), "workspace": self.workspace_id},
            )
        self.position = last

    async def _check_beginning(self, last: Position) -> None:
        """Recomputes a stretch that the target has, and compares it with the source leaf by leaf."""
        leaves = await self._grow(last)
        cursor = await self.source.execute(
            "SELECT leaf_hash FROM ledger.events WHERE workspace_id = %s AND position > %s AND position <= %s"
            " ORDER BY position",
            (self.workspace_id, self.position, last),
            binary=True,
        )
        if leaves != [row[0] for row in await cursor.fetchall()]:
            raise TargetOccupied(self.workspace_id, reason=f"the logs differ between {self.position} and {last}")
        self.position = last

    async def _grow(self, last: Position) -> Sequence[bytes]:
        """Recomputes the leaves of the target's next events from what is stored there, and moves the frontier on."""
        cursor = await self.target.execute(
            f"SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = %s AND position > %s AND position <= %s"
            " ORDER BY position",
            (self.workspace_id, self.position, last),
            binary=True,
        )
        leaves: list[bytes] = []
        for position, row in enumerate(await cursor.fetchall(), start=self.position + 1):
            leaf = merkle.leaf_hash(canonical(envelope(row)))
            if row[1] != position or leaf != row[15]:
                raise CopyDiffers(self.workspace_id, position=position, reason="the event does not hash to its leaf")
            merkle.grow(self._frontier, position - 1, leaf)
            leaves.append(leaf)
        if len(leaves) != last - self.position:
            raise CopyDiffers(self.workspace_id, position=last, reason="events are missing")
        return leaves

    async def _copy_commands_without_events(self, first: Position, last: Position) -> None:
        """Commands that changed nothing stand before a position; those before the head may have come already."""
        cursor = await self.source.execute(
            f"SELECT {COMMAND_COLUMNS} FROM ledger.commands WHERE workspace_id = %s"
            " AND last_position < first_position AND first_position BETWEEN %s AND %s",
            (self.workspace_id, first, last),
        )
        if rows := await cursor.fetchall():
            await self.target.cursor().executemany(
                f"INSERT INTO ledger.commands ({COMMAND_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                rows,
            )


async def one(connection: AsyncConnection[Any], query: str, parameters: Sequence[object]) -> tuple[Any, ...] | None:
    """The first row."""
    cursor = await connection.execute(query.encode(), parameters)
    row: tuple[Any, ...] | None = await cursor.fetchone()
    return row


TAKE_TARGET = """
INSERT INTO ledger.heads (workspace_id, presence, move_id, schema) VALUES (%s, 'arriving', %s, %s)
ON CONFLICT (workspace_id) DO UPDATE
SET presence = 'arriving', move_id = excluded.move_id, schema = excluded.schema
WHERE heads.presence IN ('arriving', 'gone')
RETURNING position, frontier
"""
EVENTS_OF = f"""
SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = {{workspace}} AND position BETWEEN {{first}} AND {{last}}
"""
COMMANDS_OF = f"""
SELECT {COMMAND_COLUMNS} FROM ledger.commands WHERE workspace_id = {{workspace}}
AND first_position BETWEEN {{first}} AND {{last}} AND first_position <= last_position
AND command_id IN (SELECT command_id FROM ledger.events WHERE workspace_id = {{workspace}}
    AND position BETWEEN {{first}} AND {{last}})
"""
UPSERT_STREAMS = """
INSERT INTO ledger.streams (workspace_id, id, kind, version)
SELECT workspace_id, stream_id, stream_kind, max(version) FROM ledger.events
WHERE workspace_id = %s AND position > %s AND position <= %s GROUP BY 1, 2, 3
ON CONFLICT (workspace_id, id, kind) DO UPDATE SET version = excluded.version
"""
