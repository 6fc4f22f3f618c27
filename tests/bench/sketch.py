"""The bare group commit: what PostgreSQL gives to anybody who orders events, without any of the ledger's checks.

Whatever waits becomes one INSERT of the ledger's columns under the lock of one head row: one statement, one round
trip, one commit. No idempotency, no expected versions, no claims, no hashes. Needs nothing but the driver, so that the
peers' environment can run it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg

from ledger.postgres import arrays
from ledger.postgres.arrays import Byteas, Uuids

BATCH_MAX = 512

TABLES = """
CREATE TABLE IF NOT EXISTS sketch_head (one boolean PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO sketch_head VALUES (true, 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS sketch_events (
    position bigint PRIMARY KEY, stream_kind text NOT NULL, stream_id uuid NOT NULL, version integer NOT NULL,
    event_id uuid NOT NULL, type text NOT NULL, schema smallint NOT NULL, data bytea NOT NULL, actor text NOT NULL,
    command_id uuid NOT NULL, correlation_id uuid NOT NULL, causation_id uuid, occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL, UNIQUE (stream_id, stream_kind, version)
);
ALTER TABLE sketch_events ALTER COLUMN data SET STORAGE EXTERNAL
"""
INSERT = """
WITH head AS (UPDATE sketch_head SET position = position + %s RETURNING position - %s AS before)
INSERT INTO sketch_events
SELECT before + row, 'metadata', stream_id, 1, event_id, 'metadata.logged', 1, data, 'user:ada',
    event_id, event_id, NULL, now(), now()
FROM head, unnest(%s, %s, %s) WITH ORDINALITY AS new (stream_id, event_id, data, row)
"""


class Sketch:
    """Appends single events; each caller waits for the commit that its event is in."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._waiting: list[tuple[UUID, UUID, bytes, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()

    def append(self, stream_id: UUID, event_id: UUID, data: bytes) -> asyncio.Future[None]:
        """Done once the event is durable."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((stream_id, event_id, data, answer))
        self._arrived.set()
        return answer

    async def commit_for_ever(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            if not self._waiting:
                self._arrived.clear()
            streams, events, data, answers = zip(*batch, strict=True)
            count = len(batch)
            await self._connection.execute(INSERT, (count, count, Uuids(streams), Uuids(events), Byteas(data)))
            for answer in answers:
                answer.set_result(None)


@asynccontextmanager
async def open_sketch(dsn: str) -> AsyncIterator[Sketch]:
    """On a connection of its own, with its tables made."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=0) as connection:
        await connection.execute("SELECT pg_advisory_lock(1)")
        for statement in TABLES.split(";"):
            await connection.execute(statement.encode())
        await connection.execute("SELECT pg_advisory_unlock(1)")
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        arrays.register(connection)
        sketch = Sketch(connection)
        committing = asyncio.create_task(sketch.commit_for_ever())
        try:
            yield sketch
        finally:
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)
