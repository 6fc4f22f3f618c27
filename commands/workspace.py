"""Workspaces: created once in the control ledger, under a name that is theirs for ever."""

from __future__ import annotations

from typing import ClassVar, assert_never
from uuid import UUID

import msgspec

from commands.changes import creation, existing, updated
from commands.command import Command, Decided, Entity, Found, Fresh, Lookup, name_key
from commands.fields import Name, Ref, Text
from commands.rejections import ReservedName
from ledger.envelope import NewEvent
from ledger.events.workspace import KIND, WorkspaceCreated, WorkspaceUpdated

WHY_NOT_RESTORED = "A workspace is the ledger that a rollback happens in; its own description is changed by hand."
RESERVED_NAMES = frozenset({"control"})
"""`control` is how the control ledger itself is addressed."""


class CreateWorkspace(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "workspace:create"

    id: UUID | None = None
    name: Name
    description: Text = ""


class UpdateWorkspace(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "workspace:update"

    workspace: Ref
    description: Text


COMMANDS = (CreateWorkspace, UpdateWorkspace)
WorkspaceCommand = CreateWorkspace | UpdateWorkspace
WorkspaceEvent = WorkspaceCreated | WorkspaceUpdated


class State(msgspec.Struct, frozen=True):
    name: str
    description: str


def evolve(state: State | None, event: WorkspaceEvent) -> State:
    match event:
        case WorkspaceCreated():
            return State(event.name, event.description)
        case WorkspaceUpdated():
            return updated(existing(state, event), event)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its name."""
    return {name_key(KIND, state.name)}


def lookups(command: WorkspaceCommand, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    match command:
        case CreateWorkspace():
            return {"workspace": Fresh(KIND, command.id)}
        case UpdateWorkspace():
            return {"workspace": Entity(KIND, command.workspace)}
        case _:
            assert_never(command)


def decide(command: WorkspaceCommand, found: dict[str, Found]) -> Decided:
    workspace = found["workspace"]
    match command:
        case CreateWorkspace():
            if command.name in RESERVED_NAMES:
                return ReservedName(KIND, command.name)
            event = WorkspaceCreated(name=command.name, description=command.description)
            return creation(workspace, event, evolve=evolve)
        case UpdateWorkspace():
            changed = command.description != workspace.state.description
            return [NewEvent(workspace.stream, WorkspaceUpdated(description=command.description))] if changed else []
        case _:
            assert_never(command)
