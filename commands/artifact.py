"""Artifacts: the names under which versions of the same data gather. Deleting one leaves its versions as they are."""

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
from ledger.events.artifact import (
    KIND,
    ArtifactDeleted,
    ArtifactRegistered,
    ArtifactRestored,
    ArtifactUpdated,
)
from ledger.values import StreamId


class RegisterArtifact(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "artifact:create"

    id: UUID | None = None
    name: Name
    description: Text = ""


class UpdateArtifact(Command, frozen=True, kw_only=True):
    """Absent fields stay as they are."""

    permission: ClassVar[str] = "artifact:update"

    artifact: Ref
    name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET


class DeleteArtifact(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "artifact:delete"

    artifact: Ref


class RestoreArtifact(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "artifact:create"

    artifact: Ref


COMMANDS = (RegisterArtifact, UpdateArtifact, DeleteArtifact, RestoreArtifact)
ArtifactCommand = RegisterArtifact | UpdateArtifact | DeleteArtifact | RestoreArtifact
ArtifactEvent = ArtifactRegistered | ArtifactUpdated | ArtifactDeleted | ArtifactRestored


class State(msgspec.Struct, frozen=True):
    name: str
    description: str
    deleted: bool = False


def evolve(state: State | None, event: ArtifactEvent) -> State:
    match event:
        case ArtifactRegistered():
            return State(event.name, event.description)
        case ArtifactUpdated():
            return updated(existing(state, event), event)
        case ArtifactDeleted():
            return msgspec.structs.replace(existing(state, event), deleted=True)
        case ArtifactRestored():
            return msgspec.structs.replace(existing(state, event), deleted=False)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its name."""
    return set() if state.deleted else {name_key(KIND, state.name)}


def lookups(command: ArtifactCommand, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    match command:
        case RegisterArtifact():
            return {"artifact": Fresh(KIND, command.id)}
        case UpdateArtifact() | DeleteArtifact():
            return {"artifact": Entity(KIND, command.artifact)}
        case RestoreArtifact():
            return {"artifact": Entity(KIND, command.artifact, deleted_too=True)}
        case _:
            assert_never(command)


def decide(command: ArtifactCommand, found: dict[str, Found]) -> Decided:
    artifact, state = found["artifact"].stream, found["artifact"].state
    match command:
        case RegisterArtifact():
            event = ArtifactRegistered(name=command.name, description=command.description)
            return creation(found["artifact"], event, evolve=evolve)
        case UpdateArtifact():
            changed = differing(state, set_fields(command, leaving="artifact"))
            return [NewEvent(artifact, ArtifactUpdated(**changed))] if changed else []
        case DeleteArtifact():
            return [NewEvent(artifact, ArtifactDeleted())]
        case RestoreArtifact():
            return [NewEvent(artifact, ArtifactRestored())] if state.deleted else NotDeleted(artifact)
        case _:
            assert_never(command)


def restore(stream: StreamId, current: State, past: State | None) -> list[Command]:
    """The commands that bring an artifact back to what it was; `past` is None when it did not exist."""
    ref = str(stream.id)
    return way_back(
        current,
        past,
        fields=("name", "description"),
        delete=DeleteArtifact(artifact=ref),
        restore=RestoreArtifact(artifact=ref),
        update=partial(UpdateArtifact, artifact=ref),
    )
