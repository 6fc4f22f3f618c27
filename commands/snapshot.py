"""Snapshots: immutable compiled pipelines. The id follows from the content, so compiling twice stores once."""

from __future__ import annotations

from typing import ClassVar, assert_never
from uuid import UUID

import msgspec

from commands.changes import creation, digest, existing
from commands.command import Command, Decided, Found, Fresh, Lookup, Rejection
from commands.fields import Hex, JsonFields, Name
from commands.named import decided, lookups_named, made_if_missing, named
from commands.slices import in_slices
from commands.snapshot_steps import Steps, in_order
from ledger.events.pipeline import PipelineRegistered
from ledger.events.run import StepPlan
from ledger.events.snapshot import KIND, SnapshotCreated, SnapshotStepsDefined
from ledger.values import derived_id

WHY_NOT_RESTORED = "A snapshot never changes, so there is nothing to bring back."


class CreateSnapshot(Command, frozen=True, kw_only=True):
    """`pipeline` is a name or an id; a pipeline that does not exist is registered under that name. `digest` is the
    SHA-256 of the compiled form: the same digest in the same pipeline is the same snapshot."""

    permission: ClassVar[str] = "snapshot:create"

    id: UUID | None = None
    pipeline: Name
    digest: Hex
    steps: Steps
    parameters: JsonFields = {}
    settings: JsonFields = {}
    environment: JsonFields = {}


COMMANDS = (CreateSnapshot,)
SnapshotEvent = SnapshotCreated | SnapshotStepsDefined


class State(msgspec.Struct, frozen=True):
    """What a run needs of it; `content` stands for all the rest."""

    pipeline_id: UUID
    content: bytes
    steps: tuple[StepPlan, ...] = ()


def evolve(state: State | None, event: SnapshotEvent) -> State:
    match event:
        case SnapshotCreated():
            return State(event.pipeline_id, digest(event))
        case SnapshotStepsDefined():
            before = existing(state, event)
            plans = tuple(StepPlan(step.name, step.upstream, step.retries) for step in event.steps)
            return State(before.pipeline_id, digest(event, after=before.content), before.steps + plans)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:  # noqa: ARG001 - see Decider
    """Nothing: its id is derived from its content."""
    return set()


def lookups(command: CreateSnapshot, found: dict[str, Found]) -> dict[str, Lookup]:
    pipeline = named("pipeline", found)
    wanted = lookups_named("pipeline", command.pipeline, found)
    if pipeline is not None:
        wanted["snapshot"] = Fresh(KIND, command.id or derived_id(KIND, pipeline.stream.id, command.digest))
    return wanted


def decide(command: CreateSnapshot, found: dict[str, Found]) -> Decided:
    steps = in_order(command.steps)
    if not isinstance(steps, list):
        return steps
    pipeline = decided("pipeline", found)
    created = SnapshotCreated(
        pipeline_id=pipeline.stream.id,
        digest=command.digest,
        step_count=len(steps),
        parameters=command.parameters,
        settings=command.settings,
        environment=command.environment,
    )
    slices = [SnapshotStepsDefined(steps=part) for part in in_slices(step.spec() for step in steps)]
    made = creation(found["snapshot"], created, *slices, evolve=evolve)
    if isinstance(made, Rejection):
        return made
    return [*made_if_missing(pipeline, PipelineRegistered(name=command.pipeline)), *made]
