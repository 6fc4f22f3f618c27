"""Many workspaces on one PostgreSQL, in a pool schema and in schemas of their own: what each costs, and that the others
stay as fast. And moves: how fast a copy is, and how long writers wait."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from commands.workspace import CreateWorkspace
from ledger.postgres.placing import open_pooled
from ledger.values import CONTROL_WORKSPACE, new_id
from projections.projector import Projector
from projections.query import Queries
from runners.move import move
from tests.bench.report import Row
from tests.bench.stand import Stand
from tests.bench.timings import Timings, timed
from tests.support.handling import open_handling
from tests.support.ledgers import OpenLedger, a_pipeline, open_ledger, unit
from tests.support.servers import Database

OWN_SHARE = 10
"""For every so many workspaces in the pool there is one with a schema of its own."""

FEW_SHARE = 20
POOL = "pool"
TOUCHED_MAX = 1_000
MOVED_BATCH = 200


class Kind(NamedTuple):
    """Workspaces of one kind, and how long each took to come to be: its first event, its tables, and the list."""

    name: str
    workspaces: list[UUID]
    creation: Timings


def measure(stand: Stand) -> list[Row]:
    """Rows for both kinds, and for a move."""
    here, there = stand.postgres.create_database(), stand.postgres.create_database()
    rows = asyncio.run(_many(stand, here)) + asyncio.run(_moved(stand, here, there))
    for database in (here, there):
        stand.postgres.drop_database(database.name)
    return rows


async def _many(stand: Stand, database: Database) -> list[Row]:
    rows: list[Row] = []
    async with open_ledger(database.app_dsn) as ledger:
        projector, queries = Projector(ledger.pool, ledger.reader), Queries(ledger.pool, ledger.reader)
        await projector.start()
        for pool, count in ((POOL, stand.scale.workspaces), (None, max(2, stand.scale.workspaces // OWN_SHARE))):
            kind = await _create(ledger, projector, queries, pool=pool, count=count)
            rows += [*_creation(kind), *await _latencies(stand, ledger, queries, kind)]
            rows.append(await _memory(database, kind))
    return rows


async def _create(ledger: OpenLedger, projector: Projector, queries: Queries, *, pool: str | None, count: int) -> Kind:
    workspaces, each, started = [new_id() for _ in range(count)], [], time.perf_counter()
    for workspace in workspaces:

        async def create(workspace: UUID = workspace) -> None:
            if pool is not None:
                async with ledger.pool.connection() as connection:
                    await open_pooled(connection, workspace, pool)
            await ledger.appender.append(unit(workspace, a_pipeline()))
            await projector.catch_up(workspace)
            await queries.list(workspace, "pipelines")

        await timed(create, each)
    name = "in one pool" if pool else "in schemas of their own"
    return Kind(name, workspaces, Timings(each, time.perf_counter() - started))


def _creation(kind: Kind) -> list[Row]:
    """The last tenth against the first, the very first left out: it makes the pool."""
    each, share = kind.creation.each[1:], max(1, len(kind.creation.each) // 10)
    first, last = _mean_ms(each[:share]), _mean_ms(each[-share:])
    count = len(kind.workspaces)
    return [
        Row(
            f"{count:,} workspaces {kind.name}: from first event to first list",
            _mean_ms(each),
            "ms each",
            reference=f"last tenth {last:.1f} ms, first tenth {first:.1f} ms",
            ratio=first / last,
            detail=kind.creation.spread,
        )
    ]


async def _latencies(stand: Stand, ledger: OpenLedger, queries: Queries, kind: Kind) -> list[Row]:
    """Appends and lists in workspaces chosen from a few, and from all."""
    few = kind.workspaces[: max(1, len(kind.workspaces) // FEW_SHARE)]
    rows: list[Row] = []
    for what, call in (
        ("append", lambda workspace: ledger.appender.append(unit(workspace, a_pipeline(str(new_id()))))),
        ("list", lambda workspace: queries.list(workspace, "pipelines")),
    ):
        among_few = await _chosen(stand, few, call)
        among_all = await _chosen(stand, kind.workspaces, call)
        rows.append(
            Row(
                f"{what}, any of {len(kind.workspaces):,} workspaces {kind.name}",
                among_all.quantile_ms(0.5),
                "ms p50",
                reference=f"any of {len(few)}: {among_few.quantile_ms(0.5):.2f} ms",
                ratio=among_few.quantile_ms(0.5) / among_all.quantile_ms(0.5),
                detail=among_all.spread,
            )
        )
    return rows


async def _chosen(stand: Stand, workspaces: Sequence[UUID], call: Any) -> Timings:
    chosen, each, started = random.Random(1), [], time.perf_counter()  # noqa: S311 - not a secret
    for _ in range(min(stand.scale.samples, 2_000)):
        workspace = chosen.choice(workspaces)
        await timed(lambda workspace=workspace: call(workspace), each)
    return Timings(each, time.perf_counter() - started)


async def _memory(database: Database, kind: Kind) -> Row:
    """What PostgreSQL keeps in one backend that has read a table of each workspace."""
    touched = kind.workspaces[:TOUCHED_MAX]
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as connection:
        before = await _held(connection)
        cursor = await connection.execute("SELECT workspace_id, schema FROM projections.checkpoints")
        schemas = dict(await cursor.fetchall())
        for workspace in touched:
            schema = schemas[workspace] or f"ws_{workspace.hex}"
            await connection.execute(f"SELECT count(*) FROM {schema}.pipelines WHERE workspace_id = %s", (workspace,))
        held = await _held(connection) - before
    return Row(
        f"memory of a backend that read {len(touched):,} workspaces {kind.name}",
        held / 2**20,
        "MiB",
        detail=f"{held / len(touched) / 1024:.1f} KiB for one table of each",
    )


async def _held(connection: psycopg.AsyncConnection[Any]) -> int:
    cursor = await connection.execute("SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _moved(stand: Stand, here: Database, there: Database) -> list[Row]:
    """A workspace with a history, from one database to another of the same server."""
    events = stand.scale.history[0]
    async with open_handling(here.app_dsn, CONTROL_WORKSPACE) as control:
        workspace = (await control.accept(CreateWorkspace(name="moved"))).id
        for first in range(0, events, MOVED_BATCH):
            pipelines = [a_pipeline(f"pipeline-{first + number}") for number in range(min(MOVED_BATCH, events - first))]
            await control.ledger.appender.append(unit(workspace, *pipelines))
        await Projector(control.ledger.pool, control.ledger.reader).start()
    started = time.perf_counter()
    moved = await move({"main": here.app_dsn, "there": there.app_dsn}, "moved", to="there")
    seconds = time.perf_counter() - started
    return [
        Row(
            "move of a workspace: copied, verified and projected",
            events / seconds,
            "events/s",
            detail=f"{events:,} events in {seconds:.1f} s, half a second of it for readers to leave",
        ),
        Row("move of a workspace: writers wait", moved.pause_seconds * 1000, "ms"),
    ]


def _mean_ms(each: Sequence[float]) -> float:
    return sum(each) / len(each) * 1000
