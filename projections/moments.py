"""Moments: the position that a question is about, and the bounded wait until the query tables have reached it."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from ledger.errors import PositionBeyondHead
from projections.checkpoints import NOTHING
from projections.errors import InvalidMoment, ProjectionBehind
from projections.layouts import reached
from projections.schema import schema_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from ledger.postgres.read import LedgerReader
    from ledger.values import Position
    from projections.checkpoints import Checkpoint

WAIT_SECONDS_MAX = 1.0
"""How long a question waits for a position that the ledger has and the tables have not."""

POLL_SECONDS = (0.002, 0.002, 0.002, 0.003, 0.003, 0.005, 0.008, 0.015)
"""Waits between two looks at the checkpoint; the last one repeats."""

POSITION_DIGITS_MAX = 18

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class When(NamedTuple):
    """What a caller asks for: a past moment (a position or an RFC 3339 time), and a position to wait for."""

    as_of: str | None = None
    min_position: int | None = None


LIVE = When()


class Moment(NamedTuple):
    """A position that the tables have reached. `live` asks for the newest rows instead of those at the position;
    `head` is how far the tables are."""

    position: Position
    recorded_at: datetime | None
    live: bool
    head: Position

    def shown(self) -> dict[str, Any]:
        return {"position": self.position, "time": self.recorded_at}


class Moments:
    """Turns what callers ask for into moments."""

    def __init__(self, pool: AsyncConnectionPool[Any], reader: LedgerReader) -> None:
        self._pool = pool
        self._reader = reader
        self._pooled: dict[UUID, str] = {}

    def schema_of(self, workspace_id: UUID) -> str:
        """Where the workspace's tables are, as its checkpoint said when it was last looked at here. Every question
        looks at it first; the rows of a pool that it left stay for a while."""
        return self._pooled.get(workspace_id) or schema_of(workspace_id)

    async def at(self, workspace_id: UUID, when: When, *, tables: Collection[str] | None = None) -> Moment:
        """Waits until the tables are there: those that the question is about, or all.

        Raises InvalidMoment, PositionBeyondHead for what has not happened yet, ProjectionBehind after
        WAIT_SECONDS_MAX, and ProjectionOutdated while another version's tables are being replaced.
        """
        if when.as_of is None:
            found = await self._reach(workspace_id, when.min_position or 0, tables)
            return Moment(found.position, found.recorded_at, live=True, head=found.position)
        position = await self._position(workspace_id, when.as_of)
        found = await self._checkpoint(workspace_id, tables)
        wanted = max(position, when.min_position or 0)
        if found.position < wanted:
            await self._check_happened(workspace_id, position)
            found = await self._reach(workspace_id, wanted, tables)
        recorded_at = await self._reader.time_of(workspace_id, position)
        return Moment(position, recorded_at, live=False, head=found.position)

    async def position_of(self, workspace_id: UUID, text: str) -> Position:
        """The position that a position or a time names. Raises InvalidMoment or PositionBeyondHead."""
        position = await self._position(workspace_id, text)
        await self._check_happened(workspace_id, position)
        return position

    async def _position(self, workspace_id: UUID, text: str) -> Position:
        if _is_position(text):
            return int(text)
        return await self._reader.position_at(workspace_id, _time(text))

    async def _check_happened(self, workspace_id: UUID, position: Position) -> None:
        head = await self._reader.head(workspace_id)
        if position > head.position:
            raise PositionBeyondHead(f"position {position}", head=head.position)

    async def _reach(self, workspace_id: UUID, position: Position, tables: Collection[str] | None) -> Checkpoint:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        for attempt in range(int(WAIT_SECONDS_MAX / POLL_SECONDS[0])):
            found = await self._checkpoint(workspace_id, tables)
            if found.position >= position:
                return found
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_SECONDS[min(attempt, len(POLL_SECONDS) - 1)])
        raise ProjectionBehind(position, checkpoint=found.position)

    async def _checkpoint(self, workspace_id: UUID, tables: Collection[str] | None) -> Checkpoint:
        async with self._pool.connection() as connection:
            found = await reached(connection, workspace_id, tables)
        if found.schema is not None:
            self._pooled[workspace_id] = found.schema
        else:
            self._pooled.pop(workspace_id, None)
        if found is NOTHING:
            await self._reader.head(workspace_id)  # no tables here, or no longer: a moved workspace says so itself
        return found


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= POSITION_DIGITS_MAX


def _time(text: str) -> datetime:
    try:
        return msgspec.convert(text, type=_Time)
    except msgspec.ValidationError:
        raise InvalidMoment(text) from None
