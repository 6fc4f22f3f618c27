"""From a time to a position: exact, the same for ever, also when somebody appends at that very moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ledger.errors import PositionBeyondHead, SchemaNewer
from ledger.postgres.migrate import migrate, migrations
from ledger.values import new_id
from tests.support.ledgers import OpenLedger, a_pipeline, open_ledger, unit
from tests.support.servers import Database


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[OpenLedger]:
    async with open_ledger(database.app_dsn) as opened:
        yield opened


async def test_every_time_maps_to_the_last_position_recorded_by_then(ledger: OpenLedger) -> None:
    workspace = new_id()
    for number in range(40):
        await ledger.appender.append(unit(workspace, a_pipeline(str(number))))
    events = await ledger.reader.read(workspace, after=0)
    tick = timedelta(microseconds=1)
    for event in events:
        assert await ledger.reader.position_at(workspace, event.recorded_at) == event.position
        assert await ledger.reader.position_at(workspace, event.recorded_at - tick) == event.position - 1


async def test_an_answer_for_a_recent_time_never_changes(ledger: OpenLedger) -> None:
    """What commits after the question gets a later time, even if the question was about this very moment."""
    workspace = new_id()
    await ledger.appender.append(unit(workspace, a_pipeline("before")))
    for number in range(20):
        now = datetime.now(UTC) - timedelta(microseconds=50)
        answered = await ledger.reader.position_at(workspace, now)
        await ledger.appender.append(unit(workspace, a_pipeline(str(number))))
        assert await ledger.reader.position_at(workspace, now) == answered


async def test_a_clock_that_stepped_back_does_not_turn_time_around(ledger: OpenLedger, database: Database) -> None:
    workspace = new_id()
    await ledger.appender.append(unit(workspace, a_pipeline("first")))
    ahead = datetime.now(UTC) + timedelta(hours=1)
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:  # as if the clock had been an hour ahead
        owner.execute("UPDATE ledger.heads SET clock = %s WHERE workspace_id = %s", (ahead, workspace))
    for number in range(3):
        await ledger.appender.append(unit(workspace, a_pipeline(str(number))))
    times = [event.recorded_at for event in await ledger.reader.read(workspace, after=0)]
    assert times == sorted(set(times))
    assert times[1] > ahead


@pytest.mark.parametrize("events", [0, 1])
async def test_the_future_is_refused(ledger: OpenLedger, events: int) -> None:
    workspace = new_id()
    for number in range(events):
        await ledger.appender.append(unit(workspace, a_pipeline(str(number))))
    with pytest.raises(PositionBeyondHead):
        await ledger.reader.position_at(workspace, datetime.now(UTC) + timedelta(seconds=5))


def test_migrating_again_changes_nothing_and_a_newer_database_is_refused(database: Database) -> None:
    migrate(database.owner_dsn)
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        assert owner.execute("SELECT count(*) FROM public.everline_schema").fetchone() == (len(list(migrations())),)
        owner.execute("INSERT INTO public.everline_schema (version, name) VALUES (999, 'from the future')")
    with pytest.raises(SchemaNewer, match="999"):
        migrate(database.owner_dsn)
