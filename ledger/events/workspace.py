"""A workspace: the unit of isolation, placement, backup and erasure. Its events live in the control ledger."""

from __future__ import annotations

from typing import ClassVar

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


EVENTS = (WorkspaceCreated, WorkspaceUpdated)
