"""The projector on a bad day: races, gaps, poison, crashes half-way, tables of another version, tampered rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from ledger.events.stack import StackUpdated
from projections.compare import verify
from projections.errors import ProjectionBehind, ProjectionGap, ProjectionStopped
from projections.projector import Projector
from projections.schema import schema_of
from tests.support.histories import History
from tests.support.projected import Projected, projected

if TYPE_CHECKING:
    from projections.compare import Comparison
    from tests.support.servers import Database


FORGED_TAG = """
    INSERT INTO {ws}.tags (workspace_id, id, created_position, from_position, name)
    SELECT workspace_id, gen_random_uuid(), 1, 1, 'forged' FROM projections.checkpoints
"""


@pytest.fixture
async def workspace(database: Database) -> AsyncIterator[Projected]:
    async with projected(database.app_dsn) as opened:
        opened.history = History(11).act(40)
        yield opened


async def compare(workspace: Projected) -> Comparison:
    return await verify(workspace.ledger.pool, workspace.ledger.reader, workspace.workspace_id)


async def execute(workspace: Projected, statement: str) -> list[Any]:
    """`{ws}` stands for the workspace's schema."""
    async with workspace.ledger.pool.connection() as connection:
        cursor = await connection.execute(statement.format(ws=schema_of(workspace.workspace_id)).encode())
        return await cursor.fetchall() if cursor.description else []


async def schemas(workspace: Projected) -> set[str]:
    rows = await execute(workspace, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ws\\_%'")
    return {row[0] for row in rows}


async def test_projectors_that_race_apply_each_event_once(workspace: Projected) -> None:
    head = await workspace.record()
    rivals = [Projector(workspace.ledger.pool, workspace.ledger.reader) for _ in range(4)]
    await asyncio.gather(*(rival.start() for rival in rivals))
    reached = await asyncio.gather(*(rival.catch_up(workspace.workspace_id) for rival in rivals))
    assert set(reached) == {head}
    compared = await compare(workspace)
    assert compared.equal, compared.first_difference


async def test_projectors_follow_workspaces_side_by_side(workspace: Projected) -> None:
    others = [workspace.anew(seed) for seed in range(3)]
    for other in others:
        other.history.act(5)
        await other.record()
    await asyncio.gather(*(workspace.projector.catch_up(other.workspace_id) for other in others))
    checkpoints = await workspace.projector.checkpoints()
    for other in others:
        assert checkpoints[other.workspace_id] == (await workspace.ledger.reader.head(other.workspace_id)).position


async def test_a_hole_is_refused(workspace: Projected) -> None:
    await workspace.record()
    events = await workspace.events()
    await workspace.projector.apply(workspace.workspace_id, events[:5])
    with pytest.raises(ProjectionGap) as gap:
        await workspace.projector.apply(workspace.workspace_id, events[7:])
    assert (gap.value.checkpoint, gap.value.first) == (5, 8)
    with pytest.raises(ProjectionGap):
        await workspace.projector.apply(workspace.workspace_id, [*events[5:8], *events[9:]])
    assert await workspace.projector.checkpoint(workspace.workspace_id) == 5


async def test_a_poison_event_stops_its_workspace_and_no_other(workspace: Projected) -> None:
    good = await workspace.record()
    workspace.history.record("stack", uuid4(), StackUpdated(name="nobody registered it"))
    workspace.history.act(3)
    await workspace.record()
    for _ in range(2):
        with pytest.raises(ProjectionStopped, match=r"\(stack.updated\)") as stopped:
            await workspace.projector.catch_up(workspace.workspace_id)
        assert stopped.value.position == good + 1
        assert await workspace.projector.checkpoint(workspace.workspace_id) == good
    assert (await compare(workspace)).equal
    other = workspace.anew(3)
    other.history.act(3)
    assert await other.project() > 0


async def test_a_lost_connection_half_way_leaves_nothing_behind(workspace: Projected) -> None:
    await workspace.record()
    events = await workspace.events()
    await workspace.projector.apply(workspace.workspace_id, events[:10])
    await execute(
        workspace,
        "CREATE FUNCTION {ws}.crash() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';"
        " CREATE TRIGGER crash BEFORE INSERT ON {ws}.events EXECUTE FUNCTION {ws}.crash()",
    )
    with pytest.raises(Exception, match=r"terminat|closed|lost"):
        await workspace.projector.apply(workspace.workspace_id, events[10:])
    await execute(workspace, "DROP TRIGGER crash ON {ws}.events")
    assert await workspace.projector.checkpoint(workspace.workspace_id) == 10
    await workspace.projector.apply(workspace.workspace_id, events[10:])
    assert (await compare(workspace)).equal


async def test_a_comparison_reports_every_table(workspace: Projected) -> None:
    head = await workspace.project()
    compared = await compare(workspace)
    assert compared.equal
    assert (compared.position, compared.events) == (head, head)
    rows = {table.table: table.rows for table in compared.tables}
    assert rows["events"] == head
    assert rows["runs_history"] > 0
    assert all(table.live == table.replayed for table in compared.tables)
    assert await schemas(workspace) == {schema_of(workspace.workspace_id)}


@pytest.mark.parametrize(
    ("statement", "table", "column"),
    [
        ("UPDATE {ws}.runs SET status = 'forged' WHERE created_position > 0", "runs", "status"),
        ("UPDATE {ws}.runs SET parameters = '{{}}'", "runs", "parameters"),
        ("DELETE FROM {ws}.stacks", "stacks", "row"),
        (FORGED_TAG, "tags", "row"),
        ("UPDATE {ws}.runs_history SET status = 'forged'", "runs_history", "status"),
        ("DELETE FROM {ws}.steps_history", "steps_history", "row"),
        ("UPDATE {ws}.events SET actor = 'somebody else'", "events", "actor"),
    ],
)  # fmt: skip
async def test_a_changed_row_is_named(workspace: Projected, statement: str, table: str, column: str) -> None:
    await workspace.project()
    await execute(workspace, statement)
    compared = await compare(workspace)
    assert not compared.equal
    assert compared.first_difference is not None
    assert (compared.first_difference.table, compared.first_difference.column) == (table, column)
    assert compared.first_difference.live != compared.first_difference.replayed


async def test_a_comparison_looks_at_no_more_than_was_asked(workspace: Projected) -> None:
    head = await workspace.project()
    with pytest.raises(ProjectionBehind):
        await verify(workspace.ledger.pool, workspace.ledger.reader, workspace.workspace_id, until=head + 1)
    await execute(workspace, f"UPDATE {{ws}}.events SET actor = 'x' WHERE created_position = {head}")
    until = await verify(workspace.ledger.pool, workspace.ledger.reader, workspace.workspace_id, until=head - 1)
    assert until.equal
    assert not (await compare(workspace)).equal


async def test_a_workspace_without_tables_is_equal_to_nothing(workspace: Projected) -> None:
    compared = await compare(workspace)
    assert (compared.equal, compared.position) == (True, 0)
