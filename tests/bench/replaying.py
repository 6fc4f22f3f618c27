"""Events read back, and query tables made of them: at several sizes of a ledger with a realistic mix."""

from __future__ import annotations

import time

import uvloop

from projections.projector import Projector
from tests.bench.ledgers import WORKSPACE, Filled, filled
from tests.bench.processes import cpu_seconds, cpu_spent, shown_cpu
from tests.bench.report import Row, at_least, at_most
from tests.bench.stand import Stand
from tests.support.ledgers import OpenLedger, open_ledger

EVENTS_PER_READ = 5_000
A_MILLION = 1_000_000


def measure(stand: Stand) -> list[Row]:
    rows: list[Row] = []
    for count in stand.scale.history[1:]:
        ledger = filled(stand, "mixed", count)
        rows.append(Row(f"fill a ledger, {count:,} events", ledger.events / ledger.seconds, "events/s"))
        rows += uvloop.run(read_and_rebuild(stand, ledger))
    return rows


async def read_and_rebuild(stand: Stand, ledger: Filled) -> list[Row]:
    """The first tables of a workspace are a rebuild: what a changed projection costs later."""
    async with open_ledger(ledger.database.app_dsn) as opened:
        read = await timed_read(stand, opened)
        projector = Projector(opened.pool, opened.reader)
        await projector.start()
        pids = {"postgres": stand.postgres.server.pid}
        before, own, started = cpu_seconds(pids), time.process_time(), time.perf_counter()
        position = await projector.catch_up(WORKSPACE)
        seconds = time.perf_counter() - started
        cpu = {"projector": time.process_time() - own, **cpu_spent(before, cpu_seconds(pids))}
    assert position == ledger.events
    rate = Row(
        f"rebuild {ledger.events:,} events",
        ledger.events / seconds,
        "events/s",
        "reading them",
        ledger.events / seconds / read.value,
        shown_cpu(cpu, ledger.events),
        at_least(20_000),
    )
    if ledger.events < A_MILLION:
        return [read, rate]
    return [read, rate, Row(f"rebuild {ledger.events:,} events, time", seconds, "s", budget=at_most(60))]


async def timed_read(stand: Stand, opened: OpenLedger) -> Row:
    """Decoded events, in pages."""
    own, started, position = time.process_time(), time.perf_counter(), 0
    before = cpu_seconds({"postgres": stand.postgres.server.pid})
    while events := await opened.reader.read(WORKSPACE, after=position, limit=EVENTS_PER_READ):
        position = events[-1].position
    rate = position / (time.perf_counter() - started)
    cpu = {
        "reader": time.process_time() - own,
        **cpu_spent(before, cpu_seconds({"postgres": stand.postgres.server.pid})),
    }
    return Row(f"read {position:,} events", rate, "events/s", detail=shown_cpu(cpu, position))
