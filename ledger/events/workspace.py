"""A workspace: the unit of isolation, placement, backup and erasure. Its events live in the control ledger.

Where it lives follows from them: on the home PostgreSQL and in a schema of its own, until it is placed elsewhere. Of
the events that end a move, `placed` or `move_abandoned`, only one can follow its start.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from msgspec import UNSET, UnsetType

from ledger.envelope import Event

KIND = "workspace"


class WorkspaceCreated(Event, frozen=True):
    type: ClassVar[str] = "workspace.created"

    name: str
    description: str = ""


class WorkspaceUpdated(Event, frozen=True):
    type: ClassVar[str] = "workspace.updated"

    description: str | UnsetType = UNSET


class WorkspacePlaced(Event, frozen=True):
    """From now on it lives there: at its creation (without a move), or because a move has copied everything."""

    type: ClassVar[str] = "workspace.placed"

    alias: str
    pool_schema: str | None = None
    move_id: UUID | None = None


class WorkspaceMoveStarted(Event, frozen=True):
    type: ClassVar[str] = "workspace.move_started"

    move_id: UUID
    alias: str
    pool_schema: str | None = None


class WorkspaceMoveAbandoned(Event, frozen=True):
    """The move did not come to its end; the workspace stays where it was."""

    type: ClassVar[str] = "workspace.move_abandoned"

    move_id: UUID


EVENTS = (WorkspaceCreated, WorkspaceUpdated, WorkspacePlaced, WorkspaceMoveStarted, WorkspaceMoveAbandoned)
