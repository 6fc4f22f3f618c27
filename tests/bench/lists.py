"""Lists of runs, live and as of, with 10k, 100k and 1M runs of about ten versions each: timed in SQL, and checked.

Every case is compared with a scan over all versions, which needs no index, no interval and no order but the rows' own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from ledger.postgres.read import LedgerReader
from projections.filters import Filter, Parameters, parse_filters
from projections.moments import Moment
from projections.pages import Order, parse_order
from projections.reading import Reading
from projections.runs import RUNS
from projections.schema import create_indexes, create_schema, schema_of
from projections.table import Column
from tests.bench.report import Row, at_most
from tests.bench.run_history import TAG, fill, head_of, time_at
from tests.bench.timings import Timings

if TYPE_CHECKING:
    from projections.table import Row as Values
    from tests.bench.stand import Stand
    from tests.support.servers import Database

ASKED = 100
"""Random moments per case."""

CHECKED = 3
PAGE = 20
P95_MS = 2.0
"""What a list of the past may cost, or twice what the same list costs live."""

WORKSPACE = UUID(int=7)


class Case(NamedTuple):
    """A question about runs. A `deep` page begins after a row from the middle of the list."""

    name: str
    filters: tuple[tuple[str, str], ...] = ()
    sort: str | None = None
    deep: bool = False

    @property
    def order(self) -> Order:
        return parse_order(RUNS, self.sort)

    @property
    def parsed(self) -> list[Filter]:
        return parse_filters(RUNS, self.filters)


RUNNING, FAILED, COMPLETED = ("status", "running"), ("status", "failed"), ("status", "completed")
PIPELINE, STACK = ("pipeline", "pipeline-7"), ("stack", "stack-3")

CASES = (
    Case("newest"),
    Case("newest, deep page", deep=True),
    Case("pipeline", (PIPELINE,)),
    Case("status running (few)", (RUNNING,)),
    Case("status failed (old rows changed in bulk)", (FAILED,)),
    Case("status completed, deep page", (COMPLETED,), deep=True),
    Case("status failed, pipeline", (FAILED, PIPELINE)),
    Case("status running, pipeline, stack", (RUNNING, PIPELINE, STACK)),
    Case("tag", (("tags", f"contains:{TAG}"),)),
    Case("newest started first", sort="-started_at"),
    Case("newest started first, deep page", sort="-started_at", deep=True),
    Case("longest first", sort="-duration_seconds"),
    Case("shortest first, deep page", sort="duration_seconds", deep=True),
    Case("failed, longest first", (FAILED,), sort="-duration_seconds"),
    Case("by name", sort="name"),
    Case("by name, last first", sort="-name"),
    Case("one name", (("name", "run-0000123"),)),
)


def measure(stand: Stand) -> list[Row]:
    """For each size and case the p95 of the past beside that of the present. Raises AssertionError when an answer is
    not that of the scan."""
    database = stand.postgres.create_database()
    try:
        return [row for size in stand.scale.runs for row in asyncio.run(rows(database, size))]
    finally:
        stand.postgres.drop_database(database.name)


async def rows(database: Database, size: int) -> list[Row]:
    async with lists(database, size) as asked:
        measured: list[Row] = []
        for case in CASES:
            await asked.check(case)
            measured.append(await asked.list_row(case))
        return [*measured, await asked.detail_row(), *[await asked.count_row(*given) for given in COUNTS]]


COUNTS = (("count", (), None), ("count, status failed", (FAILED,), None), ("counts by status", (), "status"))


@asynccontextmanager
async def lists(database: Database, size: int, *, reads: type[Reading] = Reading) -> AsyncIterator[Lists]:
    """Questions to filled tables, which are dropped afterwards."""
    schema = schema_of(WORKSPACE)
    async with AsyncConnectionPool(database.app_dsn, min_size=1, max_size=2, kwargs={"autocommit": True}) as pool:
        async with pool.connection() as connection:
            async with connection.transaction():
                await create_schema(connection, schema, indexes=False)
            async with connection.transaction():
                await connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
                await fill(connection, schema, workspace_id=WORKSPACE, runs=size)
                await create_indexes(connection, schema)
        try:
            yield Lists(reads(pool, LedgerReader(pool)), size)
        finally:
            async with pool.connection() as connection:
                await connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


class Lists:
    """Times and checks questions to one size of tables, at moments that are the same in every run."""

    def __init__(self, reading: Reading, size: int) -> None:
        self.reading = reading
        self._size = size
        self._head = head_of(size)
        chosen = random.Random(size)  # noqa: S311 - reproducible, not secret
        self._moments = [self.at(chosen.randrange(self._head // 50, self._head)) for _ in range(ASKED)]
        self.live = Moment(self._head, time_at(self._head), live=True, head=self._head)

    async def list_row(self, case: Case) -> Row:
        live = [(self.live, last) for last in [await self.last(case, self.live)]] * ASKED
        then = [(moment, await self.last(case, moment)) for moment in self._moments]
        return self._row(
            f"list: {case.name}",
            await self._time(lambda asked: self.page(case, asked[0], asked[1]), live),
            await self._time(lambda asked: self.page(case, asked[0], asked[1]), then),
        )

    async def detail_row(self) -> Row:
        async def versions(asked: tuple[Moment, UUID]) -> object:
            return await self.reading.versions(WORKSPACE, RUNS, ids=[asked[1]], moment=asked[0])

        newest = [(await self.page(Case("newest"), moment, None))[0]["id"] for moment in self._moments]
        live = [(self.live, id_) for id_ in newest]
        return self._row(
            "detail",
            await self._time(versions, live),
            await self._time(versions, list(zip(self._moments, newest, strict=True))),
        )

    async def count_row(self, name: str, filters: tuple[tuple[str, str], ...], by: str | None) -> Row:
        """Counting looks at every row that matches: fewer moments are asked."""
        column = RUNS.by_name[by] if by else None
        moments = self._moments[:10]

        async def count(moment: Moment) -> list[Values]:
            return await self._counted(moment, filters, column)

        for moment in moments[:CHECKED]:
            found = {row["value"]: row["total"] for row in await count(moment)}
            assert found == await self._scanned_counts(moment, filters, column), (name, moment.position)
        return self._row(name, await self._time(count, [self.live] * 10), await self._time(count, moments))

    async def check(self, case: Case) -> None:
        """Compares with a scan over all versions."""
        for moment in [self.live, *self._moments[:CHECKED]]:
            last = await self.last(case, moment)
            found = [row["id"] for row in await self.page(case, moment, last)]
            expected = await self._scanned(case, moment, last)
            assert found == expected, f"{case.name} at position {moment.position} of {self._head}"

    async def page(self, case: Case, moment: Moment, last: Sequence[object] | None) -> list[Values]:
        return await self.reading.page(
            WORKSPACE, RUNS.name, moment=moment, filters=case.parsed, order=case.order, last=last, limit=PAGE
        )

    async def last(self, case: Case, moment: Moment) -> tuple[Any, int, UUID] | None:
        """A key from the middle of the list: that of a row which was made half way."""
        if not case.deep:
            return None
        column, parameters = case.order.column, Parameters()
        rows = await self.reading.rows(
            f"SELECT {_quoted(column)} AS value, created_position, id FROM {schema_of(WORKSPACE)}.runs"
            f" WHERE workspace_id = {parameters.add(WORKSPACE)} AND ended_at IS NOT NULL"
            f" AND created_position >= {parameters.add(moment.position // 2)} ORDER BY created_position, id LIMIT 1",
            parameters,
        )
        return (rows[0]["value"], rows[0]["created_position"], rows[0]["id"]) if rows else None

    async def _scanned(self, case: Case, moment: Moment, last: tuple[Any, int, UUID] | None) -> list[UUID]:
        parameters, order = Parameters(), case.order
        where = [filter_.sql(_quoted, parameters) for filter_ in case.parsed]
        if last is not None:
            sign = "<" if order.descending else ">"
            key = [_quoted(order.column), "created_position", "id"] if order.column else ["created_position", "id"]
            values = ", ".join(parameters.add(value) for value in last[-len(key) :])
            unknown = f" OR {key[0]} IS NULL" if order.column and not order.descending else ""
            where.append(f"(({', '.join(key)}) {sign} ({values}){unknown})")
        rows = await self.reading.rows(
            f"SELECT id FROM {_scan(parameters, moment)} WHERE {' AND '.join(where) or 'true'}"
            f" ORDER BY {order.sql(_quoted)} LIMIT {PAGE}",
            parameters,
        )
        return [row["id"] for row in rows]

    async def _counted(self, moment: Moment, filters: Sequence[tuple[str, str]], by: Column | None) -> list[Values]:
        parameters = Parameters()
        selection = self.reading.selection(
            WORKSPACE, RUNS, moment=moment, filters=parse_filters(RUNS, filters), parameters=parameters
        )
        found = selection.rows([by] if by else [])
        return await self.reading.rows(
            f"SELECT {_quoted(by)} AS value, count(*) AS total FROM ({found}) AS found GROUP BY 1", parameters
        )

    async def _scanned_counts(
        self, moment: Moment, filters: Sequence[tuple[str, str]], by: Column | None
    ) -> dict[object, int]:
        parameters = Parameters()
        where = [filter_.sql(_quoted, parameters) for filter_ in parse_filters(RUNS, filters)]
        rows = await self.reading.rows(
            f"SELECT {_quoted(by)} AS value, count(*) AS total FROM {_scan(parameters, moment)}"
            f" WHERE {' AND '.join(where) or 'true'} GROUP BY 1",
            parameters,
        )
        return {row["value"]: row["total"] for row in rows}

    def at(self, position: int) -> Moment:
        return Moment(position, time_at(position), live=False, head=self._head)

    async def _time(self, call: Callable[[Any], Awaitable[object]], asked: Sequence[Any]) -> Timings:
        """Each question twice, of which the second counts: what an index costs, not what a disk does."""
        each: list[float] = []
        began = time.perf_counter()
        for one in asked:
            await call(one)
            started = time.perf_counter()
            await call(one)
            each.append(time.perf_counter() - started)
        return Timings(each, time.perf_counter() - began)

    def _row(self, name: str, live: Timings, then: Timings) -> Row:
        p95, reference = then.quantile_ms(0.95), live.quantile_ms(0.95)
        detail = f"p50 {then.quantile_ms(0.5):.2f}, live p50 {live.quantile_ms(0.5):.2f} p95 {reference:.2f} ms"
        budget = at_most(round(max(P95_MS, 2 * reference), 2))
        return Row(f"as of, {self._size:,} runs, {name}", p95, "ms p95", "live", reference / p95, detail, budget)


def _scan(parameters: Parameters, moment: Moment) -> str:
    """Every version that held, by reading all of them."""
    schema, position = schema_of(WORKSPACE), f"{parameters.add(moment.position)}::bigint"
    then = ", ".join(f'{"c" if column.immutable else "h"}."{column.name}"' for column in RUNS.shown())
    now = ", ".join(f'c."{column.name}"' for column in RUNS.shown())
    return (
        f"(SELECT {now} FROM {schema}.runs AS c WHERE c.from_position <= {position} AND NOT c.deleted"
        f" UNION ALL SELECT {then} FROM {schema}.runs_history AS h JOIN {schema}.runs AS c USING (workspace_id, id)"
        f" WHERE h.from_position <= {position} AND h.to_position > {position} AND NOT h.deleted) AS versions"
    )


def _quoted(column: Column | None) -> str:
    return f'"{column.name}"' if column else "NULL"
