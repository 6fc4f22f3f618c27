"""Archives as they are told to the ledger by the operator's program, which makes and restores them."""

from __future__ import annotations

from typing import Annotated, ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import Meta

from commands.changes import creation, existing, set_fields
from commands.command import Command, Decided, Entity, Found, Fresh, Lookup
from commands.fields import Hex, Ref, Uri
from ledger.envelope import NewEvent
from ledger.events.archive import KIND, ArchiveMade, ArchiveRestored

WHY_NOT_RESTORED = "An archive is a place of old positions, which `everline archive restore` brings back."

Number = Annotated[int, Meta(ge=1)]


class RecordArchive(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "archive:create"

    id: UUID
    workspace_id: UUID
    first_position: Number
    last_position: Number
    url: Uri
    manifest_sha256: Hex
    size_bytes: Number


class RecordArchiveRestored(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "archive:restore"

    archive: Ref


COMMANDS = (RecordArchive, RecordArchiveRestored)
ArchiveCommand = RecordArchive | RecordArchiveRestored
ArchiveEvent = ArchiveMade | ArchiveRestored


class State(msgspec.Struct, frozen=True):
    made: ArchiveMade
    restored: bool = False


def evolve(state: State | None, event: ArchiveEvent) -> State:
    match event:
        case ArchiveMade():
            return State(event)
        case ArchiveRestored():
            return msgspec.structs.replace(existing(state, event), restored=True)
        case _:
            assert_never(event)


def claims(_: State) -> set[str]:
    """None: an archive goes by its id."""
    return set()


def lookups(command: ArchiveCommand, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    match command:
        case RecordArchive():
            return {KIND: Fresh(KIND, command.id)}
        case RecordArchiveRestored():
            return {KIND: Entity(KIND, command.archive)}
        case _:
            assert_never(command)


def decide(command: ArchiveCommand, found: dict[str, Found]) -> Decided:
    archive, state = found[KIND].stream, found[KIND].state
    match command:
        case RecordArchive():
            event = ArchiveMade(**set_fields(command, leaving="id"))
            return creation(found[KIND], event, evolve=evolve)
        case RecordArchiveRestored():
            return [] if state.restored else [NewEvent(archive, ArchiveRestored())]
        case _:
            assert_never(command)
