"""A stack: the components, one per type, that a run executes on."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from msgspec import UNSET, UnsetType

from ledger.envelope import Event

KIND = "stack"


class StackRegistered(Event, frozen=True):
    """`components` maps a component type to the id of the component."""

    type: ClassVar[str] = "stack.registered"

    name: str
    components: dict[str, UUID]
    description: str = ""
    labels: dict[str, str] = {}


class StackUpdated(Event, frozen=True):
    """Fields that did not change are absent; `components` is the whole new mapping."""

    type: ClassVar[str] = "stack.updated"

    name: str | UnsetType = UNSET
    components: dict[str, UUID] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET


class StackDeleted(Event, frozen=True):
    type: ClassVar[str] = "stack.deleted"


class StackRestored(Event, frozen=True):
    """A deleted stack is back with what it held when it was deleted."""

    type: ClassVar[str] = "stack.restored"


EVENTS = (StackRegistered, StackUpdated, StackDeleted, StackRestored)
