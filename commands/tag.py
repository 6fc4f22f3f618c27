"""Tags: named, coloured words. A tag keeps its name for life."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, assert_never
from uuid import UUID

import msgspec

from commands.changes import creation, existing, updated, way_back
from commands.command import Command, Decided, Entity, Found, Fresh, Lookup, name_key
from commands.fields import Color, Name, Ref
from commands.rejections import NotDeleted
from ledger.envelope import NewEvent
from ledger.events.tag import (
    KIND,
    TagCreated,
    TagDeleted,
    TagRestored,
    TagUpdated,
)
from ledger.values import StreamId

DEFAULT_COLOR: Color = "grey"


class CreateTag(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "tag:create"

    id: UUID | None = None
    name: Name
    color: Color = DEFAULT_COLOR


class UpdateTag(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "tag:update"

    tag: Ref
    color: Color


class DeleteTag(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "tag:delete"

    tag: Ref


class RestoreTag(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "tag:create"

    tag: Ref


COMMANDS = (CreateTag, UpdateTag, DeleteTag, RestoreTag)
TagCommand = CreateTag | UpdateTag | DeleteTag | RestoreTag
TagEvent = TagCreated | TagUpdated | TagDeleted | TagRestored


class State(msgspec.Struct, frozen=True):
    name: str
    color: str
    deleted: bool = False


def evolve(state: State | None, event: TagEvent) -> State:
    match event:
        case TagCreated():
            return State(event.name, event.color)
        case TagUpdated():
            return updated(existing(state, event), event)
        case TagDeleted():
            return msgspec.structs.replace(existing(state, event), deleted=True)
        case TagRestored():
            return msgspec.structs.replace(existing(state, event), deleted=False)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its name."""
    return set() if state.deleted else {name_key(KIND, state.name)}


def lookups(command: TagCommand, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    match command:
        case CreateTag():
            return {"tag": Fresh(KIND, command.id)}
        case UpdateTag() | DeleteTag():
            return {"tag": Entity(KIND, command.tag)}
        case RestoreTag():
            return {"tag": Entity(KIND, command.tag, deleted_too=True)}
        case _:
            assert_never(command)


def decide(command: TagCommand, found: dict[str, Found]) -> Decided:
    tag, state = found["tag"].stream, found["tag"].state
    match command:
        case CreateTag():
            event = TagCreated(name=command.name, color=command.color)
            return creation(found["tag"], event, evolve=evolve)
        case UpdateTag():
            changed = command.color != state.color
            return [NewEvent(tag, TagUpdated(color=command.color))] if changed else []
        case DeleteTag():
            return [NewEvent(tag, TagDeleted())]
        case RestoreTag():
            return [NewEvent(tag, TagRestored())] if state.deleted else NotDeleted(tag)
        case _:
            assert_never(command)


def restore(stream: StreamId, current: State, past: State | None) -> list[Command]:
    """The commands that bring a tag back to what it was; `past` is None when it did not exist."""
    ref = str(stream.id)
    return way_back(
        current,
        past,
        fields=("color",),
        delete=DeleteTag(tag=ref),
        restore=RestoreTag(tag=ref),
        update=partial(UpdateTag, tag=ref),
    )
