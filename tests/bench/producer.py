"""A process that writes as fast as it is told: `python -m tests.bench.producer SUBJECT DSN`.

It reads orders from standard input, one JSON line each, and answers each with the timings of that slice.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
import uvloop

from ledger.codec import encode_data
from ledger.events.metadata import MetadataLogged
from ledger.values import StreamId, new_id
from tests.bench import message_db
from tests.bench.ledgers import WORKSPACE
from tests.bench.orders import orders, reply
from tests.bench.sketch import open_sketch
from tests.bench.timings import driven
from tests.support.ledgers import open_ledger, unit

CONNECTIONS_MAX = 64
CATEGORIES = 16
EVENT = MetadataLogged(resource_kind="run", resource_id=WORKSPACE, values={"text": "x" * 310})
DATA = encode_data(EVENT)
"""About 400 bytes: every subject writes the same."""

Write = Callable[[int], Awaitable[object]]


@asynccontextmanager
async def everline(dsn: str) -> AsyncIterator[Write]:
    """The store's API: what a command handler calls, with every check. All processes meet at one head row."""
    async with open_ledger(dsn) as ledger:
        yield lambda _: ledger.appender.append(unit(WORKSPACE, (StreamId("metadata", new_id()), EVENT)))


@asynccontextmanager
async def sketch(dsn: str) -> AsyncIterator[Write]:
    """The bare group commit."""
    async with open_sketch(dsn) as opened:
        yield lambda _: opened.append(new_id(), new_id(), DATA)


@asynccontextmanager
async def plain(dsn: str) -> AsyncIterator[Write]:
    """One INSERT, one commit, for each event: no order, no checks."""
    query = "INSERT INTO plain_events (event_id, stream_id, version, type, data) VALUES (%s, %s, 1, %s, %s)"
    async with connections(dsn) as opened:
        yield lambda number: opened[number].execute(query, (new_id(), new_id(), "metadata.logged", DATA))


@asynccontextmanager
async def message_db_one(dsn: str) -> AsyncIterator[Write]:
    """All streams in one category."""
    async with connections(dsn) as opened:
        yield lambda number: message_db.write(
            opened[number], stream=f"run-{new_id().hex}", id_=str(new_id()), data=DATA.decode()
        )


@asynccontextmanager
async def message_db_many(dsn: str) -> AsyncIterator[Write]:
    """Streams spread over categories, so that writers wait less for each other."""
    async with connections(dsn) as opened:
        yield lambda number: message_db.write(
            opened[number], stream=f"kind{number % CATEGORIES}-{new_id().hex}", id_=str(new_id()), data=DATA.decode()
        )


@asynccontextmanager
async def connections(dsn: str) -> AsyncIterator[list[psycopg.AsyncConnection[Any]]]:
    """One for each producer."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=0)
            )
            for _ in range(CONNECTIONS_MAX)
        ]


SUBJECTS = {writer.__name__: writer for writer in (everline, sketch, plain, message_db_one, message_db_many)}


async def main(subject: str, dsn: str) -> None:
    async with SUBJECTS[subject](dsn) as write:
        async for order in orders():
            reply(await driven(write, order.producers, seconds=order.seconds))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
