"""Durable appends through the store's API, with every check, against bare inserts on the same server."""

from __future__ import annotations

import asyncio
import os
import time
from uuid import UUID

import psycopg

from ledger.events.metadata import MetadataLogged
from ledger.values import StreamId, new_id
from tests.bench.report import Row, Timings, timed
from tests.support.ledgers import OpenLedger, open_ledger, unit
from tests.support.servers import Database

APPENDS = 12_000
WARM_UP = 500
PAYLOAD_BYTES = 400


async def measure(database: Database) -> list[Row]:
    """Rows for 1, 16 and 64 producers."""
    bare = {producers: await bare_inserts(database, producers) for producers in (1, 16)}
    rows = [
        Row(f"bare insert, autocommit, {producers} conn", timings.per_second, "rows/s", "", None, timings.spread)
        for producers, timings in bare.items()
    ]
    async with open_ledger(database.app_dsn) as ledger:
        for producers in (1, 16, 64):
            timings = await appends(ledger, producers)
            reference = bare[min(producers, 16)].per_second
            name = f"bare insert, {min(producers, 16)} conn"
            rows.append(
                Row(
                    f"durable append, {producers} producers",
                    timings.per_second,
                    "events/s",
                    name,
                    timings.per_second / reference,
                    timings.spread,
                )
            )
    return rows


async def bare_inserts(database: Database, connections: int) -> Timings:
    """One row of the same payload per commit, no checks, no order: what the disk and PostgreSQL give."""
    table = f"bare_{connections}"
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(f"CREATE TABLE {table} (id bigserial PRIMARY KEY, data bytea NOT NULL)")
    opened = [
        await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True, prepare_threshold=0)
        for _ in range(connections)
    ]
    payload = os.urandom(PAYLOAD_BYTES)
    each: list[float] = []

    async def insert(connection: psycopg.AsyncConnection[tuple[object, ...]], count: int) -> None:
        for _ in range(count):
            await timed(lambda: connection.execute(f"INSERT INTO {table} (data) VALUES (%s)", (payload,)), each)

    started = time.perf_counter()
    await asyncio.gather(*(insert(connection, APPENDS // 2 // connections) for connection in opened))
    total = time.perf_counter() - started
    for connection in opened:
        await connection.close()
    return Timings(each, total)


async def appends(ledger: OpenLedger, producers: int) -> Timings:
    """Each producer waits for its own commit before it appends again."""
    workspace = new_id()
    await asyncio.gather(*(one_append(ledger, workspace) for _ in range(WARM_UP)))
    count = APPENDS if producers > 1 else APPENDS // 6
    each: list[float] = []

    async def produce() -> None:
        for _ in range(count // producers):
            await timed(lambda: one_append(ledger, workspace), each)

    started = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(producers)))
    return Timings(each, time.perf_counter() - started)


async def one_append(ledger: OpenLedger, workspace: UUID) -> None:
    event = MetadataLogged(resource_kind="run", resource_id=workspace, values={"text": "x" * (PAYLOAD_BYTES - 90)})
    await ledger.appender.append(unit(workspace, (StreamId("metadata", new_id()), event)))
