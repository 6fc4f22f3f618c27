"""From a time to a position: whatever the clock does and whoever appends meanwhile, an answer is exact and stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import PositionBeyondHead
from ledger.values import new_id
from tests.support.ledgers import OpenLedger, a_pipeline, open_ledger, unit
from tests.support.servers import Database, PostgresServer

TICK = timedelta(microseconds=1)
few = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))

Base = tuple[OpenLedger, Database]

appends = st.tuples(st.just("append"), st.integers(1, 6))
steps_of_the_clock = st.tuples(st.just("clock"), st.integers(-5_000, 5_000))
questions = st.tuples(st.just("ask"), st.integers(-2_000, 2_000))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def base(postgres: PostgresServer) -> AsyncIterator[Base]:
    """One database for the examples of this file; each takes a workspace of its own."""
    database = postgres.create_database()
    async with open_ledger(database.app_dsn) as opened:
        yield opened, database
    postgres.drop_database(database.name)


@few
@given(acts=st.lists(st.one_of(appends, steps_of_the_clock, questions), min_size=3, max_size=25))
async def test_an_answer_is_exact_and_stays_whatever_the_clock_does(base: Base, acts: list[tuple[str, int]]) -> None:
    """A clock that steps is one that the last events ran ahead of, or fell behind: what the head remembers is moved."""
    ledger, database = base
    workspace = new_id()
    answers: list[tuple[datetime, int]] = []
    for act, value in acts:
        match act:
            case "append":
                commands = (unit(workspace, a_pipeline(str(new_id()))) for _ in range(value))
                await asyncio.gather(*map(ledger.appender.append, commands))
            case "clock":
                step_clock(database, workspace, milliseconds=value)
            case _:
                answers += await ask(ledger, workspace, datetime.now(UTC) + timedelta(milliseconds=value))
    times = await recorded(ledger, workspace)
    for time in [moment for each in times for moment in (each - TICK, each, each + TICK)]:
        answers += await ask(ledger, workspace, time)
    times = await recorded(ledger, workspace)
    assert times == sorted(times)
    for time, position in answers:
        assert position == by_then(times, time)
        assert await ask(ledger, workspace, time) == [(time, position)]


@few
@given(delays=st.lists(st.integers(-300, 0), min_size=10, max_size=40))
async def test_an_answer_stays_while_others_append(base: Base, delays: list[int]) -> None:
    ledger, database = base
    workspace = new_id()
    answers: list[tuple[datetime, int]] = []

    async def asking() -> None:
        for delay in delays:
            answers.extend(await ask(ledger, workspace, datetime.now(UTC) + timedelta(microseconds=delay)))

    async with open_ledger(database.app_dsn) as other:

        async def appending(by: OpenLedger) -> None:
            for _ in range(20):
                await by.appender.append(unit(workspace, a_pipeline(str(new_id()))))

        await asyncio.gather(appending(ledger), appending(other), asking(), asking())
    times = await recorded(ledger, workspace)
    assert len(times) == 40
    assert [position for _, position in answers] == [by_then(times, time) for time, _ in answers]


def step_clock(database: Database, workspace: UUID, *, milliseconds: int) -> None:
    """As if the machine's clock had been ahead (or, for a time that is past already, just right)."""
    clock = datetime.now(UTC) + timedelta(milliseconds=milliseconds)
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("UPDATE ledger.heads SET clock = greatest(clock, %s) WHERE workspace_id = %s", (clock, workspace))


async def ask(ledger: OpenLedger, workspace: UUID, time: datetime) -> list[tuple[datetime, int]]:
    """The answer if there is one: the future has none."""
    try:
        return [(time, await ledger.reader.position_at(workspace, time))]
    except PositionBeyondHead:
        return []


async def recorded(ledger: OpenLedger, workspace: UUID) -> list[datetime]:
    return [event.recorded_at for event in await ledger.reader.read(workspace, after=0)]


def by_then(times: Sequence[datetime], time: datetime) -> int:
    """By counting: how many events were recorded at or before the time."""
    return sum(each <= time for each in times)
