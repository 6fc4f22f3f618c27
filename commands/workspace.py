"""Workspaces: created once in the control ledger, under a name that is theirs for ever; placed, and moved.

A move is begun, then ended by exactly one of `PlaceWorkspace` and `AbandonWorkspaceMove`: whoever is first. That is
what a mover and those who give it up are arbitrated by, so these three are `internal`: only programs submit them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import Meta

from commands.changes import creation, existing, updated
from commands.command import Alias, Command, Decided, Entity, Found, Fresh, Lookup, name_key
from commands.fields import Name, Ref, Text
from commands.rejections import AlreadyPlaced, MoveRunning, NoSuchMove, ReservedName
from ledger.envelope import Event, NewEvent
from ledger.events.workspace import (
    KIND,
    WorkspaceCreated,
    WorkspaceMoveAbandoned,
    WorkspaceMoveStarted,
    WorkspacePlaced,
    WorkspaceUpdated,
)
from ledger.placement import MAIN, Placement, Placing

WHY_NOT_RESTORED = "A workspace is the ledger that a rollback happens in; its own description is changed by hand."
RESERVED_NAMES = frozenset({"control"})
"""`control` is how the control ledger itself is addressed."""

AliasName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="a PostgreSQL, as the settings name it")]
PoolSchema = Annotated[
    str,
    Meta(pattern=r"^pool(_[a-z0-9]{1,30})?$", description="a schema that small workspaces share: pool or pool_..."),
]


class CreateWorkspace(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "workspace:create"

    id: UUID | None = None
    name: Name
    description: Text = ""
    alias: AliasName = MAIN
    pool_schema: PoolSchema | None = None


class UpdateWorkspace(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "workspace:update"

    workspace: Ref
    description: Text


class StartWorkspaceMove(Command, frozen=True, kw_only=True):
    """Replaces a move that has begun, and whose mover is gone, if it names that one."""

    permission: ClassVar[str] = "workspace:move"
    internal: ClassVar[bool] = True

    workspace: Ref
    move_id: UUID
    alias: AliasName
    pool_schema: PoolSchema | None = None
    instead_of: UUID | None = None


class PlaceWorkspace(Command, frozen=True, kw_only=True):
    """The end of a move: everything is there and verified."""

    permission: ClassVar[str] = "workspace:move"
    internal: ClassVar[bool] = True

    workspace: Ref
    move_id: UUID


class AbandonWorkspaceMove(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "workspace:move"
    internal: ClassVar[bool] = True

    workspace: Ref
    move_id: UUID


COMMANDS = (CreateWorkspace, UpdateWorkspace, StartWorkspaceMove, PlaceWorkspace, AbandonWorkspaceMove)
WorkspaceCommand = CreateWorkspace | UpdateWorkspace | StartWorkspaceMove | PlaceWorkspace | AbandonWorkspaceMove
WorkspaceEvent = WorkspaceCreated | WorkspaceUpdated | WorkspacePlaced | WorkspaceMoveStarted | WorkspaceMoveAbandoned


class State(msgspec.Struct, frozen=True):
    name: str
    description: str
    placing: Placing = Placing()


def evolve(state: State | None, event: WorkspaceEvent) -> State:
    match event:
        case WorkspaceCreated():
            return State(event.name, event.description)
        case WorkspaceUpdated():
            return updated(existing(state, event), event)
        case WorkspacePlaced() | WorkspaceMoveStarted() | WorkspaceMoveAbandoned():
            state = existing(state, event)
            return msgspec.structs.replace(state, placing=state.placing.after(event))
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its name."""
    return {name_key(KIND, state.name)}


def lookups(command: WorkspaceCommand, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    match command:
        case CreateWorkspace():
            return {"workspace": Fresh(KIND, command.id), "alias": Alias(command.alias)}
        case StartWorkspaceMove():
            return {"workspace": Entity(KIND, command.workspace), "alias": Alias(command.alias)}
        case UpdateWorkspace() | PlaceWorkspace() | AbandonWorkspaceMove():
            return {"workspace": Entity(KIND, command.workspace)}
        case _:
            assert_never(command)


def decide(command: WorkspaceCommand, found: dict[str, Found]) -> Decided:
    workspace = found["workspace"]
    match command:
        case CreateWorkspace():
            return _create(command, workspace)
        case UpdateWorkspace():
            changed = command.description != workspace.state.description
            return [NewEvent(workspace.stream, WorkspaceUpdated(description=command.description))] if changed else []
        case StartWorkspaceMove():
            return _start(command, workspace)
        case PlaceWorkspace():
            return _place(command, workspace)
        case AbandonWorkspaceMove():
            moving = workspace.state.placing.moving
            if moving is None or moving.move_id != command.move_id:
                return NoSuchMove(command.move_id)
            return [NewEvent(workspace.stream, WorkspaceMoveAbandoned(command.move_id))]
        case _:
            assert_never(command)


def _create(command: CreateWorkspace, workspace: Found) -> Decided:
    """At home and in a schema of its own is where every workspace is that nobody placed: no event says so."""
    if command.name in RESERVED_NAMES:
        return ReservedName(KIND, command.name)
    events: list[Event] = [WorkspaceCreated(name=command.name, description=command.description)]
    if Placement(command.alias, command.pool_schema) != Placement():
        events.append(WorkspacePlaced(alias=command.alias, pool_schema=command.pool_schema))
    return creation(workspace, *events, evolve=evolve)


def _start(command: StartWorkspaceMove, workspace: Found) -> Decided:
    placing: Placing = workspace.state.placing
    if placing.moving is not None and placing.moving.move_id != command.instead_of:
        return MoveRunning(workspace.state.name, alias=placing.moving.alias)
    if placing.placement.alias == command.alias:
        return AlreadyPlaced(workspace.state.name, alias=command.alias)
    started = WorkspaceMoveStarted(move_id=command.move_id, alias=command.alias, pool_schema=command.pool_schema)
    return [NewEvent(workspace.stream, started)]


def _place(command: PlaceWorkspace, workspace: Found) -> Decided:
    moving = workspace.state.placing.moving
    if moving is None or moving.move_id != command.move_id:
        return NoSuchMove(command.move_id)
    placed = WorkspacePlaced(alias=moving.alias, pool_schema=moving.schema, move_id=moving.move_id)
    return [NewEvent(workspace.stream, placed)]
