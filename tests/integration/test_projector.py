"""The projector program: fair to every workspace, loud about what it cannot apply, and at work in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from ledger.events.pipeline import PipelineRegistered
from ledger.events.stack import StackUpdated
from ledger.postgres.wake import Waker
from ledger.values import StreamId, new_id
from projections import metadata, projector, stacks
from projections.compare import verify
from projections.stops import read_stops
from runners import turns
from tests.support.histories import History
from tests.support.ledgers import unit
from tests.support.programs import program
from tests.support.projected import Projected, projected
from tests.support.projecting import projecting, until
from tests.support.servers import Database

FLOOD = 30_000
EVENTS_PER_APPEND = 1_000


@pytest.fixture
async def workspace(database: Database) -> AsyncIterator[Projected]:
    waker = Waker(database.app_dsn)
    await waker.start()
    async with projected(database.app_dsn, observers=(waker,)) as opened:
        opened.history = History(11).act(40)
        yield opened
    await waker.stop()


async def flood(workspace: Projected, workspace_id: UUID, count: int) -> int:
    head = 0
    for _ in range(0, count, EVENTS_PER_APPEND):
        events = [(StreamId("pipeline", new_id()), PipelineRegistered(name="x")) for _ in range(EVENTS_PER_APPEND)]
        head = (await workspace.ledger.appender.append(unit(workspace_id, *events))).head
    return head


async def reached(workspace: Projected, workspace_id: UUID, position: int) -> None:
    async def is_there() -> bool:
        return await workspace.projector.checkpoint(workspace_id) >= position

    await until(is_there)


async def assert_equal_to_a_replay(workspace: Projected) -> None:
    compared = await verify(workspace.ledger.pool, workspace.ledger.reader, workspace.workspace_id)
    assert compared.equal, compared.first_difference


async def test_a_flood_in_one_workspace_does_not_delay_another(workspace: Projected, database: Database) -> None:
    flooded, quiet = new_id(), workspace.anew(1)
    start = await flood(workspace, flooded, EVENTS_PER_APPEND)
    await workspace.projector.catch_up(flooded)
    head = await flood(workspace, flooded, FLOOD)
    overtaken_by = []
    async with projecting(database):
        await reached(workspace, flooded, start + 1)
        for _ in range(5):
            quiet.history.act(1)
            position = await quiet.record()
            before = await workspace.projector.checkpoint(flooded)
            await reached(workspace, quiet.workspace_id, position)
            overtaken_by.append(await workspace.projector.checkpoint(flooded) - before)
        assert await workspace.projector.checkpoint(flooded) < head, (
            "the flood was over before the quiet one was served"
        )
        # A few batches of the flood go by until a quiet workspace's event is visible, not all of it.
        assert sorted(overtaken_by)[2] <= 10 * turns.EVENTS_PER_TURN_MAX, overtaken_by
        await reached(workspace, flooded, head)


async def test_what_is_behind_is_not_kept_in_memory(workspace: Projected, database: Database) -> None:
    class Following:
        def __init__(self) -> None:
            self.paused: set[UUID] = set()

        def pause(self, workspace_id: UUID) -> None:
            self.paused.add(workspace_id)

        def resume(self, workspace_id: UUID, position: int) -> None:  # noqa: ARG002 - the protocol
            self.paused.remove(workspace_id)

    following = Following()
    sharing = turns.Turns(workspace.projector, workspace.ledger.reader, following)
    head = await flood(workspace, workspace.workspace_id, 2_000)
    events = await workspace.events()
    for first in range(0, head, 200):
        sharing.offer(events[first : first + 200])
    assert sharing._waiting == 0
    assert following.paused == {workspace.workspace_id}
    hand = asyncio.create_task(sharing.work())
    await reached(workspace, workspace.workspace_id, head)

    async def is_resumed() -> bool:
        return not following.paused

    await until(is_resumed)
    hand.cancel()
    await asyncio.gather(hand, return_exceptions=True)


async def test_a_poison_event_is_reported_tried_again_and_gone_past_when_it_can_be_applied(
    workspace: Projected, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "REST_SECONDS", 0.02)
    good = await workspace.record()
    poison = new_id()
    workspace.history.record("stack", poison, StackUpdated(name="nobody registered it"))
    workspace.history.act(3)
    head = await workspace.record()
    other = workspace.anew(3)
    other.history.act(3)

    async def tried(times: int) -> bool:
        stops = await read_stops(workspace.ledger.pool, workspace.workspace_id)
        return bool(stops) and stops[0].attempts >= times

    async with projecting(database):
        await until(lambda: tried(3))
        (stop,) = await read_stops(workspace.ledger.pool, workspace.workspace_id)
        assert (stop.position, stop.type, stop.rebuilding) == (good + 1, "stack.updated", False)
        assert "stacks has no row" in stop.cause
        assert not stop.is_over(await workspace.projector.checkpoint(workspace.workspace_id))
        assert await workspace.projector.checkpoint(workspace.workspace_id) == good
        await reached(workspace, other.workspace_id, await other.record())
        apply = stacks.apply
        monkeypatch.setattr(
            stacks, "apply", lambda rows, event: apply(rows, event) if event.stream.id != poison else None
        )
        await reached(workspace, workspace.workspace_id, head)

        async def is_told() -> bool:
            (stop,) = await read_stops(workspace.ledger.pool, workspace.workspace_id)
            return stop.recovered_at is not None

        await until(is_told)
        await assert_equal_to_a_replay(workspace)


async def test_a_recovery_is_told_also_after_a_restart(workspace: Projected, database: Database) -> None:
    poison = new_id()
    workspace.history.record("stack", poison, StackUpdated(name="nobody registered it"))
    head = await workspace.record()

    async def is_told(*, recovered: bool) -> bool:
        stops = await read_stops(workspace.ledger.pool, workspace.workspace_id)
        return bool(stops) and (stops[0].recovered_at is not None) == recovered

    async with projecting(database):
        await until(lambda: is_told(recovered=False))
    with pytest.MonkeyPatch.context() as patch:
        apply = stacks.apply
        patch.setattr(stacks, "apply", lambda rows, event: apply(rows, event) if event.stream.id != poison else None)
        async with projecting(database):
            await reached(workspace, workspace.workspace_id, head)
            await until(lambda: is_told(recovered=True))


async def test_a_new_version_is_found_at_the_start_and_rebuilt_while_events_are_applied(
    workspace: Projected, database: Database
) -> None:
    await workspace.project()
    with program(metadata=2):
        async with projecting(database):

            async def is_rebuilt() -> bool:
                workspace.history.act(1)
                head = await workspace.record()
                await reached(workspace, workspace.workspace_id, head)
                return not (await workspace.projector.of_other_versions() or await workspace.projector.ordered())

            await until(is_rebuilt)
            await assert_equal_to_a_replay(workspace)


async def test_an_older_program_beside_a_newer_one_leaves_the_workspace_alone(
    workspace: Projected, database: Database
) -> None:
    await workspace.project()
    with program(metadata=2):
        await workspace.projector.claim(workspace.workspace_id)
        await workspace.projector.rebuild(workspace.workspace_id)
    before = await workspace.projector.checkpoint(workspace.workspace_id)
    other = workspace.anew(5)
    async with projecting(database):
        workspace.history.act(5)
        await workspace.record()
        other.history.act(5)
        await reached(workspace, other.workspace_id, await other.record())
        assert await workspace.projector.checkpoint(workspace.workspace_id) == before
    with program(metadata=2):
        await workspace.projector.catch_up(workspace.workspace_id)
        await assert_equal_to_a_replay(workspace)


async def test_a_rebuild_that_meets_a_poison_event_is_reported_and_tried_again(
    workspace: Projected, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "REST_SECONDS", 0.02)
    await workspace.project()
    await workspace.projector.order_rebuild(workspace.workspace_id, projection="metadata", ordered_by="ada")

    async def is_told(*, recovered: bool) -> bool:
        stops = await read_stops(workspace.ledger.pool, workspace.workspace_id)
        return bool(stops) and stops[0].rebuilding and (stops[0].recovered_at is not None) == recovered

    def broken(*_: object) -> None:
        raise ValueError("a bug")

    async with projecting(database):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metadata, "apply", broken)
            await until(lambda: is_told(recovered=False))
        await until(lambda: is_told(recovered=True))
        await assert_equal_to_a_replay(workspace)


async def test_a_long_history_without_tables_is_built_in_the_background(
    workspace: Projected, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "EVENTS_TO_CATCH_UP_MAX", 100)
    workspace.history.act(40)
    head = await workspace.record()
    assert head > 100
    async with projecting(database):

        async def is_built() -> bool:
            done = await workspace.projector.checkpoint(workspace.workspace_id) >= head
            return done and not await workspace.projector.ordered()

        await until(is_built)
        workspace.history.act(5)
        await reached(workspace, workspace.workspace_id, await workspace.record())
        await assert_equal_to_a_replay(workspace)
