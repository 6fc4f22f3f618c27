"""Rollback on a real ledger: everything that can be restored is, in one atomic batch that can itself be rolled back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from commands.command import Command, Rejection
from commands.component import DeleteComponent, RegisterComponent, UpdateComponent
from commands.model import UpdateModel
from commands.model_version import PromoteModelVersion, RegisterModelVersion
from commands.pipeline import RegisterPipeline, UpdatePipeline
from commands.registry import decider
from commands.rejections import NameTaken, NothingToRollBack, PlanOutdated
from commands.rollback_plan import Applied, Plan, RollbackPlanner
from commands.stack import DeleteStack, RegisterStack, UpdateStack
from commands.tagging import AttachTag, DetachTag
from ledger.errors import PositionBeyondHead
from ledger.values import StreamId, new_id
from tests.support.handling import ACTOR, Handling, open_handling
from tests.support.servers import Database


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Handling]:
    async with open_handling(database.app_dsn) as handling:
        for command in BEFORE:
            await handling.accept(command)
        yield handling


@pytest.fixture
def planner(here: Handling) -> RollbackPlanner:
    return RollbackPlanner(here.handler, here.ledger.reader)


def component(name: str, type_: str, **configuration: Any) -> Command:
    return RegisterComponent(name=name, component_type=type_, flavor="local", configuration=configuration)  # type: ignore[arg-type]


def stack(name: str, store: str) -> Command:
    return RegisterStack(name=name, components={"orchestrator": "runner", "artifact_store": store})


BEFORE: list[Command] = [
    component("runner", "orchestrator"),
    component("disk", "artifact_store", path="/disk"),
    component("spare", "artifact_store", path="/spare"),
    stack("prod", "disk"),
    stack("old", "spare"),
    RegisterPipeline(name="digits", description="reads digits"),
    RegisterModelVersion(model="churn"),
    RegisterModelVersion(model="churn"),
    PromoteModelVersion(model_version="churn@1", stage="production"),
    AttachTag(tag="golden", resource_kind="stack", resource="prod"),
]
MISTAKES: list[Command] = [
    component("tape", "artifact_store", path="/tape"),
    UpdateStack(stack="prod", components={"orchestrator": "runner", "artifact_store": "tape"}, description="on tape"),
    DeleteStack(stack="old"),
    DeleteComponent(component="spare"),
    UpdateComponent(component="runner", configuration={"parallelism_max": 9}),
    stack("new", "tape"),
    UpdatePipeline(pipeline="digits", name="letters", description="wrong"),
    PromoteModelVersion(model_version="churn@2", stage="production", force=True),
    UpdateModel(model="churn", license="none"),
    DetachTag(tag="golden", resource_kind="stack", resource="prod"),
    AttachTag(tag="bad", resource_kind="stack", resource="prod"),
]


async def states(here: Handling) -> dict[StreamId, Any]:
    """What every entity that can be rolled back is, and exists."""
    head = await here.position()
    streams = await here.ledger.reader.changed_streams(here.workspace_id, after=0, until=head, limit=1_000)
    found: dict[StreamId, Any] = {}
    for stream_id in streams:
        judge: Any = decider(stream_id.kind)
        state = None
        for recorded in await here.ledger.reader.read_stream(here.workspace_id, stream_id):
            state = judge.evolve(state, recorded.event)
        gone = getattr(state, "deleted", False) or not getattr(state, "attached", True)
        if hasattr(judge, "restore") and not gone:
            found[stream_id] = state
    return found


async def planned(planner: RollbackPlanner, here: Handling, to: int, entities: list[str] | None = None) -> Plan:
    plan = await planner.plan(here.workspace_id, to=to, entities=entities)
    assert isinstance(plan, Plan), plan
    return plan


async def applied(planner: RollbackPlanner, here: Handling, plan: Plan, **changed: Any) -> Applied | Rejection:
    arguments = {"plan_id": plan.plan_id, "reason": "a mistake", "command_id": new_id()} | changed
    return await planner.apply(here.workspace_id, plan=plan, actor=ACTOR, **arguments)


async def test_everything_comes_back_and_the_rollback_can_be_rolled_back(
    here: Handling, planner: RollbackPlanner
) -> None:
    good, good_at = await states(here), await here.position()
    for command in MISTAKES:
        await here.accept(command)
    bad, bad_at = await states(here), await here.position()
    assert bad != good

    plan = await planned(planner, here, good_at)
    assert await here.position() == bad_at, "planning changes nothing"
    answer = await applied(planner, here, plan)
    assert isinstance(answer, Applied), answer
    assert await states(here) == good

    back = await applied(planner, here, await planned(planner, here, bad_at))
    assert isinstance(back, Applied), back
    assert await states(here) == bad


async def test_one_correlation_a_reason_and_the_compensating_events(here: Handling, planner: RollbackPlanner) -> None:
    good_at = await here.position()
    await here.accept(UpdatePipeline(pipeline="digits", description="wrong"))
    before = await here.position()
    answer = await applied(planner, here, await planned(planner, here, good_at), reason="wrong text")
    assert isinstance(answer, Applied)
    events = await here.ledger.reader.read(here.workspace_id, after=before)
    assert [event.type for event in events] == ["rollback.applied", "pipeline.updated"]
    assert len({event.correlation_id for event in events}) == 1
    assert events[0].event.reason == "wrong text"  # type: ignore[attr-defined]


async def test_only_the_named_entities_are_touched(here: Handling, planner: RollbackPlanner) -> None:
    good_at = await here.position()
    await here.accept(UpdatePipeline(pipeline="digits", description="wrong"))
    await here.accept(UpdateModel(model="churn", license="none"))
    plan = await planned(planner, here, good_at, ["pipeline/digits"])
    assert [entity.entity.partition("/")[0] for entity in plan.entities] == ["pipeline"]
    assert [change.field for change in plan.entities[0].changes] == ["description"]


async def test_a_plan_that_no_longer_fits_is_refused(here: Handling, planner: RollbackPlanner) -> None:
    good_at = await here.position()
    await here.accept(UpdatePipeline(pipeline="digits", description="wrong"))
    approved = await planned(planner, here, good_at)
    await here.accept(UpdatePipeline(pipeline="digits", description="wrong again"))
    moved = await here.position()
    answer = await applied(planner, here, await planned(planner, here, good_at), plan_id=approved.plan_id)
    assert isinstance(answer, PlanOutdated)
    assert await here.position() == moved


async def test_a_repeated_application_acts_once(here: Handling, planner: RollbackPlanner) -> None:
    good_at = await here.position()
    await here.accept(UpdatePipeline(pipeline="digits", description="wrong"))
    plan, command_id = await planned(planner, here, good_at), new_id()
    first = await applied(planner, here, plan, command_id=command_id)
    head = await here.position()
    again = await applied(planner, here, await planned(planner, here, good_at), command_id=command_id)
    assert isinstance(first, Applied)
    assert isinstance(again, Applied)
    assert again.id == first.id
    assert await here.position() == head


async def test_nothing_to_roll_back_and_the_future(here: Handling, planner: RollbackPlanner) -> None:
    head = await here.position()
    assert isinstance(await applied(planner, here, await planned(planner, here, head)), NothingToRollBack)
    with pytest.raises(PositionBeyondHead):
        await planner.plan(here.workspace_id, to=head + 1, entities=None)


async def test_what_cannot_be_undone_is_named_with_the_reason(here: Handling, planner: RollbackPlanner) -> None:
    good_at = await here.position()
    await here.accept(RegisterModelVersion(model="churn"))
    from commands.metadata import LogMetadata

    await here.accept(LogMetadata(resource_kind="model_version", resource="churn@1", values={"auc": 0.9}))
    plan = await planned(planner, here, good_at)
    assert [item.entity.partition("/")[0] for item in plan.not_undone] == ["metadata"]
    assert "newest wins" in plan.not_undone[0].reason


async def test_a_name_that_was_given_away_comes_back(here: Handling, planner: RollbackPlanner) -> None:
    good, good_at = await states(here), await here.position()
    await here.accept(UpdatePipeline(pipeline="digits", name="letters"))
    await here.accept(RegisterPipeline(name="digits"))
    answer = await applied(planner, here, await planned(planner, here, good_at))
    assert isinstance(answer, Applied), answer
    assert await states(here) == good


async def test_two_names_that_were_swapped_are_swapped_back(here: Handling, planner: RollbackPlanner) -> None:
    await here.accept(RegisterPipeline(name="letters"))
    good, good_at = await states(here), await here.position()
    for old, new in (("digits", "aside"), ("letters", "digits"), ("aside", "letters")):
        await here.accept(UpdatePipeline(pipeline=old, name=new))
    answer = await applied(planner, here, await planned(planner, here, good_at))
    assert isinstance(answer, Applied), answer
    assert await states(here) == good


async def test_a_name_that_somebody_else_has_now_is_not_taken_back(here: Handling, planner: RollbackPlanner) -> None:
    made, good_at = await here.accept(RegisterPipeline(name="first")), await here.position()
    await here.accept(UpdatePipeline(pipeline="first", name="second"))
    await here.accept(RegisterPipeline(name="first"))
    head = await here.position()
    answer = await applied(planner, here, await planned(planner, here, good_at, [f"pipeline/{made.id}"]))
    assert isinstance(answer, NameTaken)
    assert await here.position() == head
