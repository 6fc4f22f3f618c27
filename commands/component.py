"""Components: configured pieces of infrastructure. One that a stack uses cannot be deleted."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from commands.changes import creation, differing, existing, set_fields, updated, way_back
from commands.command import Command, Decided, Entity, Found, Fresh, LastClaim, Lookup, child_key, name_key
from commands.fields import ComponentType, JsonFields, Labels, Name, Ref, Text
from commands.flavors import configured
from commands.rejections import ComponentInUse, NotDeleted
from ledger.envelope import NewEvent
from ledger.events.component import (
    KIND,
    ComponentDeleted,
    ComponentRegistered,
    ComponentRestored,
    ComponentUpdated,
)
from ledger.values import StreamId


class RegisterComponent(Command, frozen=True, kw_only=True):
    """`configuration` holds the settings of the flavor; those that are absent get their defaults."""

    permission: ClassVar[str] = "component:create"

    id: UUID | None = None
    name: Name
    component_type: ComponentType
    flavor: Name
    configuration: JsonFields = {}
    description: Text = ""
    labels: Labels = {}


class UpdateComponent(Command, frozen=True, kw_only=True):
    """Absent fields stay as they are; `configuration` replaces the whole of it. Type and flavor are for life."""

    permission: ClassVar[str] = "component:update"

    component: Ref
    name: Name | UnsetType = UNSET
    configuration: JsonFields | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET


class DeleteComponent(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "component:delete"

    component: Ref


class RestoreComponent(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "component:create"

    component: Ref


COMMANDS = (RegisterComponent, UpdateComponent, DeleteComponent, RestoreComponent)
ComponentCommand = RegisterComponent | UpdateComponent | DeleteComponent | RestoreComponent
ComponentEvent = ComponentRegistered | ComponentUpdated | ComponentDeleted | ComponentRestored


class State(msgspec.Struct, frozen=True):
    name: str
    component_type: str
    flavor: str
    configuration: dict[str, object]
    description: str
    labels: dict[str, str]
    deleted: bool = False


def evolve(state: State | None, event: ComponentEvent) -> State:
    match event:
        case ComponentRegistered():
            return State(**msgspec.structs.asdict(event))
        case ComponentUpdated():
            return updated(existing(state, event), event)
        case ComponentDeleted():
            return msgspec.structs.replace(existing(state, event), deleted=True)
        case ComponentRestored():
            return msgspec.structs.replace(existing(state, event), deleted=False)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its name."""
    return set() if state.deleted else {name_key(KIND, state.name)}


def lookups(command: ComponentCommand, found: dict[str, Found]) -> dict[str, Lookup]:
    match command:
        case RegisterComponent():
            return {"component": Fresh(KIND, command.id)}
        case UpdateComponent():
            return {"component": Entity(KIND, command.component)}
        case DeleteComponent():
            component: dict[str, Lookup] = {"component": Entity(KIND, command.component)}
            if "component" in found:
                component["use"] = LastClaim(child_key("stack_use", found["component"].stream.id, ""))
            return component
        case RestoreComponent():
            return {"component": Entity(KIND, command.component, deleted_too=True)}
        case _:
            assert_never(command)


def decide(command: ComponentCommand, found: dict[str, Found]) -> Decided:
    component, state = found["component"].stream, found["component"].state
    match command:
        case RegisterComponent():
            return register(command, found["component"])
        case UpdateComponent():
            return update(command, found["component"])
        case DeleteComponent():
            use = found["use"].key
            if use is not None:
                return ComponentInUse(component=state.name, stack=use.rpartition(":")[2])
            return [NewEvent(component, ComponentDeleted())]
        case RestoreComponent():
            return [NewEvent(component, ComponentRestored())] if state.deleted else NotDeleted(component)
        case _:
            assert_never(command)


def register(command: RegisterComponent, component: Found) -> Decided:
    configuration = configured(command.component_type, command.flavor, command.configuration)
    if not isinstance(configuration, dict):
        return configuration
    fields = set_fields(command, leaving="id") | {"configuration": configuration}
    return creation(component, ComponentRegistered(**fields), evolve=evolve)


def update(command: UpdateComponent, component: Found) -> Decided:
    state = component.state
    fields = set_fields(command, leaving="component")
    if command.configuration is not UNSET:
        configuration = configured(state.component_type, state.flavor, command.configuration)
        if not isinstance(configuration, dict):
            return configuration
        fields["configuration"] = configuration
    changed = differing(state, fields)
    return [NewEvent(component.stream, ComponentUpdated(**changed))] if changed else []


def restore(stream: StreamId, current: State, past: State | None) -> list[Command]:
    """The commands that bring a component back to what it was; `past` is None when it did not exist."""
    ref = str(stream.id)
    return way_back(
        current,
        past,
        fields=("name", "configuration", "description", "labels"),
        delete=DeleteComponent(component=ref),
        restore=RestoreComponent(component=ref),
        update=partial(UpdateComponent, component=ref),
    )
