"""Stacks: at least an orchestrator and an artifact store, one component per type."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from commands.changes import creation, differing, existing, set_fields, updated, way_back
from commands.command import Command, Decided, Entity, Found, Fresh, Lookup, child_key, name_key
from commands.fields import ComponentType, Labels, Name, Ref, Text
from commands.rejections import ComponentTypeMismatch, NotDeleted, StackIncomplete
from ledger.envelope import NewEvent
from ledger.events.stack import KIND, StackDeleted, StackRegistered, StackRestored, StackUpdated
from ledger.values import StreamId

USES = ("component",)
REQUIRED_COMPONENTS = ("orchestrator", "artifact_store")
COMPONENTS_MAX = 15

Components = Annotated[
    dict[ComponentType, Ref],
    Meta(max_length=COMPONENTS_MAX, description="component type -> name or id of the component"),
]


class RegisterStack(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "stack:create"

    id: UUID | None = None
    name: Name
    components: Components
    description: Text = ""
    labels: Labels = {}


class UpdateStack(Command, frozen=True, kw_only=True):
    """Absent fields stay as they are; `components` replaces the whole mapping."""

    permission: ClassVar[str] = "stack:update"

    stack: Ref
    name: Name | UnsetType = UNSET
    components: Components | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET


class DeleteStack(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "stack:delete"

    stack: Ref


class RestoreStack(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "stack:create"

    stack: Ref


COMMANDS = (RegisterStack, UpdateStack, DeleteStack, RestoreStack)
StackCommand = RegisterStack | UpdateStack | DeleteStack | RestoreStack
StackEvent = StackRegistered | StackUpdated | StackDeleted | StackRestored


class State(msgspec.Struct, frozen=True):
    name: str
    components: dict[str, UUID]
    description: str
    labels: dict[str, str]
    deleted: bool = False


def evolve(state: State | None, event: StackEvent) -> State:
    match event:
        case StackRegistered():
            return State(event.name, event.components, event.description, event.labels)
        case StackUpdated():
            return updated(existing(state, event), event)
        case StackDeleted():
            return msgspec.structs.replace(existing(state, event), deleted=True)
        case StackRestored():
            return msgspec.structs.replace(existing(state, event), deleted=False)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its name, and the use of each component: a component in use cannot be deleted."""
    if state.deleted:
        return set()
    uses = {child_key("stack_use", component, state.name) for component in state.components.values()}
    return uses | {name_key(KIND, state.name)}


def lookups(command: StackCommand, found: dict[str, Found]) -> dict[str, Lookup]:
    match command:
        case RegisterStack():
            return {"stack": Fresh(KIND, command.id)} | component_lookups(command.components)
        case UpdateStack():
            components = {} if command.components is UNSET else component_lookups(command.components)
            return {"stack": Entity(KIND, command.stack)} | components
        case DeleteStack():
            return {"stack": Entity(KIND, command.stack)}
        case RestoreStack():
            stack = {"stack": Entity(KIND, command.stack, deleted_too=True)}
            held = found["stack"].state.components if "stack" in found else {}
            return stack | component_lookups({kind: str(id_) for kind, id_ in held.items()})
        case _:
            assert_never(command)


def component_lookups(components: dict[ComponentType, Ref] | dict[str, str]) -> dict[str, Lookup]:
    return {f"component {kind}": Entity("component", ref) for kind, ref in components.items()}


def decide(command: StackCommand, found: dict[str, Found]) -> Decided:
    stack, state = found["stack"].stream, found["stack"].state
    match command:
        case RegisterStack():
            return register(command, found)
        case UpdateStack():
            return update(command, found)
        case DeleteStack():
            return [NewEvent(stack, StackDeleted())]
        case RestoreStack():
            return [NewEvent(stack, StackRestored())] if state.deleted else NotDeleted(stack)
        case _:
            assert_never(command)


def register(command: RegisterStack, found: dict[str, Found]) -> Decided:
    chosen = chosen_components(command.components, found)
    if not isinstance(chosen, dict):
        return chosen
    event = StackRegistered(
        name=command.name, components=chosen, description=command.description, labels=command.labels
    )
    return creation(found["stack"], event, evolve=evolve)


def update(command: UpdateStack, found: dict[str, Found]) -> Decided:
    stack = found["stack"]
    fields = set_fields(command, leaving="stack")
    if command.components is not UNSET:
        chosen = chosen_components(command.components, found)
        if not isinstance(chosen, dict):
            return chosen
        fields["components"] = chosen
    changed = differing(stack.state, fields)
    return [NewEvent(stack.stream, StackUpdated(**changed))] if changed else []


def chosen_components(
    components: dict[ComponentType, Ref], found: dict[str, Found]
) -> dict[str, UUID] | StackIncomplete | ComponentTypeMismatch:
    """The ids of the components, once every required type is there and each is of the type it is used as."""
    missing = [kind for kind in REQUIRED_COMPONENTS if kind not in components]
    if missing:
        return StackIncomplete(missing)
    for kind, ref in components.items():
        actual = found[f"component {kind}"].state.component_type
        if actual != kind:
            return ComponentTypeMismatch(component=ref, wanted=kind, actual=actual)
    return {kind: found[f"component {kind}"].stream.id for kind in components}


def restore(stream: StreamId, current: State, past: State | None) -> list[Command]:
    """The commands that bring a stack back to what it was; `past` is None when it did not exist."""
    ref = str(stream.id)

    def update_to(**fields: Any) -> Command:
        if "components" in fields:
            fields["components"] = {kind: str(id_) for kind, id_ in fields["components"].items()}
        return UpdateStack(stack=ref, **fields)

    return way_back(
        current,
        past,
        fields=("name", "components", "description", "labels"),
        delete=DeleteStack(stack=ref),
        restore=RestoreStack(stack=ref),
        update=update_to,
    )
