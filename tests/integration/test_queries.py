"""Questions to real tables: references, moments, waiting, history, differences, lineage and events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from ledger.errors import PositionBeyondHead
from ledger.events.artifact import ArtifactRegistered
from ledger.events.artifact_version import ArtifactVersionRegistered
from ledger.events.model import ModelRegistered
from ledger.events.model_version import ModelVersionPromoted, ModelVersionRegistered
from ledger.events.pipeline import PipelineRegistered
from ledger.events.run import (
    RunCompleted,
    RunCreated,
    RunStarted,
    RunStepsPlanned,
    StepCompleted,
    StepPlan,
    StepStarted,
)
from ledger.events.stack import StackDeleted, StackRegistered, StackUpdated
from projections.errors import (
    AmbiguousReference,
    EntityNotFound,
    InvalidCursor,
    InvalidFilter,
    InvalidMoment,
    ProjectionBehind,
    UnknownField,
    UnknownTable,
)
from projections.query import CHILDREN_MAX, When
from tests.support.histories import History
from tests.support.projected import Projected, projected

if TYPE_CHECKING:
    from tests.support.servers import Database


@pytest.fixture
async def workspace(database: Database) -> AsyncIterator[Projected]:
    async with projected(database.app_dsn) as opened:
        yield opened


async def stack(workspace: Projected, name: str = "prod") -> UUID:
    id_ = workspace.history.new("stack", StackRegistered(name=name, components={}))
    await workspace.project()
    return id_


async def finished_run(workspace: Projected, name: str = "run-1", steps: tuple[str, ...] = ("load", "train")) -> UUID:
    """A run whose every step reads the artifact version that the one before it wrote."""
    history = workspace.history
    pipeline = history.new("pipeline", PipelineRegistered(name=f"pipeline of {name}"))
    on = history.new("stack", StackRegistered(name=f"stack of {name}", components={}))
    created = RunCreated(name=name, snapshot_id=uuid4(), pipeline_id=pipeline, stack_id=on, step_count=len(steps))
    run = history.new("run", created)
    history.record("run", run, RunStepsPlanned(steps=tuple(map(StepPlan, steps))))
    history.record("run", run, RunStarted())
    artifact = history.new("artifact", ArtifactRegistered(name=f"data of {name}"))
    inputs: dict[str, UUID] = {}
    for number, step in enumerate(steps, start=1):
        history.record("run", run, StepStarted(step=step, attempt=1, inputs=inputs))
        version = history.new("artifact_version", artifact_version(artifact, number, run))
        history.record("run", run, StepCompleted(step=step, attempt=1, outputs={"output": version}))
        inputs = {"previous": version}
    history.record("run", run, RunCompleted())
    await workspace.project()
    return run


def artifact_version(artifact: UUID, number: int, run: UUID) -> ArtifactVersionRegistered:
    return ArtifactVersionRegistered(
        artifact_id=artifact,
        number=number,
        uri=f"/data/{number}",
        artifact_type="DataArtifact",
        data_type="int",
        materializer="Json",
        content_hash=f"sha256:{number:064x}",
        size_bytes=1,
        save_type="step_output",
        run_id=run,
    )


def names(answer: dict[str, Any]) -> list[str]:
    return [item["name"] for item in answer["items"]]


async def test_an_empty_workspace_answers_with_nothing(workspace: Projected) -> None:
    queries, nowhere = workspace.queries, uuid4()
    answer = await queries.list(nowhere, "runs", count=True)
    assert answer == {"items": [], "next": None, "total": 0, "as_of": {"position": 0, "time": None}}
    assert (await queries.counts(nowhere, "runs", by="status"))["counts"] == {}
    assert (await queries.events(nowhere))["items"] == []
    assert (await queries.diff(nowhere, before="0"))["items"] == []
    with pytest.raises(EntityNotFound):
        await queries.history(nowhere, "runs", str(uuid4()))


async def test_workspaces_do_not_see_each_other(workspace: Projected) -> None:
    id_ = await stack(workspace)
    other = workspace.anew(1)
    await stack(other, "other")
    assert names(await workspace.queries.list(other.workspace_id, "stacks")) == ["other"]
    with pytest.raises(EntityNotFound):
        await workspace.queries.get(other.workspace_id, "stacks", str(id_))


async def test_an_entity_is_found_by_name_id_and_prefix(workspace: Projected) -> None:
    id_ = await stack(workspace)
    for ref in ("prod", str(id_), id_.hex, str(id_)[:8], str(id_)[:13], id_.hex[:20].upper()):
        assert (await workspace.queries.get(workspace.workspace_id, "stacks", ref))["id"] == id_
    with pytest.raises(EntityNotFound) as missing:
        await workspace.queries.get(workspace.workspace_id, "stacks", "prof")
    assert missing.value.suggestions == ["prod"]
    with pytest.raises(EntityNotFound):
        await workspace.queries.get(workspace.workspace_id, "stacks", id_.hex[:7])


async def test_an_ambiguous_reference_names_what_it_could_mean(workspace: Projected) -> None:
    first, second = (UUID(int=0xABCDEF12 << 96 | n) for n in (1, 2))
    for id_ in (first, second):
        workspace.history.record("stack", id_, StackRegistered(name=f"stack {id_.int & 3}", components={}))
    await workspace.project()
    with pytest.raises(AmbiguousReference) as ambiguous:
        await workspace.queries.get(workspace.workspace_id, "stacks", "abcdef12")
    assert set(ambiguous.value.matches) == {first, second}


async def test_versions_are_found_by_number_latest_and_stage(workspace: Projected) -> None:
    model = workspace.history.new("model", ModelRegistered(name="churn"))
    versions = [
        workspace.history.new("model_version", ModelVersionRegistered(model_id=model, number=number))
        for number in (1, 2, 3)
    ]
    promoted = ModelVersionPromoted(stage="production", previous_stage="none")
    workspace.history.record("model_version", versions[1], promoted)
    await workspace.project()
    for ref, id_ in (("churn@1", versions[0]), ("churn@latest", versions[2]), (f"{model}@production", versions[1])):
        assert await workspace.queries.resolve(workspace.workspace_id, "model_versions", ref) == id_
    for ref in ("churn@9", "churn@staging", "other@1", "churn@"):
        with pytest.raises(EntityNotFound):
            await workspace.queries.resolve(workspace.workspace_id, "model_versions", ref)
    shown = await workspace.queries.get(workspace.workspace_id, "models", "churn")
    assert shown["production_version_number"] == 2
    assert shown["model_versions"]["total"] == 3


async def test_a_run_shows_its_steps_in_order(workspace: Projected) -> None:
    steps = tuple(f"step-{n:03}" for n in range(CHILDREN_MAX + 5))
    await finished_run(workspace, steps=steps)
    shown = await workspace.queries.get(workspace.workspace_id, "runs", "run-1")
    assert names(shown["steps"]) == list(steps[:CHILDREN_MAX])
    assert shown["steps"]["total"] == CHILDREN_MAX + 5
    assert shown["version"] == 2 + 1 + 2 * len(steps) + 1


async def test_the_past_is_asked_by_position_and_by_time(workspace: Projected) -> None:
    id_ = await stack(workspace)
    first = await workspace.queries.get(workspace.workspace_id, "stacks", "prod")
    workspace.history.record("stack", id_, StackUpdated(name="production"))
    await workspace.project()
    time = first["as_of"]["time"].isoformat()
    for moment in ("1", time):
        then = await workspace.queries.get(workspace.workspace_id, "stacks", "prod", when=When(moment))
        assert then["name"] == "prod"
        assert then["as_of"] == {"position": 1, "time": first["as_of"]["time"]}
        with pytest.raises(EntityNotFound):
            await workspace.queries.get(workspace.workspace_id, "stacks", "production", when=When(moment))
    with pytest.raises(EntityNotFound):
        await workspace.queries.get(workspace.workspace_id, "stacks", "prod")


@pytest.mark.parametrize("moment", ["yesterday", "", "-1", "2026-01-01", "2026-01-01T00:00:00", "1.5", "9" * 30])
async def test_what_is_no_moment_is_refused(workspace: Projected, moment: str) -> None:
    with pytest.raises(InvalidMoment):
        await workspace.queries.list(workspace.workspace_id, "stacks", when=When(moment))


async def test_the_future_is_refused(workspace: Projected) -> None:
    await stack(workspace)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for moment in ("2", tomorrow.isoformat()):
        with pytest.raises(PositionBeyondHead):
            await workspace.queries.list(workspace.workspace_id, "stacks", when=When(moment))


async def test_a_query_waits_for_the_position_that_it_needs(workspace: Projected) -> None:
    await stack(workspace)
    workspace.history.new("stack", StackRegistered(name="second", components={}))
    head = await workspace.record()
    for when in (When(min_position=head), When(as_of=str(head))):
        with pytest.raises(ProjectionBehind):
            await workspace.queries.list(workspace.workspace_id, "stacks", when=when)
    waiting = asyncio.create_task(
        workspace.queries.list(workspace.workspace_id, "stacks", when=When(min_position=head))
    )
    await workspace.projector.catch_up(workspace.workspace_id)
    assert names(await waiting) == ["second", "prod"]


async def test_a_deleted_entity_is_gone_but_not_forgotten(workspace: Projected) -> None:
    id_ = await stack(workspace)
    workspace.history.record("stack", id_, StackDeleted())
    await workspace.project()
    for ref in ("prod", str(id_)):
        with pytest.raises(EntityNotFound):
            await workspace.queries.get(workspace.workspace_id, "stacks", ref)
        history = await workspace.queries.history(workspace.workspace_id, "stacks", ref)
        assert [item["types"] for item in history["items"]] == [["stack.deleted"], ["stack.registered"]]
        assert history["items"][0]["changes"] == [{"field": "deleted", "from": False, "to": True}]
    assert (await workspace.queries.list(workspace.workspace_id, "stacks", count=True))["total"] == 0
    assert names(await workspace.queries.list(workspace.workspace_id, "stacks", when=When("1"))) == ["prod"]


async def test_fields_are_chosen_and_bad_questions_refused(workspace: Projected) -> None:
    await stack(workspace)
    queries, id_ = workspace.queries, workspace.workspace_id
    answer = await queries.list(id_, "stacks", fields=["name", "version"])
    assert answer["items"] == [{"name": "prod", "version": 1}]
    with pytest.raises(UnknownTable):
        await queries.list(id_, "stack")
    with pytest.raises(UnknownField):
        await queries.list(id_, "stacks", fields=["colour"])
    with pytest.raises(UnknownField):
        await queries.list(id_, "stacks", filters=[("colour", "red")])
    with pytest.raises(InvalidCursor):
        await queries.list(id_, "stacks", cursor="nonsense")
    with pytest.raises(InvalidFilter):
        await queries.counts(id_, "stacks", by="components")


async def test_history_tells_who_changed_what(workspace: Projected) -> None:
    id_ = await stack(workspace)
    for name in ("b", "c"):
        workspace.history.record("stack", id_, StackUpdated(name=name))
    await workspace.project()
    first = await workspace.queries.history(workspace.workspace_id, "stacks", "c", limit=2)
    assert [item["changes"] for item in first["items"]] == [
        [{"field": "name", "from": "b", "to": "c"}],
        [{"field": "name", "from": "prod", "to": "b"}],
    ]
    rest = await workspace.queries.history(workspace.workspace_id, "stacks", "c", limit=2, cursor=first["next"])
    assert rest["next"] is None
    assert rest["items"][0]["changes"] == [{"field": "name", "from": None, "to": "prod"}]
    events = await workspace.events()
    assert [item["actor"] for item in (*first["items"], *rest["items"])] == [event.actor for event in reversed(events)]
    assert first["items"][0]["command_id"] == events[-1].command_id
    past = await workspace.queries.history(workspace.workspace_id, "stacks", "b", when=When("2"))
    assert len(past["items"]) == 2


async def test_a_difference_names_what_came_changed_and_went(workspace: Projected) -> None:
    kept, gone = await stack(workspace, "kept"), await stack(workspace, "gone")
    workspace.history.record("stack", kept, StackUpdated(name="renamed"))
    workspace.history.record("stack", gone, StackDeleted())
    new = workspace.history.new("stack", StackRegistered(name="new", components={}))
    short = workspace.history.new("stack", StackRegistered(name="short-lived", components={}))
    workspace.history.record("stack", short, StackDeleted())
    head = await workspace.project()
    found = await workspace.queries.diff(workspace.workspace_id, before="2")
    assert {(item["id"], item["change"]) for item in found["items"]} == {
        (kept, "changed"),
        (gone, "deleted"),
        (new, "created"),
    }
    changed = next(item for item in found["items"] if item["change"] == "changed")
    assert changed["changes"] == [{"field": "name", "from": "kept", "to": "renamed"}]
    assert (found["from"]["position"], found["to"]["position"]) == (2, head)
    assert (await workspace.queries.diff(workspace.workspace_id, before="0", after="0"))["items"] == []
    with pytest.raises(InvalidFilter):
        await workspace.queries.diff(workspace.workspace_id, before="3", after="2")


async def test_a_difference_is_paged_without_losing_anything(workspace: Projected) -> None:
    workspace.history = History(5).act(30)
    await workspace.project()
    whole = await workspace.queries.diff(workspace.workspace_id, before="10", limit=1000)
    assert whole["next"] is None
    paged, cursor = [], None
    while True:
        page = await workspace.queries.diff(workspace.workspace_id, before="10", limit=3, cursor=cursor)
        paged += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == whole["items"]
    kinds = {item["kind"] for item in whole["items"]}
    for kind in kinds:
        of_kind = await workspace.queries.diff(workspace.workspace_id, before="10", kind=kind, limit=1000)
        assert of_kind["items"] == [item for item in whole["items"] if item["kind"] == kind]


async def test_lineage_goes_up_down_and_as_far_as_asked(workspace: Projected) -> None:
    await finished_run(workspace, steps=("load", "clean", "train", "evaluate"))
    queries, id_, middle = workspace.queries, workspace.workspace_id, "data of run-1@2"
    up = await queries.lineage(id_, middle, direction="up")
    assert {node["name"] for node in up["nodes"]} == {"data of run-1@2", "data of run-1@1", "load", "clean"}
    down = await queries.lineage(id_, middle, direction="down")
    assert {node["name"] for node in down["nodes"] if node["type"] == "step"} == {"train", "evaluate"}
    both = await queries.lineage(id_, middle)
    assert (len(both["nodes"]), len(both["edges"]), both["truncated"]) == (8, 7, False)
    near = await queries.lineage(id_, middle, direction="down", depth=1)
    assert {node["name"] for node in near["nodes"]} == {"data of run-1@2", "train", "data of run-1@3"}
    assert near["truncated"]
    before = await queries.lineage(id_, "data of run-1@1", when=When("9"))
    assert {node["name"] for node in before["nodes"]} == {"data of run-1@1", "load"}
    with pytest.raises(InvalidFilter):
        await queries.lineage(id_, middle, direction="sideways")


async def test_events_are_searched_by_who_what_and_when(workspace: Projected) -> None:
    run = await finished_run(workspace)
    id_ = await stack(workspace)
    queries, at = workspace.queries, workspace.workspace_id
    of_run = await queries.events(at, entity="run/run-1", limit=1000)
    assert {item["stream"] for item in of_run["items"]} == {f"run/{run}"}
    assert len(of_run["items"]) == 8
    assert of_run["items"][0]["entity_name"] == "run-1"
    steps = await queries.events(at, type="step.*")
    assert {item["type"] for item in steps["items"]} == {"step.started", "step.completed"}
    (registered,) = (await queries.events(at, type="stack.registered", entity=f"stack/{id_}"))["items"]
    assert registered["data"].name == "prod"
    position = registered["position"]
    assert (await queries.event(at, position))["event_id"] == registered["event_id"]
    since = await queries.events(at, since=str(position))
    until = await queries.events(at, until=str(position - 1), limit=1000)
    assert [item["position"] for item in since["items"]] == [position]
    assert [item["position"] for item in until["items"]] == list(range(position - 1, 0, -1))
    by = registered["actor"]
    assert {item["actor"] for item in (await queries.events(at, actor=by))["items"]} == {by}
    with pytest.raises(EntityNotFound):
        await queries.event(at, position + 1)
    with pytest.raises(InvalidFilter):
        await queries.events(at, entity="run-1")


async def test_events_are_paged(workspace: Projected) -> None:
    workspace.history = History(5).act(20)
    head = await workspace.project()
    positions, cursor = [], None
    while True:
        page = await workspace.queries.events(workspace.workspace_id, limit=7, cursor=cursor)
        positions += [item["position"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert positions == list(range(head, 0, -1))
