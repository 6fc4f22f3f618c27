"""Rebuilds beside the live tables: another version of a projection, an operator's order, an older program, readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ledger.values import new_id
from projections import metadata, orders, rebuild
from projections.compare import verify
from projections.errors import (
    NothingProjected,
    ProjectionBehind,
    ProjectionNewer,
    ProjectionOutdated,
    ProjectionStopped,
    RebuildPending,
    SwapRefused,
    UnknownProjection,
)
from projections.metadata import METADATA, METRIC_POINTS
from projections.query import When
from projections.registry import tables
from projections.schema import schema_of
from projections.table import Column
from projections.versions import made_by
from tests.support.histories import History
from tests.support.programs import program
from tests.support.projected import Projected, projected
from tests.support.servers import Database

RUNS = {"runs", "steps", "lineage_edges", "pipelines", "snapshots"}


@pytest.fixture
async def workspace(database: Database) -> AsyncIterator[Projected]:
    async with projected(database.app_dsn) as opened:
        opened.history = History(11).act(40)
        await opened.project()
        yield opened


async def rows(workspace: Projected, statement: str) -> list[Any]:
    """`{ws}` stands for the workspace's schema."""
    async with workspace.ledger.pool.connection() as connection:
        cursor = await connection.execute(statement.format(ws=schema_of(workspace.workspace_id)).encode())
        return await cursor.fetchall() if cursor.description else []


async def identities(workspace: Projected) -> dict[str, int]:
    """What PostgreSQL knows each live table by: another one after it was swapped."""
    found = await rows(
        workspace,
        "SELECT relname, oid::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = '{ws}'::regnamespace",
    )
    return {name: oid for name, oid in found if not name.endswith("_history")}


async def swapped(workspace: Projected, before: dict[str, int]) -> set[str]:
    after = await identities(workspace)
    assert after.keys() == before.keys()
    return {name for name, oid in after.items() if before[name] != oid}


async def assert_equal_to_a_replay(workspace: Projected) -> None:
    compared = await verify(workspace.ledger.pool, workspace.ledger.reader, workspace.workspace_id)
    assert compared.equal, compared.first_difference
    assert await rows(workspace, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^ws_'") == [
        (schema_of(workspace.workspace_id),)
    ]


async def test_a_new_version_rebuilds_what_depends_on_it_and_nothing_else(workspace: Projected) -> None:
    for kind, expected in (("metadata", {"metadata", "metric_points"}), ("run", RUNS), ("tag", {"tags"})):
        before = await identities(workspace)
        with program(**{kind: 2}):
            await workspace.projector.claim(workspace.workspace_id)
            workspace.history.act(10)
            await workspace.project()
            assert await workspace.projector.ordered() == [workspace.workspace_id]
            assert await workspace.projector.rebuild(workspace.workspace_id) is not None
            assert await swapped(workspace, before) == expected
            assert await workspace.projector.ordered() == []
            workspace.history.act(10)
            await workspace.project()
            await assert_equal_to_a_replay(workspace)
        await rows(
            workspace, "DELETE FROM projections.layouts; DELETE FROM projections.checkpoints; DROP SCHEMA {ws} CASCADE"
        )
        await workspace.projector.catch_up(workspace.workspace_id)


async def test_while_some_tables_are_rebuilt_they_stand_still_and_the_others_move(workspace: Projected) -> None:
    before = await workspace.projector.checkpoint(workspace.workspace_id)
    with program(metadata=2):
        workspace.history.act(20)
        head = await workspace.project()
        at, queries = workspace.workspace_id, workspace.queries
        assert (await queries.list(at, "stacks", when=When(min_position=head)))["as_of"]["position"] == head
        old = await queries.list(at, "metadata")
        assert old["as_of"]["position"] == before
        assert old["as_of"]["time"] is not None
        with pytest.raises(ProjectionBehind):
            await queries.list(at, "metadata", when=When(min_position=head))
        await workspace.projector.rebuild(at)
        assert (await queries.list(at, "metadata", when=When(min_position=head)))["as_of"]["position"] == head


async def test_tables_of_other_columns_are_not_read_until_they_are_swapped(workspace: Projected) -> None:
    changed = replace(METADATA, own=(*METADATA.own, Column("unit", "text")))
    with program(metadata=2, tables={"metadata": (changed, METRIC_POINTS)}):
        await workspace.projector.claim(workspace.workspace_id)
        with pytest.raises(ProjectionOutdated, match="metadata") as outdated:
            await workspace.queries.list(workspace.workspace_id, "metadata")
        assert outdated.value.tables == ["metadata"]
        assert (await workspace.queries.list(workspace.workspace_id, "runs"))["items"]
        await workspace.projector.rebuild(workspace.workspace_id)
        assert all("unit" in row for row in (await workspace.queries.list(workspace.workspace_id, "metadata"))["items"])
    with pytest.raises(ProjectionOutdated):
        await workspace.queries.list(workspace.workspace_id, "metadata")


async def test_an_older_program_keeps_away_from_what_a_newer_one_claimed(workspace: Projected) -> None:
    at, projector = workspace.workspace_id, workspace.projector
    with program(metadata=2):
        await projector.claim(at)
    workspace.history.act(3)
    await workspace.record()
    before = await identities(workspace), await projector.checkpoint(at)
    with pytest.raises(ProjectionNewer, match="metadata 2, here 1"):
        await projector.rebuild(at)
    with program(metadata=2):
        await projector.rebuild(at)
    swapped_in = await identities(workspace)
    with pytest.raises(ProjectionNewer):
        await projector.catch_up(at)
    with pytest.raises(ProjectionNewer):
        await projector.claim(at)
    with pytest.raises(ProjectionNewer):
        await projector.order_rebuild(at, projection=None, ordered_by="ada")
    assert await identities(workspace) == swapped_in != before[0]
    assert await projector.checkpoint(at) == before[1]
    with program(metadata=2):
        await projector.catch_up(at)
        await assert_equal_to_a_replay(workspace)


async def test_an_older_program_that_is_rebuilding_gives_way(workspace: Projected) -> None:
    at, projector = workspace.workspace_id, workspace.projector
    await projector.order_rebuild(at, projection="run", ordered_by="ada")
    with pytest.MonkeyPatch.context() as patch:
        create_indexes = rebuild.create_indexes

        async def claimed_meanwhile(*arguments: Any, **rest: Any) -> None:
            await create_indexes(*arguments, **rest)
            with program(stack=2):
                await projector.claim(at)

        patch.setattr(rebuild, "create_indexes", claimed_meanwhile)
        with pytest.raises(ProjectionNewer):
            await projector.rebuild(at)
    with program(stack=2):
        await projector.rebuild(at)
        await projector.catch_up(at)
        await assert_equal_to_a_replay(workspace)


async def test_an_operator_orders_a_rebuild_while_events_are_applied(workspace: Projected) -> None:
    at, before = workspace.workspace_id, await identities(workspace)
    await rows(workspace, "UPDATE {ws}.runs SET status = 'forged'")
    ordered = await workspace.projector.order_rebuild(at, projection="steps", ordered_by="ada")
    assert set(ordered) == RUNS
    workspace.history.act(10)
    head = await workspace.project()
    assert (await workspace.queries.list(at, "runs"))["as_of"]["position"] == head
    with pytest.raises(RebuildPending):
        await workspace.projector.order_rebuild(at, projection=None, ordered_by="ada")
    rivals = await asyncio.gather(*(workspace.projector.rebuild(at) for _ in range(3)))
    assert rivals.count(None) == 2
    assert await swapped(workspace, before) == RUNS
    await assert_equal_to_a_replay(workspace)


async def test_everything_is_rebuilt_on_demand(workspace: Projected) -> None:
    before = await identities(workspace)
    await workspace.projector.order_rebuild(workspace.workspace_id, projection=None, ordered_by="ada")
    await workspace.projector.rebuild(workspace.workspace_id)
    assert await swapped(workspace, before) == tables().keys()
    await assert_equal_to_a_replay(workspace)


async def test_what_cannot_be_rebuilt_is_refused_by_name(workspace: Projected) -> None:
    with pytest.raises(UnknownProjection, match="metadata"):
        await workspace.projector.order_rebuild(workspace.workspace_id, projection="nonsense", ordered_by="ada")
    with pytest.raises(NothingProjected):
        await workspace.projector.order_rebuild(new_id(), projection=None, ordered_by="ada")
    assert await workspace.projector.ordered() == []
    assert await workspace.projector.rebuild(workspace.workspace_id) is None


async def test_an_event_that_cannot_be_applied_stops_a_rebuild_and_leaves_the_live_tables(workspace: Projected) -> None:
    at, before = workspace.workspace_id, await identities(workspace)
    await workspace.projector.order_rebuild(at, projection="metadata", ordered_by="ada")

    def broken(*_: object) -> None:
        raise ValueError("a bug")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "apply", broken)
        with pytest.raises(ProjectionStopped, match="a bug"):
            await workspace.projector.rebuild(at)
    assert await identities(workspace) == before
    assert await workspace.projector.ordered() == [at]
    await workspace.projector.rebuild(at)
    assert await swapped(workspace, before) == made_by("metadata")
    await assert_equal_to_a_replay(workspace)


async def test_a_reader_that_stays_long_delays_the_swap_and_nothing_else(
    workspace: Projected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "SWAP_LOCK_MILLISECONDS", 20)
    monkeypatch.setattr(rebuild, "SWAP_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(rebuild, "SWAP_ATTEMPTS_MAX", 3)
    at, before = workspace.workspace_id, await identities(workspace)
    await workspace.projector.order_rebuild(at, projection="tags", ordered_by="ada")
    async with workspace.ledger.pool.connection() as connection, connection.transaction():
        await connection.execute(f"SELECT count(*) FROM {schema_of(at)}.tags".encode())
        with pytest.raises(SwapRefused):
            await workspace.projector.rebuild(at)
        workspace.history.act(3)
        await workspace.project()
    assert await identities(workspace) == before
    await workspace.projector.rebuild(at)
    assert await swapped(workspace, before) == {"tags"}
    await assert_equal_to_a_replay(workspace)


async def test_tables_from_before_layouts_were_kept_are_rebuilt(workspace: Projected) -> None:
    await rows(workspace, "DELETE FROM projections.layouts; UPDATE projections.checkpoints SET version = 'older'")
    with pytest.raises(ProjectionOutdated):
        await workspace.queries.list(workspace.workspace_id, "runs")
    workspace.history.act(3)
    head = await workspace.project()
    assert await workspace.projector.rebuild(workspace.workspace_id) == head
    await assert_equal_to_a_replay(workspace)


async def test_a_comparison_is_not_disturbed_by_a_swap(workspace: Projected) -> None:
    at = workspace.workspace_id
    for _ in range(3):
        await workspace.projector.order_rebuild(at, projection=None, ordered_by="ada")
        compared, _ = await asyncio.gather(
            verify(workspace.ledger.pool, workspace.ledger.reader, at), workspace.projector.rebuild(at)
        )
        assert compared.equal, compared.first_difference


async def test_what_a_killed_program_left_behind_is_dropped_unless_somebody_works_on_it(workspace: Projected) -> None:
    await rows(
        workspace, "CREATE SCHEMA {ws}_rebuild; CREATE TABLE {ws}_rebuild.runs (); CREATE SCHEMA {ws}_comparison"
    )
    name = schema_of(workspace.workspace_id)
    async with workspace.ledger.pool.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"{name}_comparison",))
        await workspace.projector.clean()
        left = await rows(workspace, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^ws_'")
        assert {row[0] for row in left} == {name, f"{name}_comparison"}
        await connection.execute("SELECT pg_advisory_unlock_all()")
    await workspace.projector.clean()
    await assert_equal_to_a_replay(workspace)


async def test_orders_of_two_programs_are_one(workspace: Projected) -> None:
    at, before = workspace.workspace_id, await identities(workspace)
    await workspace.projector.order_rebuild(at, projection="tag", ordered_by="ada")
    with program(metadata=2):
        await workspace.projector.claim(at)
        async with workspace.ledger.pool.connection() as connection:
            order = await orders.read_order(connection, at)
        assert order is not None
        assert order.tables == ["metadata", "metric_points", "tags"]
        await workspace.projector.rebuild(at)
        assert await swapped(workspace, before) == {"metadata", "metric_points", "tags"}
