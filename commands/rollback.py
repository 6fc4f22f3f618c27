"""Rollbacks: the record of one, at the head of the batch that carries it out. `rollback_plan.py` makes the batch."""

from __future__ import annotations

from typing import Annotated, ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import Meta

from commands.changes import creation, digest
from commands.command import Command, Decided, Found, Fresh, Lookup
from commands.fields import TEXT_LENGTH_MAX, Ref
from ledger.events.rollback import KIND, RollbackApplied
from ledger.values import Position

WHY_NOT_RESTORED = "A rollback is itself history; what it changed can be rolled back like any other change."
ENTITIES_MAX = 200


class RecordRollback(Command, frozen=True, kw_only=True):
    """`entities` are written `kind/id`."""

    permission: ClassVar[str] = "rollback:create"

    id: UUID | None = None
    to_position: Annotated[Position, Meta(ge=0)]
    planned_at_position: Annotated[Position, Meta(ge=0)]
    reason: Annotated[str, Meta(min_length=1, max_length=TEXT_LENGTH_MAX)]
    entities: Annotated[tuple[Ref, ...], Meta(min_length=1, max_length=ENTITIES_MAX)]


COMMANDS = (RecordRollback,)


class State(msgspec.Struct, frozen=True):
    content: bytes


def evolve(state: State | None, event: RollbackApplied) -> State:  # noqa: ARG001 - a single event
    match event:
        case RollbackApplied():
            return State(digest(event))
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:  # noqa: ARG001 - see Decider
    """Nothing."""
    return set()


def lookups(command: RecordRollback, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    return {"rollback": Fresh(KIND, command.id)}


def decide(command: RecordRollback, found: dict[str, Found]) -> Decided:
    event = RollbackApplied(
        to_position=command.to_position,
        planned_at_position=command.planned_at_position,
        reason=command.reason,
        entities=command.entities,
    )
    return creation(found["rollback"], event, evolve=evolve)
