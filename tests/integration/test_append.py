"""The append path on a real PostgreSQL: order, fences, claims, idempotence, proofs, races between processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from ledger import merkle
from ledger.codec import canonical
from ledger.errors import ClaimTaken, CommandRecorded, GuardFailed, VersionConflict
from ledger.postgres.read import COLUMNS, envelope
from ledger.values import new_id
from tests.support.ledgers import OpenLedger, a_pipeline, described, open_ledger, unit
from tests.support.servers import Database


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[OpenLedger]:
    async with open_ledger(database.app_dsn) as opened:
        yield opened


async def test_concurrent_appends_get_gap_free_positions_in_commit_order(ledger: OpenLedger) -> None:
    workspace = new_id()
    await asyncio.gather(*(ledger.appender.append(unit(workspace, a_pipeline(f"p{n}"))) for n in range(300)))
    events = await ledger.reader.read(workspace, after=0)
    assert [event.position for event in events] == list(range(1, 301))
    times = [event.recorded_at for event in events]
    assert times == sorted(times)


async def test_two_appenders_share_one_gap_free_log(ledger: OpenLedger, database: Database) -> None:
    workspace = new_id()
    async with open_ledger(database.app_dsn) as other:
        await asyncio.gather(
            *(ledger.appender.append(unit(workspace, a_pipeline(f"a{n}"))) for n in range(150)),
            *(other.appender.append(unit(workspace, a_pipeline(f"b{n}"))) for n in range(150)),
        )
    events = await ledger.reader.read(workspace, after=0)
    assert [event.position for event in events] == list(range(1, 301))


async def test_workspaces_count_by_themselves(ledger: OpenLedger) -> None:
    first, second = new_id(), new_id()
    await asyncio.gather(*(ledger.appender.append(unit(w, a_pipeline())) for w in [first, second] * 20))
    for workspace in (first, second):
        assert [e.position for e in await ledger.reader.read(workspace, after=0)] == list(range(1, 21))


async def test_a_stale_version_is_refused_and_the_rest_of_the_batch_is_not(ledger: OpenLedger) -> None:
    workspace = new_id()
    stream, registered = a_pipeline()
    await ledger.appender.append(unit(workspace, (stream, registered)))
    outcomes = await asyncio.gather(
        *(ledger.appender.append(unit(workspace, described(stream, str(n)), expected={stream: 1})) for n in range(5)),
        ledger.appender.append(unit(workspace, a_pipeline("other"))),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, VersionConflict)]
    assert len(refused) == 4
    assert refused[0].actual == 2
    assert (await ledger.reader.head(workspace)).position == 3


async def test_a_stream_that_was_only_read_is_fenced_too(ledger: OpenLedger) -> None:
    workspace = new_id()
    stream, registered = a_pipeline()
    await ledger.appender.append(unit(workspace, (stream, registered)))
    other, event = a_pipeline("other")
    with pytest.raises(VersionConflict):
        await ledger.appender.append(unit(workspace, (other, event), expected={other: 0, stream: 7}))


async def test_a_claim_has_one_holder_who_is_named(ledger: OpenLedger) -> None:
    workspace = new_id()
    outcomes = await asyncio.gather(
        *(
            ledger.appender.append(unit(workspace, (stream, event), take={"pipeline:digits": stream}))
            for stream, event in (a_pipeline() for _ in range(10))
        ),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, ClaimTaken)]
    assert len(refused) == 9
    assert {refusal.holder for refusal in refused} == {await ledger.reader.holder(workspace, "pipeline:digits")}


async def test_a_released_claim_can_be_taken_in_the_same_unit(ledger: OpenLedger) -> None:
    workspace = new_id()
    old, registered = a_pipeline()
    await ledger.appender.append(unit(workspace, (old, registered), take={"model_version:x:production": old}))
    new, event = a_pipeline("new")
    await ledger.appender.append(
        unit(
            workspace,
            (new, event),
            take={"model_version:x:production": new},
            release={"model_version:x:production": old},
        )
    )
    assert await ledger.reader.holder(workspace, "model_version:x:production") == new


async def test_a_guard_fails_when_a_claim_appeared_under_its_prefix(ledger: OpenLedger) -> None:
    workspace = new_id()
    first, event = a_pipeline()
    await ledger.appender.append(unit(workspace, (first, event), take={"v:#0000000001": first}, guards={"v:#": None}))
    late, event = a_pipeline("late")
    with pytest.raises(GuardFailed):
        await ledger.appender.append(unit(workspace, (late, event), guards={"v:#": None}))
    assert await ledger.reader.last_claim(workspace, "v:#") == "v:#0000000001"


async def test_a_command_is_recorded_once(ledger: OpenLedger) -> None:
    workspace, command = new_id(), new_id()
    outcomes = await asyncio.gather(
        *(ledger.appender.append(unit(workspace, a_pipeline(str(n)), command_id=command)) for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, CommandRecorded) for outcome in outcomes) == 7
    recorded = await ledger.reader.recorded_commands(workspace, [command])
    assert (recorded[command].first_position, recorded[command].last_position) == (1, 1)


async def test_leaf_hashes_and_frontier_are_the_trees(ledger: OpenLedger) -> None:
    workspace = new_id()
    for n in range(13):
        await ledger.appender.append(unit(workspace, a_pipeline(str(n))))
    frontier: list[bytes] = []
    async with ledger.pool.connection() as connection:
        cursor = await connection.execute(
            f"SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = %s ORDER BY position", (workspace,), binary=True
        )
        for row in await cursor.fetchall():
            leaf = merkle.leaf_hash(canonical(envelope(row)))
            assert row[15] == leaf
            merkle.grow(frontier, row[1] - 1, leaf)
    assert (await ledger.reader.head(workspace)).frontier == merkle.pack(frontier)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.events SET actor = 'x'",
        "DELETE FROM ledger.events",
        "TRUNCATE ledger.events",
        "DELETE FROM ledger.commands",
    ],
)
async def test_history_cannot_be_changed(ledger: OpenLedger, database: Database, statement: str) -> None:
    await ledger.appender.append(unit(new_id(), a_pipeline()))
    with psycopg.connect(database.app_dsn) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)
    with psycopg.connect(database.owner_dsn) as owner, pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        owner.execute(statement)


async def test_the_appender_reconnects_and_loses_nothing(ledger: OpenLedger, database: Database) -> None:
    workspace = new_id()
    await ledger.appender.append(unit(workspace, a_pipeline("before")))
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await ledger.appender.append(unit(workspace, a_pipeline("after")))
    with psycopg.connect(database.owner_dsn) as owner:
        assert owner.execute("SELECT count(*), max(position) FROM ledger.events").fetchone() == (2, 2)


class BrokenObserver:
    """Fails after the first commit, as a programming error would."""

    def __init__(self) -> None:
        self.commits = 0

    def committed(self, _workspaces: object, **_measured: object) -> None:
        self.commits += 1
        if self.commits == 1:
            raise RuntimeError("a bug")


async def test_a_bug_in_the_writer_leaves_nobody_waiting(database: Database) -> None:
    async with open_ledger(database.app_dsn, observers=(BrokenObserver(),)) as ledger, asyncio.timeout(10):
        workspace = new_id()
        for number in range(2):
            await ledger.appender.append(unit(workspace, a_pipeline(str(number))))
        assert (await ledger.reader.head(workspace)).position == 2


async def test_a_unit_that_postgres_refuses_fails_alone(ledger: OpenLedger) -> None:
    workspace = new_id()
    good, bad = unit(workspace, a_pipeline("good")), unit(workspace, a_pipeline("bad"))
    impossible = bad._replace(actor="nul \x00 character")
    outcomes = await asyncio.gather(
        ledger.appender.append(good), ledger.appender.append(impossible), return_exceptions=True
    )
    assert not isinstance(outcomes[0], Exception)
    assert isinstance(outcomes[1], psycopg.Error)
    assert (await ledger.reader.head(workspace)).position == 1
