"""The composition root: names every concrete part once, wires them, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psycopg
import structlog
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
    projection_routes,
    proof_routes,
    query_routes,
    rollback_routes,
    stream_routes,
    witness_routes,
)
from gateway.authentication import Authenticator, LocalUser
from gateway.exchange import Exchange
from gateway.metrics import Metrics
from gateway.placements import Placements
from gateway.problems import Refused
from gateway.refusals import expected, gone, unrouted
from gateway.services import Services, Shared
from gateway.settings import GatewaySettings, check_loopback
from gateway.wakeups import Wakeups
from ledger.erasure import MasterKey
from ledger.errors import LedgerError
from ledger.placement import MAIN
from ledger.postgres.append import Appender
from ledger.postgres.connecting import LOST, Pool, make_pool
from ledger.postgres.migrate import check_schema
from ledger.postgres.read import LedgerReader
from ledger.postgres.wake import Waker
from projections.errors import ProjectionError
from projections.moments import Moments
from projections.projector import Projector
from projections.query import Queries

POOL_SIZE_MIN = 1
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
    *witness_routes.ROUTES,
    *rollback_routes.ROUTES,
    *projection_routes.ROUTES,
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
        actor = authenticator or LocalUser(settings.actor)
        async with running(settings, actor, metrics, master_key) as placements:
            app.state.placements, app.state.services = placements, placements.everywhere[MAIN]
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
            **dict.fromkeys(LOST, expected),
            HTTPException: unrouted,
            ClientDisconnect: gone,
        },
    )
    app.router.redirect_slashes = False
    return app


@asynccontextmanager
async def running(
    settings: GatewaySettings, authenticator: Authenticator, metrics: Metrics, master_key: MasterKey | None
) -> AsyncIterator[Placements]:
    """Everything below the routes. On the way out, streams end first and what waits for a commit is committed."""
    aliases = settings.aliases()
    witness_key = None if settings.witness_key is None else Path(settings.witness_key)
    shared = Shared(authenticator, metrics, checking=asyncio.Lock(), stopping=asyncio.Event(), witness_key=witness_key)
    async with AsyncExitStack() as stack:
        everywhere = {
            alias: await stack.enter_async_context(
                services_on(alias, dsn, aliases=aliases, shared=shared, master_key=master_key)
            )
            for alias, dsn in aliases.items()
        }
        placements = Placements(everywhere)
        await until_ledger_answers(everywhere[MAIN].projector)
        placements.arrived(MAIN)
        await placements.start()
        stack.push_async_callback(placements.stop)
        async with others_arriving(placements):
            try:
                yield placements
            finally:
                shared.stopping.set()


@asynccontextmanager
async def services_on(
    alias: str, dsn: str, *, aliases: Collection[str], shared: Shared, master_key: MasterKey | None
) -> AsyncIterator[Services]:
    """Those of one PostgreSQL, which need not answer yet."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(connections(dsn))
        waker = Waker(dsn)
        appender = Appender(dsn, observers=(shared.metrics, waker))
        wakeups = Wakeups(dsn)
        for part in (waker, appender, wakeups):
            await part.start()
            stack.push_async_callback(part.stop)
        reader = LedgerReader(pool, master_key=master_key)
        permissions = EveryoneOnThisMachine()
        handler = CommandHandler(reader=reader, appender=appender, permissions=permissions, aliases=aliases)
        yield Services(
            alias=alias,
            pool=pool,
            reader=reader,
            appender=appender,
            handler=handler,
            planner=RollbackPlanner(handler, reader),
            queries=Queries(pool, reader),
            moments=Moments(pool, reader),
            projector=Projector(pool, reader),
            wakeups=wakeups,
            **shared._asdict(),
        )


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
async def others_arriving(placements: Placements) -> AsyncIterator[None]:
    """Beside the home, a PostgreSQL may come later: its workspaces wait for it, and nobody else."""
    waiting = [
        asyncio.create_task(until_arrived(placements, services))
        for alias, services in placements.everywhere.items()
        if alias != MAIN
    ]
    try:
        yield
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def until_arrived(placements: Placements, services: Services) -> None:
    """Tries for as long as the gateway lives."""
    while True:
        try:
            await check_schema(services.pool)
            await services.projector.start()
        except (psycopg.Error, LedgerError) as error:
            log.warning("gateway.waiting", alias=services.alias, reason=str(error))
            placements.away[services.alias] = type(error).__name__
            await asyncio.sleep(START_RETRY_SECONDS)
        else:
            return placements.arrived(services.alias)


@asynccontextmanager
async def connections(dsn: str) -> AsyncIterator[Pool]:
    """The pool that everything but the appender reads with."""
    pool = make_pool(
        dsn,
        size_max=POOL_SIZE_MAX,
        wait_seconds_max=POOL_WAIT_SECONDS_MAX,
        size_min=POOL_SIZE_MIN,
        waiting_max=POOL_WAITING_MAX,
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()
