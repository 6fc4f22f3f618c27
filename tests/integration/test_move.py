"""Moving a workspace while clients write through several gateways: nothing is lost or doubled, it is written in one
place at a time, and whoever kills the mover, at whatever step, costs the writers a moment."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from starlette.requests import Request

from gateway import stream_routes
from gateway.authentication import Actor
from gateway.call import Call
from ledger.errors import (
    CopyDiffers,
    MoveGivenUp,
    PlacementNotConfigured,
    SchemaOlder,
    TargetOccupied,
    WorkspaceElsewhere,
)
from ledger.placement import Placement
from ledger.postgres.dropping import DROPPED
from ledger.postgres.tables import BY_POSITION, BY_STREAM, COMPARED, STAYS
from runners import placements
from runners.errors import MoveRefused
from runners.move import Moved, Step, move
from tests.support.ledgers import a_pipeline, unit
from tests.support.placed import Deployment, open_deployment
from tests.support.servers import Database, PostgresServer
from tests.support.waiting import eventually, until
from tests.support.writing import assert_whole, writing

MOVER_SECONDS_MAX = 40
PUBLISHED = """
INSERT INTO ledger.relays (workspace_id, position, epoch) VALUES (%s, %s, 7)
ON CONFLICT (workspace_id) DO UPDATE SET position = excluded.position
"""
GIVEN_UP = "SELECT 1 FROM ledger.events WHERE type = 'workspace.move_abandoned'"
KILLED_MOVER = """
import asyncio, json, os, signal, sys
from runners.move import move

def told(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(move(json.loads(sys.argv[1]), "team", to="eu", told=told))
"""


@pytest.fixture
def databases(database: Database, eu: PostgresServer) -> Iterator[dict[str, Database]]:
    there = eu.create_database()
    yield {"main": database, "eu": there}
    eu.drop_database(there.name)


@pytest.fixture
async def gateways(databases: dict[str, Database]) -> AsyncIterator[list[Deployment]]:
    """Two, with the workspace `team` at home."""
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(open_deployment(databases)) for _ in range(2)]
        await made[0].create("team")
        made[1].workspaces |= made[0].workspaces
        yield made


async def moved(gateway: Deployment, to: str, **rest: Any) -> Moved:
    return await move(gateway.worker_settings().aliases(), "team", to=to, **rest)


async def killed_at(gateway: Deployment, step: Step) -> None:
    """A mover that kills itself (-9) at a step."""
    aliases = json.dumps(dict(gateway.worker_settings().aliases()))
    mover = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED_MOVER, aliases, step)
    async with asyncio.timeout(MOVER_SECONDS_MAX):
        assert await mover.wait() == -signal.SIGKILL


async def test_a_workspace_moves_there_and_back_while_it_is_written(gateways: list[Deployment]) -> None:
    here, _ = gateways
    async with writing(gateways, "team") as writers:
        await writers.acknowledge_more(50)
        for to in ("eu", "main"):
            done = await moved(here, to)
            await writers.acknowledge_more(50)
            assert (await here.presences("team"))[to] == "here"
            assert done.pause_seconds < 5
    await assert_whole(here, "team", writers, on="main")
    assert await here.presences("team") == {"main": "here", "eu": "gone"}


@pytest.mark.parametrize("step", Step)
async def test_a_killed_mover_costs_a_moment_and_a_repeat_goes_on(gateways: list[Deployment], step: Step) -> None:
    here, there = gateways
    async with writing(gateways, "team") as writers:
        await writers.acknowledge_more(20)
        await killed_at(here, step)
        assert list((await here.presences("team")).values()).count("here") <= 1
        await writers.acknowledge_more(20)
        assert list((await here.presences("team")).values()).count("here") == 1
        if step in {Step.LEFT, Step.CLEARED}:
            with pytest.raises(MoveRefused, match="already"):
                await moved(here, "eu")
        else:
            await moved(here, "eu")
        await writers.acknowledge_more(20)
    assert await there.presences("team") == {"main": "gone", "eu": "here"}
    await assert_whole(there, "team", writers, on="eu")


async def test_a_mover_that_was_cut_off_cannot_end_a_move_that_was_given_up(gateways: list[Deployment]) -> None:
    """Its session at home is lost while writers wait for it: they give the move up, and go on where they were."""
    here, _ = gateways
    owner_dsn = here.databases["main"].owner_dsn

    def cut_off(step: Step) -> None:
        if step is Step.COMPLETE:
            with psycopg.connect(owner_dsn, autocommit=True) as owner:
                owner.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
                eventually(lambda: owner.execute(GIVEN_UP).fetchone())

    async with writing(gateways, "team") as writers:
        await writers.acknowledge_more(10)
        with pytest.raises(MoveGivenUp):
            await asyncio.to_thread(lambda: asyncio.run(moved(here, "eu", told=cut_off)))
        await writers.acknowledge_more(10)
    assert await here.presences("team") == {"main": "here", "eu": "arriving"}
    await assert_whole(here, "team", writers, on="main")


async def test_a_gateway_that_knows_an_old_place_is_sent_on(gateways: list[Deployment]) -> None:
    here, _ = gateways
    assert (await here.register("team", "before")).status_code == 200
    await moved(here, "eu")
    team = here.workspaces["team"]
    for request in (partial(here.register, "team", "after"), partial(here.client.get, "/v1/workspaces/team/pipelines")):
        here.placements._known[team] = Placement("main")
        assert (await request()).status_code == 200
        assert here.placements._known[team].alias == "eu"
    here.placements._known[team] = Placement("main")
    refused = await here.register("team", "before")
    assert refused.json()["code"] == "name_taken", "what an old place knows refuses nothing"


async def test_a_live_stream_ends_where_the_workspace_has_left(gateways: list[Deployment]) -> None:
    here, _ = gateways
    assert (await here.register("team", "before")).status_code == 200
    services = here.services("main")
    call = Call(Request({"type": "http", "headers": []}), services, Actor("user:ada"), here.workspaces["team"])
    frames = stream_routes.frames(call, 0)
    assert (await anext(frames)).startswith(b"retry: ")
    assert (await anext(frames)).startswith(b"id: 1\n")
    await moved(here, "eu")
    async with asyncio.timeout(MOVER_SECONDS_MAX):
        assert [frame async for frame in frames] == [b": the ledger does not answer here, connect again\n\n"]


async def test_the_past_is_the_same_at_the_new_place(gateways: list[Deployment]) -> None:
    """Also the time that was asked about last: what follows is later, whatever the other machine's clock says."""
    here, _ = gateways
    await here.register("team", "before")
    now = datetime.now(UTC)
    reader = here.services("main").reader
    assert await reader.position_at(here.workspaces["team"], now) == 1
    await moved(here, "eu")
    with pytest.raises(WorkspaceElsewhere):
        await reader.position_at(here.workspaces["team"], datetime.now(UTC))
    await here.register("team", "after")
    there = here.services("eu").reader
    assert await there.position_at(here.workspaces["team"], now) == 1
    await here.project()
    page = await here.client.get("/v1/workspaces/team/pipelines", params={"as_of": now.isoformat()})
    assert [row["name"] for row in page.json()["items"]] == ["before"]


async def test_how_far_a_workspace_was_published_moves_with_it(gateways: list[Deployment]) -> None:
    here, _ = gateways
    for name in ("digits", "words"):
        await here.register("team", name)
    rows = []
    for position, (at, to) in enumerate((("main", "eu"), ("eu", "main")), start=1):
        async with here.services(at).pool.connection() as connection:
            await connection.execute(PUBLISHED, (here.workspaces["team"], position))
        await moved(here, to)
        async with here.services(to).pool.connection() as connection:
            rows += await (await connection.execute("SELECT position, epoch FROM ledger.relays")).fetchall()
    assert rows == [(1, 7), (2, 7)]


async def test_what_is_left_is_read_only_and_can_be_dropped_and_come_back(gateways: list[Deployment]) -> None:
    here, _ = gateways
    async with writing(gateways, "team") as writers:
        await writers.acknowledge_more(30)
        await moved(here, "eu")
    aliases = here.worker_settings().aliases()
    owners = {alias: database.owner_dsn for alias, database in here.databases.items()}
    with psycopg.connect(owners["eu"], autocommit=True) as owner, pytest.raises(psycopg.errors.IntegrityError):
        owner.execute("DELETE FROM ledger.events WHERE position = 1")
    with pytest.raises(MoveRefused, match="no move has left anything"):
        await placements.drop(aliases, owners, "team", on="eu")
    with pytest.raises(MoveRefused, match="EVERLINE_OWNER_DSNS"):
        await placements.drop(aliases, {}, "team", on="main")
    await placements.drop(aliases, owners, "team", on="main")
    with psycopg.connect(owners["main"]) as owner:
        team = here.workspaces["team"]
        for table in DROPPED:
            count = owner.execute(f"SELECT count(*) FROM ledger.{table} WHERE workspace_id = %s", (team,)).fetchone()
            assert count == (0,), table
    await assert_whole(here, "team", writers, on="eu")
    await moved(here, "main")
    await assert_whole(here, "team", writers, on="main")


async def test_a_copy_that_was_changed_is_refused(gateways: list[Deployment]) -> None:
    """One byte of what an earlier attempt had copied."""
    here, _ = gateways
    async with writing(gateways, "team") as writers:
        await writers.acknowledge_more(10)
        await killed_at(here, Step.COMPLETE)
    with psycopg.connect(here.databases["eu"].owner_dsn, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE ledger.events SET actor = 'user:mallory' WHERE position = 3")
    with pytest.raises(CopyDiffers, match="position 3"):
        await moved(here, "eu")
    await until(partial(accepted, here))
    assert (await here.presences("team"))["main"] == "here"


async def accepted(gateway: Deployment) -> bool:
    return (await gateway.register("team", "again")).status_code in {200, 409}


async def test_a_target_with_another_ledger_of_the_workspace_is_refused(gateways: list[Deployment]) -> None:
    here, _ = gateways
    await here.register("team", "digits")
    await here.services("eu").appender.append(unit(here.workspaces["team"], a_pipeline("foreign")))
    with pytest.raises(TargetOccupied):
        await moved(here, "eu")
    assert await here.presences("team") == {"main": "here", "eu": "here"}
    assert (await here.register("team", "more")).status_code == 200
    assert await here.heads("eu") == {"team": 1}


async def test_moves_that_cannot_begin_are_refused_by_name(
    gateways: list[Deployment], databases: dict[str, Database], eu: PostgresServer
) -> None:
    here, _ = gateways
    await here.register("team", "digits")
    aliases = here.worker_settings().aliases()
    for name, to, code in (
        ("team", "mars", "unknown_alias"),
        ("team", "main", "already_placed"),
        ("nobody", "eu", "workspace_not_found"),
        ("control", "eu", "workspace_not_found"),
    ):
        with pytest.raises(MoveRefused) as refused:
            await move(aliases, name, to=to)
        assert refused.value.code == code
    both = await asyncio.gather(moved(here, "eu"), moved(here, "eu"), return_exceptions=True)
    [done] = [outcome for outcome in both if isinstance(outcome, Moved)]
    [late] = [outcome for outcome in both if isinstance(outcome, MoveRefused)]
    assert (done.target, late.code in {"move_running", "already_placed"}) == ("eu", True)
    assert (await here.presences("team"))["eu"] == "here"
    with pytest.raises(PlacementNotConfigured):
        await move({"main": aliases["main"]}, "team", to="main")


async def test_a_target_that_was_not_migrated_is_refused(gateways: list[Deployment], eu: PostgresServer) -> None:
    here, _ = gateways
    await here.register("team", "digits")
    empty = eu.create_empty_database()
    with pytest.raises(SchemaOlder):
        await move({**here.worker_settings().aliases(), "eu": empty.app_dsn}, "team", to="eu")
    assert (await here.register("team", "more")).status_code == 200
    eu.drop_database(empty.name)


async def test_the_placements_are_listed_whatever_their_state(
    gateways: list[Deployment], databases: dict[str, Database]
) -> None:
    here, _ = gateways
    await here.create("abroad", alias="eu")
    await here.register("abroad", "digits")
    await moved(here, "eu")
    rows = await placements.listed(here.worker_settings().aliases())
    assert [(row.alias, row.state, row.workspaces, row.events, row.left) for row in rows] == [
        ("main", "ok", 0, 0, 1),
        ("eu", "ok", 2, 1, 0),
    ]
    rows = await placements.listed({"main": databases["main"].app_dsn, "us": "host=/nowhere dbname=x"})
    assert [(row.alias, row.state, row.workspaces) for row in rows] == [
        ("main", "ok", 0),
        ("us", "away", 0),
        ("eu", "not configured", 2),
    ]


def test_every_table_of_the_ledger_is_moved_or_says_why_not(database: Database) -> None:
    named = {*BY_POSITION, *BY_STREAM, *(table.name for table in COMPARED), *STAYS}
    with psycopg.connect(database.owner_dsn) as owner:
        tables = {row[0] for row in owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'ledger'")}
    assert tables == named, "name the new table in ledger/postgres/tables.py"
