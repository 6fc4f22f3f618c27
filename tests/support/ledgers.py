"""A ledger on a test's own database: pool, reader and appender, opened and closed together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from ledger.appending import CommandToAppend, EventToAppend, Unit
from ledger.codec import encode_data
from ledger.envelope import Event
from ledger.erasure import MasterKey
from ledger.events.pipeline import PipelineRegistered, PipelineUpdated
from ledger.postgres.append import Appender
from ledger.postgres.read import LedgerReader
from ledger.values import StreamId, new_id

MASTER_KEY = MasterKey(b"w" * 32, b"h" * 32)
"""The key to personal data of every test's deployment."""

OCCURRED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class OpenLedger:
    pool: AsyncConnectionPool[Any]
    reader: LedgerReader
    appender: Appender


@asynccontextmanager
async def open_ledger(
    dsn: str, *, observers: tuple[Any, ...] = (), master_key: MasterKey | None = MASTER_KEY
) -> AsyncIterator[OpenLedger]:
    """A reader and an appender on this database."""
    pool = AsyncConnectionPool(dsn, open=False, min_size=1, max_size=8, kwargs={"autocommit": True})
    await pool.open()
    appender = Appender(dsn, observers=observers)
    await appender.start()
    try:
        yield OpenLedger(pool, LedgerReader(pool, master_key=master_key), appender)
    finally:
        await appender.stop()
        await pool.close()


def to_append(stream: StreamId, event: Event) -> EventToAppend:
    """An event ready for a unit."""
    return EventToAppend(stream, new_id(), event.type, event.schema, encode_data(event))


def unit(
    workspace_id: UUID,
    *events: tuple[StreamId, Event],
    expected: dict[StreamId, int] | None = None,
    command_id: UUID | None = None,
    **rest: Any,
) -> Unit:
    """One command with these events."""
    command = CommandToAppend(
        command_id=command_id or new_id(),
        request_hash=b"\x00" * 32,
        target=events[0][0] if events else StreamId("pipeline", new_id()),
        events=tuple(to_append(stream, event) for stream, event in events),
        occurred_at=OCCURRED,
    )
    streams = {stream: 0 for stream, _ in events}
    return Unit(workspace_id, (command,), expected or streams, "user:ada", new_id(), **rest)


def a_pipeline(name: str = "digits") -> tuple[StreamId, Event]:
    """The first event of a new pipeline's stream."""
    return StreamId("pipeline", new_id()), PipelineRegistered(name=name)


def described(stream: StreamId, description: str) -> tuple[StreamId, Event]:
    """A later event of a pipeline's stream."""
    return stream, PipelineUpdated(description=description)
