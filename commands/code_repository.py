"""Code repositories: places that sources come from. Their addresses never carry a password or token."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from commands.changes import creation, differing, existing, set_fields, updated, way_back
from commands.command import Command, Decided, Entity, Found, Fresh, Lookup, name_key
from commands.fields import Name, Ref, Text
from commands.rejections import NotDeleted
from ledger.envelope import NewEvent
from ledger.events.code_repository import (
    KIND,
    CodeRepositoryDeleted,
    CodeRepositoryRegistered,
    CodeRepositoryRestored,
    CodeRepositoryUpdated,
)
from ledger.values import StreamId

Provider = Literal["github", "gitlab", "git"]
Url = Annotated[
    str,
    Meta(
        max_length=2_000,
        pattern=r"^(https?://|ssh://([A-Za-z0-9._-]+@)?)[^\s@/]+(/[^\s@]*)?$",
        description="an http(s) or ssh address without a password or token in it",
    ),
]


class RegisterCodeRepository(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "code_repository:create"

    id: UUID | None = None
    name: Name
    provider: Provider
    url: Url
    description: Text = ""


class UpdateCodeRepository(Command, frozen=True, kw_only=True):
    """Absent fields stay as they are."""

    permission: ClassVar[str] = "code_repository:update"

    code_repository: Ref
    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    description: Text | UnsetType = UNSET


class DeleteCodeRepository(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "code_repository:delete"

    code_repository: Ref


class RestoreCodeRepository(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "code_repository:create"

    code_repository: Ref


COMMANDS = (RegisterCodeRepository, UpdateCodeRepository, DeleteCodeRepository, RestoreCodeRepository)
CodeRepositoryCommand = RegisterCodeRepository | UpdateCodeRepository | DeleteCodeRepository | RestoreCodeRepository
CodeRepositoryEvent = CodeRepositoryRegistered | CodeRepositoryUpdated | CodeRepositoryDeleted | CodeRepositoryRestored


class State(msgspec.Struct, frozen=True):
    name: str
    provider: str
    url: str
    description: str
    deleted: bool = False


def evolve(state: State | None, event: CodeRepositoryEvent) -> State:
    match event:
        case CodeRepositoryRegistered():
            return State(event.name, event.provider, event.url, event.description)
        case CodeRepositoryUpdated():
            return updated(existing(state, event), event)
        case CodeRepositoryDeleted():
            return msgspec.structs.replace(existing(state, event), deleted=True)
        case CodeRepositoryRestored():
            return msgspec.structs.replace(existing(state, event), deleted=False)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its name."""
    return set() if state.deleted else {name_key(KIND, state.name)}


def lookups(command: CodeRepositoryCommand, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    match command:
        case RegisterCodeRepository():
            return {KIND: Fresh(KIND, command.id)}
        case UpdateCodeRepository() | DeleteCodeRepository():
            return {KIND: Entity(KIND, command.code_repository)}
        case RestoreCodeRepository():
            return {KIND: Entity(KIND, command.code_repository, deleted_too=True)}
        case _:
            assert_never(command)


def decide(command: CodeRepositoryCommand, found: dict[str, Found]) -> Decided:
    repository, state = found[KIND].stream, found[KIND].state
    match command:
        case RegisterCodeRepository():
            event = CodeRepositoryRegistered(
                name=command.name, provider=command.provider, url=command.url, description=command.description
            )
            return creation(found[KIND], event, evolve=evolve)
        case UpdateCodeRepository():
            changed = differing(state, set_fields(command, leaving=KIND))
            return [NewEvent(repository, CodeRepositoryUpdated(**changed))] if changed else []
        case DeleteCodeRepository():
            return [NewEvent(repository, CodeRepositoryDeleted())]
        case RestoreCodeRepository():
            return [NewEvent(repository, CodeRepositoryRestored())] if state.deleted else NotDeleted(repository)
        case _:
            assert_never(command)


def restore(stream: StreamId, current: State, past: State | None) -> list[Command]:
    """The commands that bring a repository back to what it was; `past` is None when it did not exist."""
    ref = str(stream.id)
    return way_back(
        current,
        past,
        fields=("name", "url", "description"),
        delete=DeleteCodeRepository(code_repository=ref),
        restore=RestoreCodeRepository(code_repository=ref),
        update=partial(UpdateCodeRepository, code_repository=ref),
    )
