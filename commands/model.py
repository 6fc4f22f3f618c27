"""Models: what is promised to be kept good, and the facts that govern its use."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from commands.changes import creation, differing, existing, set_fields, updated, way_back
from commands.command import Command, Decided, Entity, Found, Fresh, Lookup, name_key
from commands.fields import Name, Ref, Text
from commands.rejections import NotDeleted
from ledger.envelope import NewEvent
from ledger.events.model import (
    KIND,
    ModelDeleted,
    ModelRegistered,
    ModelRestored,
    ModelUpdated,
)
from ledger.values import StreamId


class RegisterModel(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "model:create"

    id: UUID | None = None
    name: Name
    description: Text = ""
    license: Text = ""
    audience: Text = ""
    use_cases: Text = ""
    limitations: Text = ""
    trade_offs: Text = ""
    ethics: Text = ""


class UpdateModel(Command, frozen=True, kw_only=True):
    """Absent fields stay as they are."""

    permission: ClassVar[str] = "model:update"

    model: Ref
    name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    license: Text | UnsetType = UNSET
    audience: Text | UnsetType = UNSET
    use_cases: Text | UnsetType = UNSET
    limitations: Text | UnsetType = UNSET
    trade_offs: Text | UnsetType = UNSET
    ethics: Text | UnsetType = UNSET


class DeleteModel(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "model:delete"

    model: Ref


class RestoreModel(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "model:create"

    model: Ref


COMMANDS = (RegisterModel, UpdateModel, DeleteModel, RestoreModel)
ModelCommand = RegisterModel | UpdateModel | DeleteModel | RestoreModel
ModelEvent = ModelRegistered | ModelUpdated | ModelDeleted | ModelRestored


FIELDS = ModelRegistered.__struct_fields__


class State(msgspec.Struct, frozen=True):
    name: str
    description: str
    license: str
    audience: str
    use_cases: str
    limitations: str
    trade_offs: str
    ethics: str
    deleted: bool = False


def evolve(state: State | None, event: ModelEvent) -> State:
    match event:
        case ModelRegistered():
            return State(**msgspec.structs.asdict(event))
        case ModelUpdated():
            return updated(existing(state, event), event)
        case ModelDeleted():
            return msgspec.structs.replace(existing(state, event), deleted=True)
        case ModelRestored():
            return msgspec.structs.replace(existing(state, event), deleted=False)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its name."""
    return set() if state.deleted else {name_key(KIND, state.name)}


def lookups(command: ModelCommand, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    match command:
        case RegisterModel():
            return {"model": Fresh(KIND, command.id)}
        case UpdateModel() | DeleteModel():
            return {"model": Entity(KIND, command.model)}
        case RestoreModel():
            return {"model": Entity(KIND, command.model, deleted_too=True)}
        case _:
            assert_never(command)


def decide(command: ModelCommand, found: dict[str, Found]) -> Decided:
    model, state = found["model"].stream, found["model"].state
    match command:
        case RegisterModel():
            event = ModelRegistered(**set_fields(command, leaving="id"))
            return creation(found["model"], event, evolve=evolve)
        case UpdateModel():
            changed = differing(state, set_fields(command, leaving="model"))
            return [NewEvent(model, ModelUpdated(**changed))] if changed else []
        case DeleteModel():
            return [NewEvent(model, ModelDeleted())]
        case RestoreModel():
            return [NewEvent(model, ModelRestored())] if state.deleted else NotDeleted(model)
        case _:
            assert_never(command)


def restore(stream: StreamId, current: State, past: State | None) -> list[Command]:
    """The commands that bring a model back to what it was; `past` is None when it did not exist."""
    ref = str(stream.id)
    return way_back(
        current,
        past,
        fields=FIELDS,
        delete=DeleteModel(model=ref),
        restore=RestoreModel(model=ref),
        update=partial(UpdateModel, model=ref),
    )
