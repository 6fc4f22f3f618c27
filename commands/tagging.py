"""Taggings: which entity carries which tag. Attaching twice, or detaching what is not attached, changes nothing."""

from __future__ import annotations

from typing import ClassVar, assert_never, cast

import msgspec

from commands.command import Command, Decided, Entity, Found, Fresh, Lookup
from commands.fields import Name, Ref, TaggableKind
from commands.named import decided, lookups_named, made_if_missing, named
from commands.tag import DEFAULT_COLOR
from ledger.envelope import NewEvent
from ledger.events.tag import TagCreated
from ledger.events.tagging import KIND, TagAttached, TagDetached
from ledger.values import StreamId, derived_id

USES = (
    "artifact",
    "artifact_version",
    "component",
    "model",
    "model_version",
    "pipeline",
    "run",
    "snapshot",
    "stack",
    "tag",
)


class AttachTag(Command, frozen=True, kw_only=True):
    """`tag` is a name or an id; a tag that does not exist is created under that name."""

    permission: ClassVar[str] = "tag:attach"

    tag: Name
    resource_kind: TaggableKind
    resource: Ref


class DetachTag(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "tag:attach"

    tag: Ref
    resource_kind: TaggableKind
    resource: Ref


COMMANDS = (AttachTag, DetachTag)
TaggingCommand = AttachTag | DetachTag
TaggingEvent = TagAttached | TagDetached


class State(msgspec.Struct, frozen=True):
    tag_id: str
    resource_kind: str
    resource_id: str
    attached: bool


def evolve(state: State | None, event: TaggingEvent) -> State:  # noqa: ARG001 - each event says everything
    match event:
        case TagAttached() | TagDetached():
            attached = isinstance(event, TagAttached)
            return State(str(event.tag_id), event.resource_kind, str(event.resource_id), attached=attached)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:  # noqa: ARG001 - see Decider
    """Nothing: the id of the stream is derived from the pair."""
    return set()


def lookups(command: TaggingCommand, found: dict[str, Found]) -> dict[str, Lookup]:
    match command:
        case AttachTag():
            resource: Lookup = Entity(command.resource_kind, command.resource, unfenced=True)
            wanted = {"resource": resource} | lookups_named("tag", command.tag, found)
        case DetachTag():
            resource = Entity(command.resource_kind, command.resource, deleted_too=True, unfenced=True)
            wanted = {"resource": resource, "tag": Entity("tag", command.tag, deleted_too=True)}
        case _:
            assert_never(command)
    tag = named("tag", found)
    if tag is not None:
        wanted["tagging"] = Fresh(KIND, derived_id(KIND, tag.stream.id, found["resource"].stream.id))
    return wanted


def decide(command: TaggingCommand, found: dict[str, Found]) -> Decided:
    tagging = found["tagging"]
    attached = tagging.state is not None and tagging.state.attached
    tag, resource = decided("tag", found), found["resource"].stream
    match command:
        case AttachTag():
            if attached:
                return []
            name = command.tag if tag.state is None else tag.state.name
            new_tag = made_if_missing(tag, TagCreated(name=name, color=DEFAULT_COLOR))
            event = TagAttached(tag_id=tag.stream.id, tag=name, resource_kind=resource.kind, resource_id=resource.id)
            return [*new_tag, NewEvent(tagging.stream, event)]
        case DetachTag():
            if not attached:
                return []
            back = TagDetached(
                tag_id=tag.stream.id, tag=tag.state.name, resource_kind=resource.kind, resource_id=resource.id
            )
            return [NewEvent(tagging.stream, back)]
        case _:
            assert_never(command)


def restore(stream: StreamId, current: State, past: State | None) -> list[Command]:  # noqa: ARG001 - see Decider
    """The command that attaches or detaches again, if one is needed."""
    attached = past is not None and past.attached
    if current.attached == attached:
        return []
    command = AttachTag if attached else DetachTag
    kind = cast("TaggableKind", current.resource_kind)
    return [command(tag=current.tag_id, resource_kind=kind, resource=current.resource_id)]
