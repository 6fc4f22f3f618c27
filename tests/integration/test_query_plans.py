"""How PostgreSQL reads lists: every shape goes through indexes in their order, and looks at few rows.

What a plan reads is counted, not timed: an index that is gone or a plan that changed reads far more than it shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from psycopg.rows import tuple_row

from projections.differences import diff
from projections.reading import Reading
from tests.bench.lists import CASES, WORKSPACE, Case, Lists, lists
from tests.bench.run_history import head_of

if TYPE_CHECKING:
    from projections.table import Row
    from tests.support.servers import PostgresServer

RUNS_MADE = 5_000
"""Some fifty thousand versions: a scan of them is far from what a page reads."""

READ_MAX = 1_000
"""Rows that the scans of one page may look at."""

RARE = frozenset(
    {
        "tag",
        "failed, longest first",
        "by name, last first",
        "status failed, pipeline",
        "status running, pipeline, stack",
    }
)
"""Cases that find what is rare among what is frequent: they may look at every candidate, never at every version."""


class Explained(Reading):
    """Answers as always, and notes what the plan of each statement read."""

    read: int
    scanned: list[str]

    async def rows(self, query: str, parameters: Mapping[str, Any]) -> list[Row]:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}"
            await cursor.execute(explain.encode(), parameters, prepare=False)
            ((explained,),) = await cursor.fetchall()
        for node in nodes(explained[0]["Plan"]):
            if "Relation Name" in node:
                passed_over = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
                self.read += round((node["Actual Rows"] + passed_over) * node["Actual Loops"])
            if node["Node Type"] == "Seq Scan":
                self.scanned.append(node["Relation Name"])
        return await super().rows(query, parameters)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asked(postgres: PostgresServer) -> AsyncIterator[Lists]:
    database = postgres.create_database()
    async with lists(database, RUNS_MADE, reads=Explained) as opened:
        yield opened
    postgres.drop_database(database.name)


@pytest.mark.parametrize("part", [None, 0.1, 0.5, 0.7, 0.95], ids=lambda part: f"as of {part}" if part else "live")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_page_is_read_through_indexes(asked: Lists, case: Case, part: float | None) -> None:
    reading = asked.reading
    assert isinstance(reading, Explained)
    moment = asked.live if part is None else asked.at(int(part * head_of(RUNS_MADE)))
    last = await asked.last(case, moment)
    reading.read, reading.scanned = 0, []
    await asked.page(case, moment, last)
    if case.name in RARE:
        assert reading.read <= 4 * RUNS_MADE
    else:
        assert reading.scanned == []
        assert reading.read <= READ_MAX


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_page_is_what_a_scan_finds(asked: Lists, case: Case) -> None:
    assert isinstance(asked.reading, Explained)
    asked.reading.read, asked.reading.scanned = 0, []
    await asked.check(case)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
async def test_a_difference_reads_what_changed(asked: Lists, part: float) -> None:
    reading = asked.reading
    assert isinstance(reading, Explained)
    start = asked.at(int(part * head_of(RUNS_MADE)))
    reading.read, reading.scanned = 0, []
    page = await diff(
        reading, WORKSPACE, start=start, end=asked.at(start.position + 100), kind="run", limit=50, cursor=None
    )
    assert page["items"]
    assert reading.scanned == []
    assert reading.read <= 2 * READ_MAX
