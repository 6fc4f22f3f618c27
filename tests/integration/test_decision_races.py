"""What deciders promise across entities, while two processes decide at once on a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from commands.artifact_version import RegisterArtifactVersion
from commands.component import DeleteComponent, RegisterComponent
from commands.metadata import LogMetadata
from commands.model_version import PromoteModelVersion, RegisterModelVersion
from commands.pipeline import DeletePipeline, RegisterPipeline, UpdatePipeline
from commands.rejections import NameTaken
from commands.run_commands import CompleteRun, CompleteStep, CreateRun, StartRun, StartStep
from commands.snapshot import CreateSnapshot
from commands.snapshot_steps import Step
from commands.stack import RegisterStack
from commands.submission import Receipt
from commands.tagging import AttachTag
from ledger.events.artifact_version import ArtifactVersionRegistered
from ledger.values import StreamId, new_id
from tests.support.handling import Handling, open_handling
from tests.support.servers import Database

HEX = "0" * 64
RACERS = 12


@pytest.fixture
async def processes(database: Database) -> AsyncIterator[tuple[Handling, Handling]]:
    """Two processes that serve the same workspace."""
    async with open_handling(database.app_dsn) as one, open_handling(database.app_dsn, one.workspace_id) as two:
        yield one, two


async def a_stack(here: Handling) -> None:
    await here.accept(RegisterComponent(name="local", component_type="orchestrator", flavor="local"))
    store = {"path": "/data"}
    await here.accept(
        RegisterComponent(name="store", component_type="artifact_store", flavor="local", configuration=store)
    )
    await here.accept(RegisterStack(name="s", components={"orchestrator": "local", "artifact_store": "store"}))


def a_version(artifact: str = "digits") -> RegisterArtifactVersion:
    return RegisterArtifactVersion(
        artifact=artifact,
        uri="/data",
        artifact_type="DataArtifact",
        data_type="builtins.int",
        materializer="m",
        content_hash=f"sha256:{HEX}",
        size_bytes=1,
        save_type="manual",
    )


async def a_run(here: Handling, *steps: str) -> str:
    definitions = tuple(Step(name=step, source="m.f", code_digest=HEX) for step in steps)
    snapshot = await here.accept(CreateSnapshot(pipeline="p", digest=HEX, steps=definitions))
    run = await here.accept(CreateRun(name="r", snapshot=str(snapshot.id), stack="s"))
    await here.accept(StartRun(run=str(run.id)))
    return str(run.id)


async def test_a_whole_run(processes: tuple[Handling, Handling]) -> None:
    here, there = processes
    await a_stack(here)
    run = await a_run(here, "load")
    await there.accept(StartStep(run=run, step="load", attempt=1))
    version = await there.accept(a_version())
    await here.accept(CompleteStep(run=run, step="load", attempt=1, outputs={"data": str(version.id)}))
    await there.accept(AttachTag(tag="golden", resource_kind="run", resource=run))
    done = await there.accept(CompleteRun(run=run))
    assert [event.type for event in done.events] == ["run.completed"]


async def test_clients_that_compile_the_same_pipeline_at_once_make_one(processes: tuple[Handling, Handling]) -> None:
    command = CreateSnapshot(pipeline="p", digest=HEX, steps=(Step(name="load", source="m.f", code_digest=HEX),))
    receipts = await asyncio.gather(*(process.accept(command) for process in processes * (RACERS // 2)))
    assert len({receipt.id for receipt in receipts}) == 1
    assert await processes[0].position() == len(["pipeline.registered", "snapshot.created", "snapshot.steps_defined"])


async def test_numbers_have_no_gap_and_no_twin(processes: tuple[Handling, Handling]) -> None:
    here, _ = processes
    receipts = await asyncio.gather(*(process.accept(a_version()) for process in processes * (RACERS // 2)))
    numbers = []
    for receipt in receipts:
        stream = StreamId("artifact_version", receipt.id)
        [recorded] = await here.ledger.reader.read_stream(here.workspace_id, stream)
        assert isinstance(recorded.event, ArtifactVersionRegistered)
        numbers.append(recorded.event.number)
    assert sorted(numbers) == list(range(1, RACERS + 1))


async def test_one_version_gets_production(processes: tuple[Handling, Handling]) -> None:
    here, _ = processes
    for _ in range(RACERS):
        await here.accept(RegisterModelVersion(model="churn"))
    answers = await asyncio.gather(
        *(
            processes[number % 2].answer(PromoteModelVersion(model_version=f"churn@{number}", stage="production"))
            for number in range(1, RACERS + 1)
        )
    )
    assert sorted("ok" if isinstance(answer, Receipt) else answer.code for answer in answers) == [
        "ok",
        *["stage_taken"] * (RACERS - 1),
    ]


async def test_a_component_is_deleted_or_used_never_both(processes: tuple[Handling, Handling]) -> None:
    here, there = processes
    await a_stack(here)
    await here.accept(RegisterComponent(name="other", component_type="orchestrator", flavor="local"))
    stack = RegisterStack(name="t", components={"orchestrator": "other", "artifact_store": "store"})
    used, deleted = await asyncio.gather(here.answer(stack), there.answer(DeleteComponent(component="other")))
    assert isinstance(used, Receipt) != isinstance(deleted, Receipt)


async def test_logging_does_not_contend_with_the_steps_of_the_run(processes: tuple[Handling, Handling]) -> None:
    here, there = processes
    await a_stack(here)
    steps = [f"s{number}" for number in range(RACERS)]
    run = await a_run(here, *steps)
    logs = [LogMetadata(resource_kind="run", resource=run, values={"loss": n}, step_index=n) for n in range(50)]
    starts = [StartStep(run=run, step=step, attempt=1) for step in steps]
    await asyncio.gather(*(here.accept(start) for start in starts), *(there.accept(log) for log in logs))


async def test_a_name_is_not_taken_while_its_holder_changes_in_the_same_batch(
    processes: tuple[Handling, Handling],
) -> None:
    """The first attempt looks at no claim: all that it knows of the holder is that it keeps what it had."""
    here, _ = processes
    made = await here.accept(RegisterPipeline(name="digits"))
    change = UpdatePipeline(pipeline=str(made.id), description="d")
    twin, changed = await here.batch(RegisterPipeline(name="digits"), change, atomic=False)
    assert isinstance(twin, NameTaken)
    assert isinstance(changed, Receipt)


async def test_a_name_is_not_taken_before_its_holder_gives_it_up_in_the_same_batch(
    processes: tuple[Handling, Handling],
) -> None:
    """In the end each name has one holder; at the position in between, two would have it."""
    here, _ = processes
    made = await here.accept(RegisterPipeline(name="digits"))
    early, deleted = await here.batch(
        RegisterPipeline(name="digits"), DeletePipeline(pipeline=str(made.id)), atomic=False
    )
    assert isinstance(early, NameTaken)
    assert isinstance(deleted, Receipt)


async def test_a_name_that_is_held_is_not_taken_for_a_moment(processes: tuple[Handling, Handling]) -> None:
    here, _ = processes
    await here.accept(RegisterPipeline(name="digits"))
    passing = new_id()
    taken, _ = await here.batch(
        RegisterPipeline(id=passing, name="digits"), UpdatePipeline(pipeline=str(passing), name="other"), atomic=False
    )
    assert isinstance(taken, NameTaken)


async def test_a_free_name_can_be_taken_for_a_moment(processes: tuple[Handling, Handling]) -> None:
    here, there = processes
    passing = new_id()
    answers = await here.batch(
        RegisterPipeline(id=passing, name="digits"), UpdatePipeline(pipeline=str(passing), name="other")
    )
    assert all(isinstance(answer, Receipt) for answer in answers)
    await there.accept(RegisterPipeline(name="digits"))


async def test_a_name_goes_from_one_to_the_other_in_a_batch(processes: tuple[Handling, Handling]) -> None:
    here, _ = processes
    made = await here.accept(RegisterPipeline(name="digits"))
    answers = await here.batch(DeletePipeline(pipeline=str(made.id)), RegisterPipeline(name="digits"))
    assert all(isinstance(answer, Receipt) for answer in answers)
