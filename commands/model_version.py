"""Model versions: numbered inside their model. `staging` and `production` have one holder per model at a time."""

from __future__ import annotations

from typing import Annotated, ClassVar, assert_never, cast
from uuid import UUID

import msgspec
from msgspec import Meta

from commands.changes import creation, existing, updated
from commands.command import (
    Command,
    Decided,
    Entity,
    Found,
    Fresh,
    Holder,
    LastClaim,
    Lookup,
    Rejection,
    child_key,
    next_number,
    number_key,
    numbers_prefix,
)
from commands.fields import EXCLUSIVE_STAGES, Name, Ref, Stage, Text
from commands.named import decided, lookups_named, made_if_missing, named
from commands.rejections import NotDeleted, StageTaken, VersionInStage
from ledger.envelope import NewEvent
from ledger.events.model import ModelRegistered
from ledger.events.model_version import (
    KIND,
    ModelVersionArtifactLinked,
    ModelVersionDeleted,
    ModelVersionDemoted,
    ModelVersionPromoted,
    ModelVersionRegistered,
    ModelVersionRestored,
    ModelVersionUpdated,
)
from ledger.values import StreamId

USES = ("artifact_version",)
ARTIFACTS_MAX = 500
DISPLACED_STAGE: Stage = "archived"
"""Where a version goes whose stage another one takes by force."""

Artifacts = Annotated[
    dict[Name, Ref],
    Meta(max_length=ARTIFACTS_MAX, description="role -> id of the artifact version, or artifact@number"),
]


class RegisterModelVersion(Command, frozen=True, kw_only=True):
    """`model` is a name or an id; a model that does not exist is registered under that name."""

    permission: ClassVar[str] = "model_version:create"

    id: UUID | None = None
    model: Name
    description: Text = ""
    run: Ref | None = None
    artifacts: Artifacts = {}


class UpdateModelVersion(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "model_version:update"

    model_version: Ref
    description: Text


class LinkArtifact(Command, frozen=True, kw_only=True):
    """Gives the version an artifact in a role, in the place of the one that has it."""

    permission: ClassVar[str] = "model_version:update"

    model_version: Ref
    role: Name
    artifact_version: Ref


class PromoteModelVersion(Command, frozen=True, kw_only=True):
    """Moves the version to a stage. With `force` it takes a stage that another version holds, which is archived."""

    permission: ClassVar[str] = "model_version:promote"

    model_version: Ref
    stage: Stage
    force: bool = False
    reason: Text = ""


class DeleteModelVersion(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "model_version:delete"

    model_version: Ref


class RestoreModelVersion(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "model_version:create"

    model_version: Ref


COMMANDS = (
    RegisterModelVersion,
    UpdateModelVersion,
    LinkArtifact,
    PromoteModelVersion,
    DeleteModelVersion,
    RestoreModelVersion,
)
ModelVersionCommand = (
    RegisterModelVersion
    | UpdateModelVersion
    | LinkArtifact
    | PromoteModelVersion
    | DeleteModelVersion
    | RestoreModelVersion
)
ModelVersionEvent = (
    ModelVersionRegistered
    | ModelVersionUpdated
    | ModelVersionArtifactLinked
    | ModelVersionPromoted
    | ModelVersionDemoted
    | ModelVersionDeleted
    | ModelVersionRestored
)


class State(msgspec.Struct, frozen=True):
    model_id: UUID
    number: int
    description: str
    run_id: UUID | None
    artifacts: dict[str, UUID]
    stage: str = "none"
    deleted: bool = False


def evolve(state: State | None, event: ModelVersionEvent) -> State:
    match event:
        case ModelVersionRegistered():
            return State(event.model_id, event.number, event.description, event.run_id, event.artifacts)
        case ModelVersionUpdated():
            return updated(existing(state, event), event)
        case ModelVersionArtifactLinked():
            before = existing(state, event)
            artifacts = before.artifacts | {event.role: event.artifact_version_id}
            return msgspec.structs.replace(before, artifacts=artifacts)
        case ModelVersionPromoted() | ModelVersionDemoted():
            return msgspec.structs.replace(existing(state, event), stage=event.stage)
        case ModelVersionDeleted():
            return msgspec.structs.replace(existing(state, event), deleted=True)
        case ModelVersionRestored():
            return msgspec.structs.replace(existing(state, event), deleted=False)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its number for ever, and the exclusive stage that it is in."""
    number = {number_key(KIND, state.model_id, state.number)}
    if state.deleted or state.stage not in EXCLUSIVE_STAGES:
        return number
    return number | {child_key(KIND, state.model_id, state.stage)}


def lookups(command: ModelVersionCommand, found: dict[str, Found]) -> dict[str, Lookup]:
    match command:
        case RegisterModelVersion():
            return register_lookups(command, found)
        case UpdateModelVersion() | DeleteModelVersion():
            return {"model_version": Entity(KIND, command.model_version)}
        case LinkArtifact():
            artifact = Entity("artifact_version", command.artifact_version)
            return {"model_version": Entity(KIND, command.model_version), "artifact_version": artifact}
        case PromoteModelVersion():
            wanted: dict[str, Lookup] = {"model_version": Entity(KIND, command.model_version)}
            if "model_version" in found and command.stage in EXCLUSIVE_STAGES:
                model_id = found["model_version"].state.model_id
                wanted["holder"] = Holder(child_key(KIND, model_id, command.stage))
            return wanted
        case RestoreModelVersion():
            return {"model_version": Entity(KIND, command.model_version, deleted_too=True)}
        case _:
            assert_never(command)


def register_lookups(command: RegisterModelVersion, found: dict[str, Found]) -> dict[str, Lookup]:
    wanted: dict[str, Lookup] = {"model_version": Fresh(KIND, command.id)}
    wanted |= lookups_named("model", command.model, found)
    wanted |= {f"artifact {role}": Entity("artifact_version", ref) for role, ref in command.artifacts.items()}
    if command.run is not None:
        wanted["run"] = Entity("run", command.run, unfenced=True)
    model = named("model", found)
    if model is not None:
        wanted["last"] = LastClaim(numbers_prefix(KIND, model.stream.id))
    return wanted


def decide(command: ModelVersionCommand, found: dict[str, Found]) -> Decided:
    version, state = found["model_version"].stream, found["model_version"].state
    match command:
        case RegisterModelVersion():
            return register(command, found)
        case UpdateModelVersion():
            changed = command.description != state.description
            return [NewEvent(version, ModelVersionUpdated(description=command.description))] if changed else []
        case LinkArtifact():
            artifact_id = found["artifact_version"].stream.id
            linked = state.artifacts.get(command.role) == artifact_id
            event = ModelVersionArtifactLinked(role=command.role, artifact_version_id=artifact_id)
            return [] if linked else [NewEvent(version, event)]
        case PromoteModelVersion():
            return promote(command, found)
        case DeleteModelVersion():
            if state.stage in EXCLUSIVE_STAGES:
                return VersionInStage(model_version=version.id, stage=state.stage)
            return [NewEvent(version, ModelVersionDeleted())]
        case RestoreModelVersion():
            return [NewEvent(version, ModelVersionRestored())] if state.deleted else NotDeleted(version)
        case _:
            assert_never(command)


def register(command: RegisterModelVersion, found: dict[str, Found]) -> Decided:
    version, model = found["model_version"], decided("model", found)
    event = ModelVersionRegistered(
        model_id=model.stream.id,
        number=next_number(found["last"]) if version.state is None else version.state.number,
        description=command.description,
        run_id=None if command.run is None else found["run"].stream.id,
        artifacts={role: found[f"artifact {role}"].stream.id for role in command.artifacts},
    )
    made = creation(version, event, evolve=evolve)
    if isinstance(made, Rejection):
        return made
    return [*made_if_missing(model, ModelRegistered(name=command.model)), *made]


def promote(command: PromoteModelVersion, found: dict[str, Found]) -> Decided:
    """Promotes to an exclusive stage, after whoever holds it was archived; any other stage is a demotion."""
    version, state = found["model_version"].stream, found["model_version"].state
    stages = {"stage": command.stage, "previous_stage": state.stage}
    if command.stage == state.stage:
        return []
    if command.stage not in EXCLUSIVE_STAGES:
        return [NewEvent(version, ModelVersionDemoted(**stages, reason=command.reason))]
    promoted = NewEvent(version, ModelVersionPromoted(**stages, reason=command.reason))
    holder = found["holder"]
    if holder.state is None:
        return [promoted]
    if not command.force:
        return StageTaken(stage=command.stage, holder=holder.stream.id, number=holder.state.number)
    demoted = ModelVersionDemoted(
        stage=DISPLACED_STAGE, previous_stage=command.stage, by=version.id, reason=command.reason
    )
    return [NewEvent(holder.stream, demoted), promoted]


def restore(stream: StreamId, current: State, past: State | None) -> list[Command]:
    """The commands that bring a version back to the stage, the description and the artifacts it had; `past` is None
    when it did not exist. A role that was linked since stays: links are never removed, only replaced."""
    ref = str(stream.id)
    if past is None or past.deleted:
        leave = [PromoteModelVersion(model_version=ref, stage=DISPLACED_STAGE, reason="rollback")]
        out_of_stage = leave if current.stage in EXCLUSIVE_STAGES else []
        return [] if current.deleted else [*out_of_stage, DeleteModelVersion(model_version=ref)]
    back: list[Command] = [RestoreModelVersion(model_version=ref)] if current.deleted else []
    if past.description != current.description:
        back.append(UpdateModelVersion(model_version=ref, description=past.description))
    for role, artifact in past.artifacts.items():
        if current.artifacts.get(role) != artifact:
            back.append(LinkArtifact(model_version=ref, role=role, artifact_version=str(artifact)))
    if past.stage != current.stage:
        stage = cast("Stage", past.stage)
        back.append(PromoteModelVersion(model_version=ref, stage=stage, force=True, reason="rollback"))
    return back
