"""Workspaces that share the tables of a pool: each sees its own rows only, and is rebuilt, compared and moved without
touching the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import projections
from projections.pools import pool_schema
from runners.move import move
from tests.support.placed import Deployment, open_deployment
from tests.support.programs import program
from tests.support.servers import Database, PostgresServer

TEAMS = ("ants", "bees", "cats")


@pytest.fixture
def databases(database: Database, eu: PostgresServer) -> Iterator[dict[str, Database]]:
    there = eu.create_database()
    yield {"main": database, "eu": there}
    eu.drop_database(there.name)


@pytest.fixture
async def deployment(databases: dict[str, Database]) -> AsyncIterator[Deployment]:
    """Three workspaces in one pool, each with pipelines of the same names and one of its own, all projected."""
    async with open_deployment(databases) as opened:
        for team in TEAMS:
            await opened.create(team, pool_schema="pool")
            for name in ("digits", "words", team):
                assert (await opened.register(team, name)).status_code == 200
            body = {"pipeline": "digits", "description": f"of the {team}"}
            update = f"/v1/workspaces/{team}/commands/update-pipeline"
            assert (await opened.client.post(update, json=body)).status_code == 200
        await opened.project()
        yield opened


async def assert_each_has_its_own(deployment: Deployment) -> None:
    """Lists, details, histories, the past, differences and events of each, and its comparison with a replay."""
    for team in TEAMS:
        base = f"/v1/workspaces/{team}"
        assert sorted(await deployment.pipelines(team)) == sorted(["digits", "words", team])
        assert sorted(await deployment.pipelines(team, as_of="2")) == ["digits", "words"]
        digits = await answer(deployment, f"{base}/pipelines/digits")
        assert digits["description"] == f"of the {team}"
        history = await answer(deployment, f"{base}/pipelines/digits/history")
        assert [change["position"] for change in history["items"]] == [4, 1]
        events = await answer(deployment, f"{base}/events")
        assert [event["position"] for event in events["items"]] == [4, 3, 2, 1]
        difference = await answer(deployment, f"{base}/diff", **{"from": "3"})
        assert len(difference["items"]) == 1
        check = (await deployment.client.post(f"{base}/replay-checks", json={})).json()
        assert check["equal"], check["first_difference"]
        assert check["position"] == 4


async def answer(deployment: Deployment, path: str, **query: str) -> dict[str, Any]:
    response = await deployment.client.get(path, params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def rows(database: Database, schema: str) -> int:
    with psycopg.connect(database.owner_dsn) as owner:
        found = owner.execute(f"SELECT count(DISTINCT workspace_id) FROM {schema}.pipelines").fetchone()
    return found[0] if found else 0


async def test_workspaces_of_a_pool_have_rows_of_their_own(deployment: Deployment) -> None:
    await assert_each_has_its_own(deployment)
    with psycopg.connect(deployment.databases["main"].owner_dsn) as owner:
        found = owner.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(pool|ws)_' ORDER BY 1").fetchall()
    assert [name for (name,) in found] == [pool_schema("pool"), f"ws_{0:032x}"]


async def test_one_workspace_is_rebuilt_among_the_others(deployment: Deployment) -> None:
    projector, ants = deployment.services("main").projector, deployment.workspaces["ants"]
    with psycopg.connect(deployment.databases["main"].owner_dsn, autocommit=True) as owner:
        owner.execute(
            f"UPDATE {pool_schema('pool')}.pipelines SET description = 'wrong' WHERE workspace_id = %s", (ants,)
        )
    await projector.order_rebuild(ants, projection=None, ordered_by="test")
    assert await projector.rebuild(ants) == 4
    await assert_each_has_its_own(deployment)


async def test_another_program_finds_room_beside_the_old_tables(deployment: Deployment) -> None:
    database, before = deployment.databases["main"], pool_schema("pool")
    projector = deployment.services("main").projector
    with program(pipeline=1_000):
        assert pool_schema("pool") != before
        for team in TEAMS:
            await projector.claim(deployment.workspaces[team])
        for number, team in enumerate(TEAMS, start=1):
            assert await projector.rebuild(deployment.workspaces[team]) == 4
            assert (rows(database, before), rows(database, pool_schema("pool"))) == (len(TEAMS) - number, number)
        await assert_each_has_its_own(deployment)
        for team in TEAMS:
            assert (await deployment.register(team, "later")).status_code == 200
        await deployment.project()
        assert sorted(await deployment.pipelines("ants")) == ["ants", "digits", "later", "words"]


async def test_a_workspace_moves_out_of_a_pool_and_into_one(deployment: Deployment) -> None:
    main, aliases = deployment.databases["main"], deployment.worker_settings().aliases()
    await move(aliases, "bees", to="eu")
    assert rows(main, pool_schema("pool")) == 2
    await assert_each_has_its_own(deployment)
    await move(aliases, "bees", to="main", schema="pool_two")
    assert (rows(main, pool_schema("pool")), rows(main, pool_schema("pool_two"))) == (2, 1)
    await assert_each_has_its_own(deployment)


async def test_a_schema_that_is_no_pool_is_refused(deployment: Deployment) -> None:
    for schema in ("public", "ledger", "ws_x", "pool-x", "pool_", ""):
        refused = await deployment.creation("dogs", pool_schema=schema)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_command")


def test_whoever_reads_tables_asks_the_checkpoint_where_they_are() -> None:
    """Only what makes, moves and drops schemas of workspaces may name them without having looked."""
    makers = {"schema", "projector", "rebuild", "replay", "compare", "leaving", "statistics", "moments"}
    folder = Path(projections.__file__).parent
    naming = {
        file.stem for file in folder.glob("*.py") if "import schema_of" in text(file) or ", schema_of" in text(file)
    }
    assert naming <= makers, "use reading.moments.schema_of"


def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
