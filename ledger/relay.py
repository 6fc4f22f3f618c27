"""The relay: copies events from the log to JetStream, in position order, after they are committed.

Its checkpoint moves only after the broker acknowledged. A crash in between publishes some events again; the
broker's duplicate window or the consumers' contiguity check drops them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ledger import broker
from ledger.codec import canonical
from ledger.placement import MAIN

if TYPE_CHECKING:
    from uuid import UUID

    from nats.js import JetStreamContext
    from psycopg_pool import AsyncConnectionPool

    from ledger.envelope import Envelope
    from ledger.postgres.read import LedgerReader
    from ledger.values import Position

RELAY_BATCH_MAX = 500
PUBLISH_TIMEOUT_SECONDS = 5
BACKFILL_MAX = 10_000
"""How far back a newly created stream is filled: consumers read what is older from PostgreSQL."""


class Relay:
    """Publishes one PostgreSQL's events. Run one at a time (the runner holds an advisory lock)."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        reader: LedgerReader,
        jetstream: JetStreamContext,
        *,
        alias: str = MAIN,
        replicas: int = 1,
    ) -> None:
        self._alias = alias
        self._replicas = replicas
        self._pool = pool
        self._reader = reader
        self._jetstream = jetstream
        self._checkpoints: dict[UUID, tuple[Position, int]] = {}

    async def start(self) -> None:
        """Makes sure that the stream exists and loads the checkpoints. A stream that had to be made anew gets a new
        epoch and the recent past."""
        created = await broker.ensure_stream(self._jetstream, alias=self._alias, replicas=self._replicas)
        async with self._pool.connection() as connection:
            if created:
                await connection.execute(
                    "UPDATE ledger.relays SET epoch = epoch + 1, position = greatest(0, position - %s)",
                    (BACKFILL_MAX,),
                )
            cursor = await connection.execute("SELECT workspace_id, position, epoch FROM ledger.relays")
            self._checkpoints = {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}

    async def catch_up(self, workspaces: set[UUID] | None = None) -> int:
        """Publishes what is new in these workspaces (or in all, when None); answers how many events.

        Raises nats errors when the broker does not acknowledge: the checkpoint stays, the caller starts again. A stream
        on one server that takes nothing for PUBLISH_TIMEOUT_SECONDS is given up before: the next start makes it anew.
        """
        heads = await self._reader.heads(workspaces)
        published = 0
        for workspace_id in heads:
            while self._position(workspace_id) < heads[workspace_id]:
                published += await self._publish_next(workspace_id, until=heads[workspace_id])
        return published

    def _position(self, workspace_id: UUID) -> Position:
        return self._checkpoints.get(workspace_id, (0, 1))[0]

    async def _publish_next(self, workspace_id: UUID, *, until: Position) -> int:
        position, epoch = self._checkpoints.get(workspace_id, (0, 1))
        events = await self._reader.read_published(workspace_id, after=position, until=until, limit=RELAY_BATCH_MAX)
        try:
            await self._publish(events, epoch=epoch)
        except TimeoutError:
            if self._replicas == 1:  # of several servers one that is in trouble is passed over
                await broker.drop_stream(self._jetstream, alias=self._alias)
            raise
        await self._advance(workspace_id, position=events[-1][0].position, epoch=epoch)
        return len(events)

    async def _publish(self, events: list[tuple[Envelope, bytes]], *, epoch: int) -> None:
        """One connection keeps the order of publishes, so their acknowledgements may be awaited together."""
        async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
            acknowledgements = [
                await self._jetstream.publish_async(
                    broker.subject(event, alias=self._alias),
                    canonical(event),
                    headers={
                        broker.MESSAGE_ID_HEADER: broker.message_id(
                            event.workspace_id, epoch=epoch, position=event.position
                        ),
                        broker.LEAF_HEADER: leaf_hash.hex(),
                    },
                )
                for event, leaf_hash in events
            ]
            await asyncio.gather(*acknowledgements)

    async def _advance(self, workspace_id: UUID, *, position: Position, epoch: int) -> None:
        """Never backwards: a relay that stood still while another took over goes on from where that one is."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "INSERT INTO ledger.relays AS known (workspace_id, position, epoch) VALUES (%s, %s, %s)"
                " ON CONFLICT (workspace_id) DO UPDATE SET position = excluded.position, epoch = excluded.epoch"
                " WHERE (known.epoch, known.position) < (excluded.epoch, excluded.position)",
                (workspace_id, position, epoch),
            )
            if not cursor.rowcount:
                cursor = await connection.execute(
                    "SELECT position, epoch FROM ledger.relays WHERE workspace_id = %s", (workspace_id,)
                )
                position, epoch = await cursor.fetchone() or (position, epoch)
        self._checkpoints[workspace_id] = (position, epoch)
