"""Connections that are cut without a word, sessions that stop in the middle, and how soon everything works again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from gateway.app import connections
from gateway.problems import from_error
from ledger.postgres.connecting import CONNECTION_PARAMETERS, LOST, Connection, make_pool
from ledger.values import new_id
from runners import worker
from tests.acceptance.chaos.proxy import Proxy
from tests.support.ledgers import a_pipeline, open_ledger, unit
from tests.support.servers import Database

SHORT_SECONDS = 0.3
OUTAGE_SECONDS = 8.0
BACK_SECONDS_MAX = 3.5
SOCKET = ".s.PGSQL.5432"


@asynccontextmanager
async def proxied(database: Database, directory: Path) -> AsyncIterator[tuple[str, Proxy]]:
    """The same database through a proxy in `directory`."""
    parameters = psycopg.conninfo.conninfo_to_dict(database.app_dsn)
    proxy = Proxy(directory / SOCKET, Path(str(parameters["host"])) / SOCKET)
    await proxy.start()
    try:
        yield psycopg.conninfo.make_conninfo(database.app_dsn, host=str(directory)), proxy
    finally:
        await proxy.stop()


@pytest.fixture
def sockets(servers_root: Path) -> Path:
    """Short, because sockets lie in it."""
    directory = servers_root / f"proxy-{new_id().hex[-6:]}"
    directory.mkdir()
    return directory


async def test_an_answer_that_never_comes_ends_the_connection(database: Database, sockets: Path) -> None:
    async with (
        proxied(database, sockets) as (dsn, proxy),
        await Connection.connect(dsn, **CONNECTION_PARAMETERS) as one,
    ):
        proxy.swallow()
        one.answer_seconds_max = SHORT_SECONDS
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            await one.execute("SELECT 1")
        assert time.monotonic() - began < SHORT_SECONDS + 2
        assert one.closed


async def test_a_slow_answer_within_the_bound_is_waited_for(database: Database) -> None:
    async with await Connection.connect(database.app_dsn, **CONNECTION_PARAMETERS) as one:
        with one.answering_within(2):
            await one.execute("SELECT pg_sleep(0.2)")
        assert not one.closed


async def test_a_pool_whose_connections_were_all_swallowed_serves_again(database: Database, sockets: Path) -> None:
    async with proxied(database, sockets) as (dsn, proxy), connections(dsn) as pool:
        await asyncio.gather(*(_sleep(pool) for _ in range(4)))
        proxy.swallow()
        proxy.heal()  # new connections work
        began = time.monotonic()
        await pool.check()
        await _sleep(pool)
        assert time.monotonic() - began < 25


async def _sleep(pool: AsyncConnectionPool[Connection]) -> None:
    async with pool.connection() as connection:
        await connection.execute("SELECT pg_sleep(0.05)")


async def test_a_pool_works_soon_after_a_long_outage(database: Database, sockets: Path) -> None:
    """The pool's own pauses double: after an outage of 8 s the next try would come 7 s later."""
    server = Path(_host(database)) / SOCKET
    pool = make_pool(database.app_dsn.replace(str(server.parent), str(sockets)), size_max=4, wait_seconds_max=30)
    await pool.open()
    waiting = asyncio.create_task(_sleep(pool))
    await asyncio.wait([waiting], timeout=OUTAGE_SECONDS)
    assert not waiting.done()
    proxy = Proxy(sockets / SOCKET, server)
    await proxy.start()
    try:
        await asyncio.wait_for(waiting, timeout=BACK_SECONDS_MAX)
    finally:
        await pool.close()
        await proxy.stop()


def _host(database: Database) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(database.app_dsn)["host"])


async def test_a_reader_that_stops_under_the_heads_lock_holds_nobody_up(database: Database) -> None:
    """Asking for a time moves the clock in a transaction; a gateway may be stopped between the two statements."""
    workspace = new_id()
    async with open_ledger(database.app_dsn) as ledger, connections(database.app_dsn) as pool:
        await ledger.appender.append(unit(workspace, a_pipeline("first")))
        async with pool.connection() as stopped:
            await stopped.set_autocommit(False)
            await stopped.execute(
                "UPDATE ledger.heads SET clock = %s WHERE workspace_id = %s", (datetime.now(UTC), workspace)
            )
            await ledger.appender.append(unit(workspace, a_pipeline("second")))
            with pytest.raises(LOST):
                await stopped.execute("SELECT 1")


def test_a_session_that_postgres_ended_is_an_outage_and_no_defect() -> None:
    """Its error is of another class than those of other lost connections."""
    for error in (psycopg.errors.IdleInTransactionSessionTimeout(), psycopg.errors.TransactionTimeout()):
        problem = from_error(error)
        assert problem is not None
        assert (problem.code, problem.status) == ("ledger_unavailable", 503)
        assert isinstance(error, worker.AWAY)
