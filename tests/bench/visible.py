"""From a commit to the query tables: events at a steady rate into a running system, without and with HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import uvloop

from ledger.events.pipeline import PipelineRegistered
from ledger.postgres.append import Appender
from ledger.postgres.wake import Waker
from ledger.values import StreamId, new_id
from tests.bench.commands import BASE, register_many
from tests.bench.load import Connection, connected
from tests.bench.processes import cpu_seconds, cpu_spent, shown_cpu
from tests.bench.report import Row, at_most
from tests.bench.stand import Stand, System
from tests.bench.timings import Timings
from tests.support.ledgers import unit

RATES = (300, 3_000)
BATCH = 100
CONNECTIONS = 32
LOOK_SECONDS = 0.001
SETTLE_SECONDS_MAX = 60
SECONDS_MIN, SECONDS_MAX = 1.0, 20.0
BEHIND = 503
READ_PIPELINES = "/v1/workspaces/default/pipelines"


def measure(stand: Stand) -> list[Row]:
    return uvloop.run(_measure(stand))


async def _measure(stand: Stand) -> list[Row]:
    rows: list[Row] = []
    for rate in RATES:
        seconds = min(SECONDS_MAX, max(SECONDS_MIN, stand.scale.samples / rate))
        budgets = (at_most(5), at_most(30)) if rate == RATES[0] else (None, None)
        for name, measured in (
            (f"commit to visible, {rate}/s", through_store),
            (f"receipt to read, {rate}/s over HTTP", over_http),
        ):
            pids = stand.system.pids
            before = cpu_seconds(pids)
            timings = await measured(stand.system, rate=rate, seconds=seconds)
            cpu = shown_cpu({"bench": timings.cpu, **cpu_spent(before, cpu_seconds(pids))}, int(rate * timings.total))
            limits = budgets if measured is through_store else (None, None)
            samples = f"{len(timings.each):,} samples"
            rows.append(Row(f"{name}, p50", timings.quantile_ms(0.5), "ms", detail=samples, budget=limits[0]))
            rows.append(Row(f"{name}, p99", timings.quantile_ms(0.99), "ms", detail=cpu, budget=limits[1]))
    return rows


async def through_store(system: System, *, rate: int, seconds: float) -> Timings:
    """Single events through the store's API, as the gateway appends them; visible when the tables' checkpoint, looked
    at every millisecond, has passed them."""
    waker = Waker(system.dsn)
    appender = Appender(system.dsn, observers=(waker,))
    each: list[float] = []
    waiting: list[tuple[int, float]] = []

    async def append() -> None:
        pipeline = StreamId("pipeline", new_id()), PipelineRegistered(name=f"bench-{uuid4().hex}")
        appended = await appender.append(unit(system.workspace_id, pipeline))
        waiting.append((appended.head, time.perf_counter()))

    await waker.start()
    await appender.start()
    watching = asyncio.create_task(watch(system, waiting, each))
    try:
        started, cpu = time.perf_counter(), time.process_time()
        await paced(append, rate=rate, seconds=seconds)
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            while waiting:  # noqa: ASYNC110 - the watcher polls too
                await asyncio.sleep(LOOK_SECONDS)
        return Timings(each, time.perf_counter() - started, time.process_time() - cpu)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await appender.stop()
        await waker.stop()


async def watch(system: System, waiting: list[tuple[int, float]], each: list[float]) -> None:
    """Takes what became visible out of `waiting`, for ever."""
    query = "SELECT position FROM projections.checkpoints WHERE workspace_id = %s"
    async with await psycopg.AsyncConnection.connect(system.dsn, autocommit=True, prepare_threshold=0) as connection:
        while True:
            (position,) = await (await connection.execute(query, (system.workspace_id,))).fetchone() or (0,)
            now = time.perf_counter()
            each.extend(now - since for committed, since in waiting if committed <= position)
            waiting[:] = [item for item in waiting if item[0] > position]
            await asyncio.sleep(LOOK_SECONDS)


async def over_http(system: System, *, rate: int, seconds: float) -> Timings:
    """From a command's receipt to the answer of a read that must show it; in batches where single commands could not
    come that fast."""
    size = 1 if rate <= RATES[0] else BATCH
    each: list[float] = []
    async with connected(system.url, CONNECTIONS) as connections:
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for connection in connections:
            free.put_nowait(connection)

        async def sample() -> None:
            connection = await free.get()
            position = await (register_many(connection, size) if size > 1 else register(connection))
            started = time.perf_counter()
            await read(connection, position)
            each.append(time.perf_counter() - started)
            free.put_nowait(connection)

        started, cpu = time.perf_counter(), time.process_time()
        await paced(sample, rate=rate // size, seconds=seconds)
        return Timings(each, time.perf_counter() - started, time.process_time() - cpu)


async def register(connection: Connection) -> int:
    """One command; its position."""
    body = msgspec.json.encode({"name": f"bench-{uuid4().hex}"})
    answer = await connection.post(f"{BASE}/register-pipeline", body, {"Idempotency-Key": str(uuid4())})
    return int(answer.json()["position"])


async def read(connection: Connection, position: int) -> None:
    """Asks again when the tables did not get there within the time that one read waits."""
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        while (answer := await connection.get(f"{READ_PIPELINES}?limit=1&min_position={position}")).status == BEHIND:
            pass
    answer.json()


async def paced(call: Callable[[], Coroutine[Any, Any, None]], *, rate: int, seconds: float) -> None:
    """Starts calls at a steady rate, whether or not earlier ones are done, then waits for all of them."""
    started = time.perf_counter()
    async with asyncio.TaskGroup() as calls:
        for number in range(int(rate * seconds)):
            if (early := started + number / rate - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            calls.create_task(call())
