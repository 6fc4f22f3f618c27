"""The composition root: names every concrete part once, wires them, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from commands.handler import CommandHandler
from commands.permissions import EveryoneOnThisMachine
from commands.rollback_plan import RollbackPlanner
from gateway import (
    command_routes,
    document_routes,
    event_routes,
    info_routes,
    proof_routes,
    query_routes,
    rollback_routes,
    stream_routes,
)
from gateway.authentication import Authenticator, LocalUser
from gateway.exchange import Exchange
from gateway.metrics import Metrics
from gateway.problems import Refused
from gateway.refusals import expected, gone, unrouted
from gateway.services import Services
from gateway.settings import GatewaySettings, check_loopback
from gateway.wakeups import Wakeups
from ledger.erasure import MasterKey
from ledger.errors import LedgerError
from ledger.postgres.append import Appender
from ledger.postgres.read import LedgerReader
from ledger.postgres.wake import Waker
from projections.errors import ProjectionError
from projections.moments import Moments
from projections.projector import Projector
from projections.query import Queries

POOL_SIZE_MIN = 2
POOL_SIZE_MAX = 16
POOL_WAIT_SECONDS_MAX = 5.0
POOL_WAITING_MAX = 1_000
START_ATTEMPTS_MAX = 12
START_RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)

ROUTES = (
    *command_routes.ROUTES,
    *event_routes.ROUTES,
    *stream_routes.ROUTES,
    *proof_routes.ROUTES,
    *rollback_routes.ROUTES,
    *query_routes.ROUTES,
    *info_routes.ROUTES,
    *document_routes.ROUTES,
)
"""In the order in which they are tried: what is asked most comes first, and in a workspace the tables come last,
because a table may have any name."""


def create_app(settings: GatewaySettings, *, authenticator: Authenticator | None = None) -> Starlette:
    """The application; what it needs is started and stopped by its lifespan. Raises NotLoopback for an address that
    others could reach while nobody can log in, KeyUnusable for a directory of keys without a usable one."""
    check_loopback(settings.host)
    metrics = Metrics()
    master_key = MasterKey.read(settings.keys) if settings.keys else None

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with running(settings, authenticator or LocalUser(settings.actor), metrics, master_key) as services:
            app.state.services = services
            gc.freeze()  # what was imported stays: going through it again and again would stop everything for 60 ms
            yield

    app = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        middleware=[Middleware(Exchange, metrics=metrics)],
        exception_handlers={
            Refused: expected,
            LedgerError: expected,
            ProjectionError: expected,
            psycopg.OperationalError: expected,
            HTTPException: unrouted,
            ClientDisconnect: gone,
        },
    )
    app.router.redirect_slashes = False
    return app


@asynccontextmanager
async def running(
    settings: GatewaySettings, authenticator: Authenticator, metrics: Metrics, master_key: MasterKey | None
) -> AsyncIterator[Services]:
    """Everything below the routes. On the way out, streams end first and what waits for a commit is committed."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(connections(settings.dsn))
        waker = Waker(settings.dsn)
        appender = Appender(settings.dsn, observers=(metrics, waker))
        wakeups = Wakeups(settings.dsn)
        for part in (waker, appender, wakeups):
            await part.start()
            stack.push_async_callback(part.stop)
        reader = LedgerReader(pool, master_key=master_key)
        handler = CommandHandler(reader=reader, appender=appender, permissions=EveryoneOnThisMachine())
        projector = Projector(pool, reader)
        await until_ledger_answers(projector)
        services = Services(
            pool=pool,
            reader=reader,
            appender=appender,
            handler=handler,
            planner=RollbackPlanner(handler, reader),
            queries=Queries(pool, reader),
            moments=Moments(pool, reader),
            projector=projector,
            wakeups=wakeups,
            authenticator=authenticator,
            metrics=metrics,
            checking=asyncio.Lock(),
            stopping=asyncio.Event(),
        )
        try:
            yield services
        finally:
            services.stopping.set()


async def until_ledger_answers(projector: Projector) -> None:
    """Waits for a PostgreSQL that is still starting. Raises what it said when the bound has passed."""
    for remaining in reversed(range(START_ATTEMPTS_MAX)):
        try:
            await projector.start()
        except psycopg.OperationalError as error:
            if not remaining:
                raise
            log.warning("gateway.waiting", reason=str(error))
            await asyncio.sleep(START_RETRY_SECONDS)
        else:
            return


@asynccontextmanager
async def connections(dsn: str) -> AsyncIterator[AsyncConnectionPool[Any]]:
    """The pool that everything but the appender reads with: autocommit, times in UTC."""
    pool = AsyncConnectionPool[Any](
        dsn,
        open=False,
        min_size=POOL_SIZE_MIN,
        max_size=POOL_SIZE_MAX,
        max_waiting=POOL_WAITING_MAX,
        timeout=POOL_WAIT_SECONDS_MAX,
        kwargs={"autocommit": True, "options": "-c TimeZone=UTC"},
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()
