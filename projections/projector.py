"""The projector: events become rows, each exactly once, because rows and checkpoint commit together.

Any number of projectors may follow the same workspace; the locked checkpoint lets one of them apply a batch. One of an
older program keeps away from what a newer one made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.postgres.placing import pool_of, refuse_gone
from projections import checkpoints, orders, stops
from projections.batch import apply_batch
from projections.checkpoints import PARTIAL, Checkpoint, create_tables, read_checkpoint
from projections.errors import ProjectionGap, ProjectionStopped
from projections.layouts import UNKNOWN, read_layout, store_layout
from projections.pools import make_room
from projections.rebuild import rebuild
from projections.registry import tables
from projections.replay import drop_left_overs
from projections.schema import create_schema, drop_schema, lock_layout, schema_of
from projections.statistics import Statistics
from projections.versions import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.envelope import RecordedEvent
    from ledger.postgres.read import LedgerReader
    from ledger.values import Position
    from projections.table import Table

EVENTS_PER_BATCH_MAX = 500
"""Events of one transaction while catching up."""

EVENTS_TO_CATCH_UP_MAX = 20_000
"""A workspace without tables and with more history than this gets them by a rebuild, which is several times faster."""


class Projector:
    """Keeps the query tables of workspaces up to date. `start` before use."""

    def __init__(self, pool: AsyncConnectionPool[Any], reader: LedgerReader) -> None:
        self._pool = pool
        self._reader = reader
        self._statistics = Statistics(pool)

    async def start(self) -> None:
        """Makes the tables of checkpoints and the like; repeating is harmless."""
        await create_tables(self._pool)

    async def clean(self) -> None:
        """Drops what killed programs left behind."""
        await drop_left_overs(self._pool)

    async def checkpoint(self, workspace_id: UUID) -> Position:
        """How far a workspace is projected; 0 if it has no tables yet."""
        async with self._pool.connection() as connection:
            found = await read_checkpoint(connection, workspace_id)
        return found.position if found else 0

    async def checkpoints(self) -> dict[UUID, Position]:
        """How far every workspace is projected."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute("SELECT workspace_id, position FROM projections.checkpoints", binary=True)
            return dict(await cursor.fetchall())

    async def apply(self, workspace_id: UUID, events: Sequence[RecordedEvent]) -> Position:
        """Applies events in one transaction and returns the checkpoint after it.

        Events that are applied already are dropped. Raises ProjectionGap when others are missing before the first,
        ProjectionStopped for one that cannot be applied, after those before it were, and ProjectionNewer when a newer
        program has the workspace. Tables that another version made stand still from here on; `rebuild` makes them anew.
        """
        if not events:
            return await self.checkpoint(workspace_id)
        try:
            position = await self._apply(workspace_id, events)
        except ProjectionStopped as stopped:
            before = [event for event in events if event.position < stopped.position]
            if before:
                await self._apply(workspace_id, before)
            raise
        self._statistics.applied(workspace_id, first=events[0].position, last=position)
        return position

    async def catch_up(self, workspace_id: UUID, *, until: Position | None = None) -> Position:
        """Applies what the ledger has beyond the checkpoint, up to and including `until`, batch by batch.

        The first tables of a long history are built at once, up to its head.
        """
        position = await self.checkpoint(workspace_id)
        if position == 0 and (await self._reader.head(workspace_id)).position > EVENTS_TO_CATCH_UP_MAX:
            await self._create(workspace_id)
            position = await self.rebuild(workspace_id) or await self.checkpoint(workspace_id)
        while until is None or position < until:
            events = await self._reader.read(workspace_id, after=position, until=until, limit=EVENTS_PER_BATCH_MAX)
            if not events:
                break
            position = await self.apply(workspace_id, events)
        await self._statistics.renew()
        return position

    async def renew_statistics(self) -> None:
        """The planner's, of tables that grew; after `apply`, whenever there is time."""
        await self._statistics.renew()

    async def of_other_versions(self) -> list[UUID]:
        """The workspaces that have tables of other versions of the program."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT workspace_id FROM projections.checkpoints WHERE version <> %s", (digest(),)
            )
            return [row[0] for row in await cursor.fetchall()]

    async def stopped(self) -> list[UUID]:
        """The workspaces whose events could not be applied when that was last tried."""
        return [
            stop.workspace_id
            for stop in await stops.read_stops(self._pool)
            if not (stop.rebuilding or stop.recovered_at)
        ]

    async def record_stop(self, stopped: ProjectionStopped, *, rebuilding: bool) -> None:
        """For people to see; counts the attempts."""
        await stops.record_stop(self._pool, stopped, rebuilding=rebuilding)

    async def record_recovery(self, workspace_id: UUID, *, rebuilding: bool) -> bool:
        """Whether there was a stop that is over now."""
        return await stops.record_recovery(self._pool, workspace_id, rebuilding=rebuilding)

    async def claim(self, workspace_id: UUID) -> None:
        """Orders the rebuild of what another version made. Raises ProjectionNewer if that one is newer."""
        await orders.claim(self._pool, workspace_id)

    async def order_rebuild(self, workspace_id: UUID, *, projection: str | None, ordered_by: str) -> list[str]:
        """See `orders.order_rebuild`."""
        return await orders.order_rebuild(self._pool, workspace_id, projection=projection, ordered_by=ordered_by)

    async def ordered(self) -> list[UUID]:
        """The workspaces with tables to be made anew."""
        return await orders.ordered(self._pool)

    async def rebuild(self, workspace_id: UUID) -> Position | None:
        """See `rebuild.rebuild`."""
        return await rebuild(self._pool, self._reader, workspace_id)

    async def _apply(self, workspace_id: UUID, events: Sequence[RecordedEvent]) -> Position:
        while True:
            async with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
                # A crash of PostgreSQL may lose the last batches, rows and checkpoint together, which then follow
                # again from the ledger: nobody needs to wait for the disk.
                await connection.execute("SET LOCAL synchronous_commit = off", prepare=False)
                found = await read_checkpoint(connection, workspace_id, lock=True)
                moving = await _moving(connection, workspace_id, found) if found is not None else None
                if found is not None and moving is not None:
                    return await _apply_after(connection, workspace_id, events, found=found, moving=moving)
            if found is None:
                await self._create(workspace_id)
            else:
                await self.claim(workspace_id)

    async def _create(self, workspace_id: UUID) -> None:
        """Empty tables at checkpoint 0, or an order to build those of a long history; unless another projector did.

        Raises WorkspaceElsewhere where the workspace is gone: what comes late must not bring its tables back.
        """
        head = await self._reader.head(workspace_id)
        is_long = head.position > EVENTS_TO_CATCH_UP_MAX
        async with self._pool.connection() as connection, connection.transaction():
            await lock_layout(connection, workspace_id)
            await refuse_gone(connection, workspace_id)
            if await read_checkpoint(connection, workspace_id) is not None:
                return
            await drop_schema(connection, schema_of(workspace_id))
            pool = await pool_of(connection, workspace_id)
            schema = await make_room(connection, pool, workspace_id) if pool else None
            if schema is None:
                await create_schema(connection, schema_of(workspace_id), only=() if is_long else None)
            start = Checkpoint(PARTIAL, head.position, head.recorded_at) if is_long else Checkpoint(digest(), 0, None)
            await checkpoints.store(connection, workspace_id, start._replace(schema=schema))
            await store_layout(connection, workspace_id, UNKNOWN if is_long else UNKNOWN.with_made(tables()))
            await orders.claim_within(connection, workspace_id)


async def _moving(
    connection: AsyncConnection[Any], workspace_id: UUID, found: Checkpoint
) -> Mapping[str, Table] | None:
    """The tables that live events are applied to; None if some have to be claimed first."""
    if found.version == digest():
        return tables()
    layout = await read_layout(connection, workspace_id)
    return layout.moving() if layout.is_claimed() else None


async def _apply_after(
    connection: AsyncConnection[Any],
    workspace_id: UUID,
    events: Sequence[RecordedEvent],
    *,
    found: Checkpoint,
    moving: Mapping[str, Table],
) -> Position:
    """Applies what follows the locked checkpoint."""
    events = [event for event in events if event.position > found.position]
    if not events:
        return found.position
    for expected, event in enumerate(events, start=found.position + 1):
        if event.position != expected:
            raise ProjectionGap(workspace_id, checkpoint=expected - 1, first=event.position)
    schema = found.schema or schema_of(workspace_id)
    await apply_batch(connection, schema, workspace_id=workspace_id, tables=moving, events=events)
    await checkpoints.advance(connection, workspace_id, events[-1], events=len(events))
    return events[-1].position
