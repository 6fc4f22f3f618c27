"""Metadata: values that somebody logged about a run or a version. Each entry is a stream, so logging never contends."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import Meta

from commands.changes import creation, digest
from commands.command import Command, Decided, Entity, Found, Fresh, Lookup
from commands.fields import NAME_LENGTH_MAX, MetadataKind, Ref
from ledger.events.metadata import KIND, MetadataLogged

WHY_NOT_RESTORED = "What was logged was logged; log a new value, and the newest wins."
KEYS_MAX = 1_000
STEP_INDEX_MAX = 2**53 - 1
"""Every JSON reader can hold it exactly."""

Key = Annotated[
    str, Meta(min_length=1, max_length=NAME_LENGTH_MAX, pattern=r"^[^:\x00-\x1f]+$", description="no colon in it")
]
Values = Annotated[dict[Key, Any], Meta(min_length=1, max_length=KEYS_MAX)]
StepName = Annotated[str, Meta(max_length=NAME_LENGTH_MAX)]


class LogMetadata(Command, frozen=True, kw_only=True):
    """`step` narrows it to a step of the run; `step_index` makes numbers points of a series (an epoch, a batch)."""

    permission: ClassVar[str] = "metadata:create"

    id: UUID | None = None
    resource_kind: MetadataKind
    resource: Ref
    values: Values
    step: StepName = ""
    step_index: Annotated[int, Meta(ge=0, le=STEP_INDEX_MAX)] | None = None


COMMANDS = (LogMetadata,)


class State(msgspec.Struct, frozen=True):
    content: bytes


def evolve(state: State | None, event: MetadataLogged) -> State:  # noqa: ARG001 - a single event
    match event:
        case MetadataLogged():
            return State(digest(event))
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:  # noqa: ARG001 - see Decider
    """Nothing."""
    return set()


def lookups(command: LogMetadata, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    resource = Entity(command.resource_kind, command.resource, unfenced=True)
    return {"metadata": Fresh(KIND, command.id), "resource": resource}


def decide(command: LogMetadata, found: dict[str, Found]) -> Decided:
    event = MetadataLogged(
        resource_kind=command.resource_kind,
        resource_id=found["resource"].stream.id,
        values=command.values,
        step=command.step,
        step_index=command.step_index,
    )
    return creation(found["metadata"], event, evolve=evolve)
