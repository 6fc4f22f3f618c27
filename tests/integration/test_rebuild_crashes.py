"""kill -9 of a projector that rebuilds: the live tables stay, the order stays, and the next one finishes the work."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from projections.compare import verify
from projections.registry import tables
from projections.schema import schema_of
from tests.support.histories import History
from tests.support.projected import Projected, projected
from tests.support.projecting import until
from tests.support.servers import Database

KILLS = 4
DELAYS = random.Random(7)  # noqa: S311 - reproducible delays, no secret


@pytest.fixture
async def workspace(database: Database) -> AsyncIterator[Projected]:
    async with projected(database.app_dsn) as opened:
        opened.history = History(5).act(400)
        await opened.project()
        yield opened


@asynccontextmanager
async def projector(database: Database) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program; kill -9 on the way out, wherever it is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runners", "projector", env={**os.environ, "EVERLINE_DSN": database.app_dsn}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def rows(workspace: Projected, query: str, *values: object) -> list[Any]:
    async with workspace.ledger.pool.connection() as connection:
        return await (await connection.execute(query.encode(), values)).fetchall()


async def has_scratch(workspace: Projected) -> bool:
    name = f"{schema_of(workspace.workspace_id)}_rebuild"
    return bool(await rows(workspace, "SELECT 1 FROM pg_namespace WHERE nspname = %s", name))


async def identities(workspace: Projected) -> dict[str, int]:
    schema = schema_of(workspace.workspace_id)
    found = await rows(
        workspace,
        "SELECT relname, oid::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(%s)",
        schema,
    )
    return {name: oid for name, oid in found if name in tables()}


async def assert_equal_to_a_replay(workspace: Projected) -> None:
    compared = await verify(workspace.ledger.pool, workspace.ledger.reader, workspace.workspace_id)
    assert compared.equal, compared.first_difference


async def assert_finished(workspace: Projected, before: dict[str, int]) -> None:
    """By the program that runs."""

    async def is_done() -> bool:
        return not (await workspace.projector.ordered() or await has_scratch(workspace))

    await until(is_done)
    after = await identities(workspace)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    await assert_equal_to_a_replay(workspace)


async def test_a_projector_killed_while_it_rebuilds(workspace: Projected, database: Database) -> None:
    before = await identities(workspace)
    await workspace.projector.order_rebuild(workspace.workspace_id, projection=None, ordered_by="ada")
    for _ in range(KILLS):
        async with projector(database):
            await until(lambda: has_scratch(workspace))
            await asyncio.sleep(DELAYS.uniform(0, 0.15))  # where it is killed, not what is waited for
        if not await workspace.projector.ordered():
            break
        assert await identities(workspace) == before
        workspace.history.act(5)
        await workspace.project()
    async with projector(database):
        await assert_finished(workspace, before)


async def test_a_projector_killed_in_the_middle_of_the_swap(workspace: Projected, database: Database) -> None:
    before = await identities(workspace)
    await workspace.projector.order_rebuild(workspace.workspace_id, projection=None, ordered_by="ada")

    async def is_swapping() -> bool:
        """It has moved some tables, and waits for one that is being read."""
        query = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation = %s"
        return bool(await rows(workspace, query, before["workspaces"]))

    async with workspace.ledger.pool.connection() as reading:
        async with reading.transaction():
            await reading.execute(f"SELECT count(*) FROM {schema_of(workspace.workspace_id)}.workspaces".encode())
            async with projector(database):
                await until(is_swapping)
        assert await identities(workspace) == before
    workspace.history.act(5)
    await workspace.project()
    async with projector(database):
        await assert_finished(workspace, before)
