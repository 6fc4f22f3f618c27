"""What proof costs: appends with and without a sealer beside them, the sealer's own time, a full check, one proof."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psutil

from ledger.deployment import Deployment
from ledger.events.metadata import MetadataLogged
from ledger.postgres.proofs import ProofReader
from ledger.postgres.scan import open_scan
from ledger.sealing import Sealer
from ledger.signing import KeyFile, make_key_file
from ledger.values import StreamId, new_id
from ledger.verification import verify_log
from tests.bench.report import Row
from tests.bench.stand import Scale, Stand
from tests.bench.timings import Timings, driven, one_after_another, timed
from tests.support.ledgers import OpenLedger, open_ledger, unit
from tests.support.servers import Database

PRODUCERS = 64
SMALL_ROUNDS = 30
PROOFS = 200
PAYLOAD = "x" * 300
POLL_SECONDS = 0.05
POLLS_MAX = 1_200


def measure(stand: Stand) -> list[Row]:
    """Rows for the cost of sealing and of checking."""
    return asyncio.run(measured(stand.postgres.create_database(), stand.scale))


async def measured(database: Database, scale: Scale) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        key = Path(directory) / "checkpoint.pem"
        make_key_file(key)
        async with open_ledger(database.app_dsn) as ledger:
            rows, workspace = await side_by_side(database, ledger, key, scale)
            sealer = Sealer(ledger.pool, KeyFile(key))
            deployment = await sealer.start()
            await sealer.seal()
            rows += [await backlog(ledger, sealer, scale), await small_rounds(ledger, sealer)]
            rows += [full_check(database, deployment, workspace), await proofs(ledger, workspace)]
    return rows


async def side_by_side(database: Database, ledger: OpenLedger, key: Path, scale: Scale) -> tuple[list[Row], UUID]:
    """The same appends, in turns without and with the sealer program running; and the CPU that it took for them."""
    workspace = new_id()
    slices: dict[bool, list[Timings]] = {False: [], True: []}
    cpu_seconds = 0.0
    await produce(ledger, workspace, seconds=scale.slice_seconds)
    for _ in range(scale.rounds):
        slices[False].append(await produce(ledger, workspace, seconds=scale.slice_seconds * 2))
        async with sealer_program(database, key) as process:
            await until_sealed(ledger, workspace)
            before = sum(process.cpu_times()[:2])
            slices[True].append(await produce(ledger, workspace, seconds=scale.slice_seconds * 2))
            await until_sealed(ledger, workspace)
            cpu_seconds += sum(process.cpu_times()[:2]) - before
    without, sealed = one_after_another(slices[False]), one_after_another(slices[True])
    name = f"durable append, {PRODUCERS} producers"
    each = cpu_seconds * 1e6 / len(sealed.each)
    return [
        Row(f"{name}, no sealer", without.per_second, "events/s", detail=without.spread),
        Row(
            f"{name}, sealed every second",
            sealed.per_second,
            "events/s",
            "no sealer",
            sealed.per_second / without.per_second,
            sealed.spread,
        ),
        Row("CPU of the sealer beside them", each, "us/event", detail=f"{cpu_seconds:.2f} s in all"),
    ], workspace


async def produce(ledger: OpenLedger, workspace: UUID, *, seconds: float) -> Timings:
    """Appends of all producers."""
    return await driven(lambda _: one_append(ledger, workspace), PRODUCERS, seconds=seconds)


async def one_append(ledger: OpenLedger, workspace: UUID) -> None:
    event = MetadataLogged(resource_kind="run", resource_id=workspace, values={"text": PAYLOAD})
    await ledger.appender.append(unit(workspace, (StreamId("metadata", new_id()), event)))


@asynccontextmanager
async def sealer_program(database: Database, key: Path) -> AsyncIterator[psutil.Process]:
    """`python -m runners sealer`."""
    told = {"EVERLINE_DSN": database.app_dsn, "EVERLINE_SIGNER_KEY": str(key)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runners", "sealer", env={**os.environ, **told}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def until_sealed(ledger: OpenLedger, workspace: UUID) -> None:
    """Until everything that is there now is under a checkpoint."""
    head = await ledger.reader.head(workspace)
    reader = ProofReader(ledger.pool)
    for _ in range(POLLS_MAX):
        if await reader.covering(workspace, head.position) is not None:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise TimeoutError(f"position {head.position} was not sealed")


async def backlog(ledger: OpenLedger, sealer: Sealer, scale: Scale) -> Row:
    """One checkpoint over many events: hashing, tiles, one transaction."""
    workspace = new_id()
    count = len((await produce(ledger, workspace, seconds=scale.slice_seconds)).each)
    cpu, began = time.process_time(), time.perf_counter()
    await sealer.seal()
    spent, cpu_spent = time.perf_counter() - began, time.process_time() - cpu
    detail = f"{count} events, {cpu_spent * 1e6 / count:.2f} us of CPU each"
    return Row("seal a backlog", count / spent, "events/s", detail=detail)


async def small_rounds(ledger: OpenLedger, sealer: Sealer) -> Row:
    """What a second costs in which one event came."""
    workspace, each = new_id(), list[float]()
    cpu = 0.0
    for _ in range(SMALL_ROUNDS):
        await one_append(ledger, workspace)
        before = time.process_time()
        await timed(sealer.seal, each)
        cpu += time.process_time() - before
    timings = Timings(each, sum(each))
    detail = f"{cpu * 1e3 / SMALL_ROUNDS:.1f} ms of CPU a round"
    return Row("seal one event", timings.quantile_ms(0.5), "ms", detail=detail)


def full_check(database: Database, deployment: Deployment, workspace: UUID) -> Row:
    """Every row hashed again and held against tiles and checkpoints."""
    with open_scan(database.app_dsn) as scan:
        cpu, began = time.process_time(), time.perf_counter()
        report = verify_log(scan, deployment, workspace)
        spent, cpu_spent = time.perf_counter() - began, time.process_time() - cpu
    assert report.finding is None, report.finding
    detail = f"{report.events} events, {cpu_spent * 1e6 / report.events:.2f} us of CPU each"
    return Row("verify, every row", report.events / spent, "events/s", detail=detail)


async def proofs(ledger: OpenLedger, workspace: UUID) -> Row:
    """Inclusion proofs from the stored tiles."""
    reader, each = ProofReader(ledger.pool), list[float]()
    latest = await reader.latest(workspace)
    assert latest is not None
    for number in range(PROOFS):
        index = number * latest.size // PROOFS
        await timed(lambda index=index: reader.inclusion(workspace, index, latest.size), each)
    timings = Timings(each, sum(each))
    return Row("inclusion proof", timings.per_second, "proofs/s", detail=timings.spread)
