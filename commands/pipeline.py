"""Pipelines: the names under which snapshots and runs gather. Deleting one leaves its runs as they are."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from commands.changes import creation, differing, existing, set_fields, updated, way_back
from commands.command import Command, Decided, Entity, Found, Fresh, Lookup, name_key
from commands.fields import Name, Ref, Text
from commands.rejections import NotDeleted
from ledger.envelope import NewEvent
from ledger.events.pipeline import (
    KIND,
    PipelineDeleted,
    PipelineRegistered,
    PipelineRestored,
    PipelineUpdated,
)
from ledger.values import StreamId


class RegisterPipeline(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "pipeline:create"

    id: UUID | None = None
    name: Name
    description: Text = ""


class UpdatePipeline(Command, frozen=True, kw_only=True):
    """Absent fields stay as they are."""

    permission: ClassVar[str] = "pipeline:update"

    pipeline: Ref
    name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET


class DeletePipeline(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "pipeline:delete"

    pipeline: Ref


class RestorePipeline(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "pipeline:create"

    pipeline: Ref


COMMANDS = (RegisterPipeline, UpdatePipeline, DeletePipeline, RestorePipeline)
PipelineCommand = RegisterPipeline | UpdatePipeline | DeletePipeline | RestorePipeline
PipelineEvent = PipelineRegistered | PipelineUpdated | PipelineDeleted | PipelineRestored


class State(msgspec.Struct, frozen=True):
    name: str
    description: str
    deleted: bool = False


def evolve(state: State | None, event: PipelineEvent) -> State:
    match event:
        case PipelineRegistered():
            return State(event.name, event.description)
        case PipelineUpdated():
            return updated(existing(state, event), event)
        case PipelineDeleted():
            return msgspec.structs.replace(existing(state, event), deleted=True)
        case PipelineRestored():
            return msgspec.structs.replace(existing(state, event), deleted=False)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its name."""
    return set() if state.deleted else {name_key(KIND, state.name)}


def lookups(command: PipelineCommand, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    match command:
        case RegisterPipeline():
            return {"pipeline": Fresh(KIND, command.id)}
        case UpdatePipeline() | DeletePipeline():
            return {"pipeline": Entity(KIND, command.pipeline)}
        case RestorePipeline():
            return {"pipeline": Entity(KIND, command.pipeline, deleted_too=True)}
        case _:
            assert_never(command)


def decide(command: PipelineCommand, found: dict[str, Found]) -> Decided:
    pipeline, state = found["pipeline"].stream, found["pipeline"].state
    match command:
        case RegisterPipeline():
            event = PipelineRegistered(name=command.name, description=command.description)
            return creation(found["pipeline"], event, evolve=evolve)
        case UpdatePipeline():
            changed = differing(state, set_fields(command, leaving="pipeline"))
            return [NewEvent(pipeline, PipelineUpdated(**changed))] if changed else []
        case DeletePipeline():
            return [NewEvent(pipeline, PipelineDeleted())]
        case RestorePipeline():
            return [NewEvent(pipeline, PipelineRestored())] if state.deleted else NotDeleted(pipeline)
        case _:
            assert_never(command)


def restore(stream: StreamId, current: State, past: State | None) -> list[Command]:
    """The commands that bring a pipeline back to what it was; `past` is None when it did not exist."""
    ref = str(stream.id)
    return way_back(
        current,
        past,
        fields=("name", "description"),
        delete=DeletePipeline(pipeline=ref),
        restore=RestorePipeline(pipeline=ref),
        update=partial(UpdatePipeline, pipeline=ref),
    )
