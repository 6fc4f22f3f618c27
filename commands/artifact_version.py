"""Artifact versions: numbered from 1 inside their artifact. No number is ever given twice, deleted or not."""

from __future__ import annotations

from typing import Annotated, ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import Meta

from commands.changes import creation, existing
from commands.command import (
    Command,
    Decided,
    Entity,
    Found,
    Fresh,
    LastClaim,
    Lookup,
    Rejection,
    next_number,
    number_key,
    numbers_prefix,
)
from commands.fields import NAME_LENGTH_MAX, ArtifactType, Name, Ref, SaveType, Uri
from commands.named import decided, lookups_named, made_if_missing, named
from commands.rejections import ComponentTypeMismatch, NotDeleted
from ledger.envelope import NewEvent
from ledger.events.artifact import ArtifactRegistered
from ledger.events.artifact_version import (
    KIND,
    ArtifactVersionDeleted,
    ArtifactVersionRegistered,
    ArtifactVersionRestored,
)

WHY_NOT_RESTORED = "An artifact version records what was stored; delete or restore it by its own commands."
SIZE_BYTES_MAX = 2**53 - 1
"""Every JSON reader can hold it exactly."""

TypeName = Annotated[str, Meta(min_length=1, max_length=500, description="the import path of a class")]
ContentHash = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$", description="over the stored files")]
StepName = Annotated[str, Meta(max_length=NAME_LENGTH_MAX)]


class RegisterArtifactVersion(Command, frozen=True, kw_only=True):
    """`artifact` is a name or an id; an artifact that does not exist is registered under that name."""

    permission: ClassVar[str] = "artifact_version:create"

    id: UUID | None = None
    artifact: Name
    uri: Uri
    artifact_type: ArtifactType
    data_type: TypeName
    materializer: TypeName
    content_hash: ContentHash
    size_bytes: Annotated[int, Meta(ge=0, le=SIZE_BYTES_MAX)]
    save_type: SaveType
    artifact_store: Ref | None = None
    run: Ref | None = None
    step: StepName = ""
    output: StepName = ""


class DeleteArtifactVersion(Command, frozen=True, kw_only=True):
    """Withdraws the record; the stored files stay where they are."""

    permission: ClassVar[str] = "artifact_version:delete"

    artifact_version: Ref


class RestoreArtifactVersion(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "artifact_version:create"

    artifact_version: Ref


COMMANDS = (RegisterArtifactVersion, DeleteArtifactVersion, RestoreArtifactVersion)
ArtifactVersionCommand = RegisterArtifactVersion | DeleteArtifactVersion | RestoreArtifactVersion
ArtifactVersionEvent = ArtifactVersionRegistered | ArtifactVersionDeleted | ArtifactVersionRestored


class State(msgspec.Struct, frozen=True):
    registered: ArtifactVersionRegistered
    deleted: bool = False


def evolve(state: State | None, event: ArtifactVersionEvent) -> State:
    match event:
        case ArtifactVersionRegistered():
            return State(event)
        case ArtifactVersionDeleted():
            return msgspec.structs.replace(existing(state, event), deleted=True)
        case ArtifactVersionRestored():
            return msgspec.structs.replace(existing(state, event), deleted=False)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its number, for ever."""
    return {number_key(KIND, state.registered.artifact_id, state.registered.number)}


def lookups(command: ArtifactVersionCommand, found: dict[str, Found]) -> dict[str, Lookup]:
    match command:
        case RegisterArtifactVersion():
            return register_lookups(command, found)
        case DeleteArtifactVersion():
            return {"artifact_version": Entity(KIND, command.artifact_version)}
        case RestoreArtifactVersion():
            return {"artifact_version": Entity(KIND, command.artifact_version, deleted_too=True)}
        case _:
            assert_never(command)


def register_lookups(command: RegisterArtifactVersion, found: dict[str, Found]) -> dict[str, Lookup]:
    wanted: dict[str, Lookup] = {"artifact_version": Fresh(KIND, command.id)}
    wanted |= lookups_named("artifact", command.artifact, found)
    if command.artifact_store is not None:
        wanted["artifact_store"] = Entity("component", command.artifact_store, deleted_too=True, unfenced=True)
    if command.run is not None:
        wanted["run"] = Entity("run", command.run, unfenced=True)
    artifact = named("artifact", found)
    if artifact is not None:
        wanted["last"] = LastClaim(numbers_prefix(KIND, artifact.stream.id))
    return wanted


def decide(command: ArtifactVersionCommand, found: dict[str, Found]) -> Decided:
    version, state = found["artifact_version"].stream, found["artifact_version"].state
    match command:
        case RegisterArtifactVersion():
            return register(command, found)
        case DeleteArtifactVersion():
            return [NewEvent(version, ArtifactVersionDeleted())]
        case RestoreArtifactVersion():
            return [NewEvent(version, ArtifactVersionRestored())] if state.deleted else NotDeleted(version)
        case _:
            assert_never(command)


def register(command: RegisterArtifactVersion, found: dict[str, Found]) -> Decided:
    version, artifact, store = found["artifact_version"], decided("artifact", found), found.get("artifact_store")
    if store is not None and store.state.component_type != "artifact_store":
        actual = store.state.component_type
        return ComponentTypeMismatch(component=store.state.name, wanted="artifact_store", actual=actual)
    event = ArtifactVersionRegistered(
        artifact_id=artifact.stream.id,
        number=next_number(found["last"]) if version.state is None else version.state.registered.number,
        uri=command.uri,
        artifact_type=command.artifact_type,
        data_type=command.data_type,
        materializer=command.materializer,
        content_hash=command.content_hash,
        size_bytes=command.size_bytes,
        save_type=command.save_type,
        artifact_store_id=None if store is None else store.stream.id,
        run_id=None if command.run is None else found["run"].stream.id,
        step=command.step,
        output=command.output,
    )
    made = creation(version, event, evolve=evolve)
    if isinstance(made, Rejection):
        return made
    return [*made_if_missing(artifact, ArtifactRegistered(name=command.artifact)), *made]
