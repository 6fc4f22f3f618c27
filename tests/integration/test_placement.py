"""Workspaces on several PostgreSQLs: each is served where it was placed, and one that is away delays only its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import ValidationError

from gateway.settings import read_settings
from ledger import broker
from ledger.placement import InvalidAliases, parse_dsns
from ledger.postgres.migrate import migrate
from runners import projector, relay
from runners.migration import migrate_all
from tests.support.placed import Deployment, open_deployment
from tests.support.servers import Database, PostgresServer
from tests.support.waiting import until

SECONDS_MAX = 30


@pytest.fixture
async def deployment(database: Database, eu: PostgresServer) -> AsyncIterator[Deployment]:
    there = eu.create_database()
    async with open_deployment({"main": database, "eu": there}) as opened:
        yield opened
    eu.drop_database(there.name)


async def test_a_workspace_is_served_where_it_was_placed(deployment: Deployment) -> None:
    await deployment.create("home")
    await deployment.create("abroad", alias="eu")
    for name in ("home", "abroad"):
        assert (await deployment.register(name, "digits")).status_code == 200
    assert await deployment.heads("main") == {"control": 3, "home": 1}
    assert await deployment.heads("eu") == {"abroad": 1}
    await deployment.project()
    for name in ("home", "abroad"):
        page = (await deployment.client.get(f"/v1/workspaces/{name}/pipelines")).json()
        assert [row["name"] for row in page["items"]] == ["digits"]
    shown = (await deployment.client.get("/v1/workspaces/control/workspaces", params={"sort": "name"})).json()
    assert [(row["name"], row["placed_on"], row["moving_to"]) for row in shown["items"]] == [
        ("abroad", "eu", None),
        ("home", "main", None),
    ]


async def test_an_unknown_alias_is_refused_by_name(deployment: Deployment) -> None:
    refused = await deployment.creation("lost", alias="mars")
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_alias")
    assert refused.json()["known"] == ["eu", "main"]
    assert await deployment.heads("main") == {}


async def test_only_programs_may_move(deployment: Deployment) -> None:
    await deployment.create("home")
    body = {"workspace": "home", "move_id": "0190a000-0000-7000-8000-000000000001"}
    refused = await deployment.client.post("/v1/workspaces/control/commands/place-workspace", json=body)
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_command")


async def test_a_postgres_that_is_away_delays_only_its_own_workspaces(
    database: Database, eu: PostgresServer, tmp_path: Path
) -> None:
    there = eu.create_database()
    async with open_deployment({"main": database, "eu": there}) as deployment:
        await deployment.create("home")
        await deployment.create("abroad", alias="eu")
        assert (await deployment.register("abroad", "first")).status_code == 200
    nowhere = f"host={tmp_path} dbname=x user=x"
    away = Database(there.name, owner_dsn=nowhere, app_dsn=nowhere)
    async with open_deployment({"main": database, "eu": away}) as deployment:
        assert (await deployment.register("home", "digits")).status_code == 200
        refused = await deployment.register("abroad", "digits")
        assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (
            503,
            "placement_away",
            True,
        )
        assert refused.json()["alias"] == "eu"
        ready = (await deployment.client.get("/ready")).json()
        assert (ready["status"], ready["away"]) == ("ready", ["eu"])
    eu.drop_database(there.name)


async def test_a_workspace_on_an_alias_that_the_settings_lost_is_named(database: Database, eu: PostgresServer) -> None:
    there = eu.create_database()
    async with open_deployment({"main": database, "eu": there}) as deployment:
        await deployment.create("abroad", alias="eu")
        await deployment.create("home")
    async with open_deployment({"main": database}) as deployment:
        refused = await deployment.register("abroad", "digits")
        assert (refused.status_code, refused.json()["code"]) == (503, "placement_not_configured")
        assert "EVERLINE_DSNS" in refused.json()["detail"]
        assert (await deployment.register("home", "digits")).status_code == 200
    eu.drop_database(there.name)


async def test_a_postgres_that_was_not_migrated_is_not_used(database: Database, eu: PostgresServer) -> None:
    empty = eu.create_empty_database()
    async with open_deployment({"main": database, "eu": empty}, wait=False) as deployment:
        await deployment.create("abroad", alias="eu")
        refused = await deployment.register("abroad", "digits")
        assert refused.json()["code"] == "placement_away"
        migrate(empty.owner_dsn)
        await until(partial(accepted, deployment, "abroad"))
    eu.drop_database(empty.name)


async def test_the_projector_works_on_each_postgres(deployment: Deployment) -> None:
    await deployment.create("home")
    await deployment.create("abroad", alias="eu")
    async with projecting(deployment):
        for name in ("home", "abroad"):
            receipt = (await deployment.register(name, "digits")).json()
            shown = await until(partial(deployment.pipelines, name, min_position=receipt["position"]))
            assert shown == ["digits"]


async def test_each_postgres_is_relayed_to_a_stream_of_its_own(deployment: Deployment, nats_url: str) -> None:
    await deployment.create("home")
    abroad = await deployment.create("abroad", alias="eu")
    task = asyncio.create_task(relay.run(deployment.worker_settings(nats_url=nats_url)))
    client = await broker.connect(nats_url, name="test")
    received: asyncio.Queue[str] = asyncio.Queue()

    async def take(message: Any) -> None:
        await received.put(message.subject)

    await client.subscribe(broker.subjects("eu"), cb=take)
    try:
        for name in ("home", "abroad"):
            assert (await deployment.register(name, "digits")).status_code == 200
        async with asyncio.timeout(SECONDS_MAX):
            assert await received.get() == f"everline.eu.{abroad.hex}.pipeline.registered"
        assert received.empty(), "what is at home has another stream"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await broker.close(client)


async def accepted(deployment: Deployment, workspace: str) -> bool:
    return (await deployment.register(workspace, "digits")).status_code == 200


@asynccontextmanager
async def projecting(deployment: Deployment, **settings: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(projector.run(deployment.worker_settings(**settings)))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_migrating_goes_on_without_a_postgres_that_is_away(
    database: Database, eu: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = eu.create_empty_database()
    migrate_all({"main": database.owner_dsn, "away": f"host={tmp_path} dbname=x", "eu": empty.owner_dsn})
    assert "'away' is away and was not migrated" in capsys.readouterr().err
    eu.drop_database(empty.name)


def test_aliases_are_read_from_a_setting_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "dsns"
    file.write_text("asia=host=c\n\nafrica=postgresql://d,e/x\n")
    others = "eu=postgresql://a,b/db?x=1,us=host=b,c port=1,2 user=u"
    assert parse_dsns("home", others, file=file) == {
        "main": "home",
        "eu": "postgresql://a,b/db?x=1",
        "us": "host=b,c port=1,2 user=u",
        "asia": "host=c",
        "africa": "postgresql://d,e/x",
    }


@pytest.mark.parametrize("others", ["eu", "eu=", "EU=x", "eu=x,eu=y", "main=x", "=x"])
def test_aliases_that_make_no_sense_are_refused(others: str) -> None:
    with pytest.raises(InvalidAliases):
        parse_dsns("home", others)
    with pytest.raises(ValidationError):
        read_settings({"EVERLINE_DSN": "home", "EVERLINE_DSNS": others})
