"""How far projecting is, for people who watch: position, head, lag, throughput, and what is wrong, per workspace."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from psycopg.rows import dict_row

from projections.checkpoints import RATE_SECONDS
from projections.stops import Stop, read_stops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg_pool import AsyncConnectionPool

    from ledger.postgres.read import LedgerReader

LIVE_LAG_EVENTS_MAX = 500
"""Up to here a workspace counts as live: what one batch takes up."""

TIMES_MAX = 200
"""Workspaces of one answer for which the time of the first missing event is looked up."""


class State(StrEnum):
    """What a workspace's projection is doing. The first that holds, from the worst to the best."""

    STOPPED = "stopped"
    REBUILDING = "rebuilding"
    CATCHING_UP = "catching_up"
    LIVE = "live"


class Rebuilding(msgspec.Struct, frozen=True):
    """Tables that are made anew beside the live ones; `position` is how far those beside are."""

    tables: list[str]
    ordered_by: str
    ordered_at: datetime
    position: int


class Progress(msgspec.Struct, frozen=True):
    """One workspace. `lag_seconds` is the age of the first event that is not in the tables; `stops` are those that are
    not over."""

    workspace_id: UUID
    state: State
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    events_per_second: float
    stops: list[Stop]
    rebuild: Rebuilding | None


async def read_progress(
    pool: AsyncConnectionPool[Any], reader: LedgerReader, workspace_id: UUID | None = None
) -> list[Progress]:
    """Of this workspace, or of all: what is stopped first, then what is furthest behind."""
    heads = await reader.heads({workspace_id} if workspace_id is not None else None)
    rows = await _rows(pool, workspace_id)
    stops: dict[UUID, list[Stop]] = {}
    for stop in await read_stops(pool, workspace_id):
        if not stop.is_over(rows[stop.workspace_id]["position"] if stop.workspace_id in rows else 0):
            stops.setdefault(stop.workspace_id, []).append(stop)
    found = [_progress(each, head, rows.get(each), stops.get(each, [])) for each, head in heads.items()]
    found.sort(key=urgency)
    return [*await _timed(reader, found[:TIMES_MAX]), *found[TIMES_MAX:]]


def urgency(progress: Progress) -> tuple[int, int, UUID]:
    """What to look at first."""
    return list(State).index(progress.state), -progress.lag_events, progress.workspace_id


async def _rows(pool: AsyncConnectionPool[Any], workspace_id: UUID | None) -> dict[UUID, dict[str, Any]]:
    async with pool.connection() as connection:
        cursor = await connection.cursor(row_factory=dict_row).execute(
            "SELECT c.workspace_id, c.position, r.tables, r.ordered_by, r.ordered_at, r.position AS rebuilt,"
            f" c.rate * exp(-extract(epoch FROM now() - c.moved_at)::float8 / {RATE_SECONDS}) AS rate"
            " FROM projections.checkpoints AS c LEFT JOIN projections.rebuilds AS r USING (workspace_id)"
            " WHERE %s::uuid IS NULL OR workspace_id = %s",
            (workspace_id, workspace_id),
        )
        return {row["workspace_id"]: row for row in await cursor.fetchall()}


def _progress(workspace_id: UUID, head: int, row: dict[str, Any] | None, stops: list[Stop]) -> Progress:
    position = row["position"] if row else 0
    rebuild = None
    if row and row["tables"]:
        rebuild = Rebuilding(row["tables"], row["ordered_by"], row["ordered_at"], row["rebuilt"])
    lag = max(0, head - position)
    return Progress(
        workspace_id=workspace_id,
        state=_state(lag, stops, rebuild),
        position=position,
        head=head,
        lag_events=lag,
        lag_seconds=0.0,
        events_per_second=round(row["rate"], 2) if row else 0.0,
        stops=stops,
        rebuild=rebuild,
    )


def _state(lag: int, stops: Sequence[Stop], rebuild: Rebuilding | None) -> State:
    if stops:
        return State.STOPPED
    if rebuild is not None:
        return State.REBUILDING
    return State.LIVE if lag <= LIVE_LAG_EVENTS_MAX else State.CATCHING_UP


async def _timed(reader: LedgerReader, found: Sequence[Progress]) -> list[Progress]:
    timed = []
    for each in found:
        missing = await reader.time_of(each.workspace_id, each.position + 1) if each.lag_events else None
        seconds = max(0.0, (datetime.now(UTC) - missing).total_seconds()) if missing else 0.0
        timed.append(msgspec.structs.replace(each, lag_seconds=round(seconds, 3)))
    return timed
