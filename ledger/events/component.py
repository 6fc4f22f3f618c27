"""A component: one configured piece of infrastructure (an orchestrator, an artifact store, ...) that stacks combine."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from ledger.envelope import Event
from ledger.values import JsonObject

KIND = "component"


class ComponentRegistered(Event, frozen=True):
    type: ClassVar[str] = "component.registered"

    name: str
    component_type: str
    flavor: str
    configuration: JsonObject
    description: str = ""
    labels: dict[str, str] = {}


class ComponentUpdated(Event, frozen=True):
    """Fields that did not change are absent."""

    type: ClassVar[str] = "component.updated"

    name: str | UnsetType = UNSET
    configuration: JsonObject | UnsetType = UNSET
    description: str | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET


class ComponentDeleted(Event, frozen=True):
    type: ClassVar[str] = "component.deleted"


class ComponentRestored(Event, frozen=True):
    """A deleted component is back with what it held when it was deleted."""

    type: ClassVar[str] = "component.restored"


EVENTS = (ComponentRegistered, ComponentUpdated, ComponentDeleted, ComponentRestored)
