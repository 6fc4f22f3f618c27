"""Why commands are refused: types with fields, a stable code, a message and, where it helps, a hint.

What refuses transitions of runs and their steps is in `run_rejections.py`.
The HTTP status of each code stands in one table, in the gateway.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from commands.command import Rejection
from ledger.values import StreamId, Version


class EntityNotFound(Rejection, frozen=True):
    code: ClassVar[str] = "not_found"
    kind: str
    ref: str

    def message(self) -> str:
        return f"there is no {self.kind.replace('_', ' ')} {self.ref!r}"

    def hint(self) -> str:
        return f"everline {self.kind.replace('_', '-')} list"


class AmbiguousReference(Rejection, frozen=True):
    code: ClassVar[str] = "ambiguous_reference"
    kind: str
    ref: str
    matches: list[UUID]

    def message(self) -> str:
        return f"{self.ref!r} is the beginning of more than one {self.kind} id"

    def hint(self) -> str:
        return "use more of the id: " + " or ".join(str(match) for match in self.matches)


class WorkspaceNotFound(Rejection, frozen=True):
    code: ClassVar[str] = "workspace_not_found"
    ref: str

    def message(self) -> str:
        return f"there is no workspace {self.ref!r}"

    def hint(self) -> str:
        return "everline workspace list"


class UnknownAlias(Rejection, frozen=True, kw_only=True):
    """A PostgreSQL that the settings do not name."""

    code: ClassVar[str] = "unknown_alias"
    alias: str
    known: list[str]

    def message(self) -> str:
        return f"there is no PostgreSQL with the alias {self.alias!r}"

    def hint(self) -> str:
        return f"known: {', '.join(self.known)}; EVERLINE_DSNS names more"


class AlreadyPlaced(Rejection, frozen=True):
    code: ClassVar[str] = "already_placed"
    workspace: str
    alias: str

    def message(self) -> str:
        return f"workspace {self.workspace!r} is on {self.alias!r} already"


class MoveRunning(Rejection, frozen=True):
    code: ClassVar[str] = "move_running"
    workspace: str
    alias: str

    def message(self) -> str:
        return f"workspace {self.workspace!r} is being moved to {self.alias!r}"

    def hint(self) -> str:
        return "wait until that move has ended"


class NoSuchMove(Rejection, frozen=True):
    """The move has ended, or was given up by somebody who found its mover gone."""

    code: ClassVar[str] = "no_such_move"
    move_id: UUID

    def message(self) -> str:
        return f"no move {self.move_id} is running"


class UnknownCommand(Rejection, frozen=True):
    code: ClassVar[str] = "unknown_command"
    name: str
    close: list[str]

    def message(self) -> str:
        return f"there is no command {self.name!r} here"

    def hint(self) -> str:
        return "did you mean " + " or ".join(self.close) + "?" if self.close else "see the OpenAPI document"


class InvalidCommand(Rejection, frozen=True):
    """The body does not fit the command: an unknown field, a wrong type, a value out of bounds."""

    code: ClassVar[str] = "invalid_command"
    command: str
    reason: str

    def message(self) -> str:
        return f"{self.command}: {self.reason}"


class EventTooLarge(Rejection, frozen=True):
    code: ClassVar[str] = "event_too_large"
    event_type: str
    size_bytes: int
    size_bytes_max: int

    def message(self) -> str:
        return f"{self.event_type} would hold {self.size_bytes} bytes, the limit is {self.size_bytes_max}"

    def hint(self) -> str:
        return "store big values as artifacts and refer to them"


class Forbidden(Rejection, frozen=True):
    code: ClassVar[str] = "forbidden"
    actor: str
    permission: str

    def message(self) -> str:
        return f"{self.actor} lacks {self.permission}"


class AlreadyExists(Rejection, frozen=True):
    code: ClassVar[str] = "already_exists"
    stream: StreamId

    def message(self) -> str:
        return f"{self.stream} exists already"


class NameTaken(Rejection, frozen=True):
    """Something that must be unique is held by another entity, which is named."""

    code: ClassVar[str] = "name_taken"
    key: str
    holder: StreamId

    def message(self) -> str:
        kind, _, name = self.key.partition(":")
        return f"the {kind.replace('_', ' ')} name {name!r} is taken by {self.holder}"

    def hint(self) -> str:
        return "choose another name, or change the one that holds it"


class NotDeleted(Rejection, frozen=True):
    code: ClassVar[str] = "not_deleted"
    stream: StreamId

    def message(self) -> str:
        return f"{self.stream} is not deleted, so there is nothing to restore"


class StaleVersion(Rejection, frozen=True):
    """The caller's `If-Match` names a version that is not the current one."""

    code: ClassVar[str] = "stale_version"
    stream: StreamId
    expected: Version
    actual: Version

    def message(self) -> str:
        return f"{self.stream} is at version {self.actual}, you expected {self.expected}"

    def hint(self) -> str:
        return "read it again, decide again, and send the version that you read"


class ConcurrentChange(Rejection, frozen=True):
    """Others changed the same entity at each of the bounded attempts."""

    code: ClassVar[str] = "concurrent_change"
    what: str
    attempts: int

    def message(self) -> str:
        return f"{self.what} changed during each of {self.attempts} attempts"

    def hint(self) -> str:
        return "send the same command again, with the same command id"


class CommandIdReused(Rejection, frozen=True):
    code: ClassVar[str] = "command_id_reused"
    command_id: UUID

    def message(self) -> str:
        return f"command id {self.command_id} was used before for another command"

    def hint(self) -> str:
        return "use a new command id for a new command"


class StreamFull(Rejection, frozen=True):
    code: ClassVar[str] = "stream_full"
    stream: StreamId
    length_max: int

    def message(self) -> str:
        return f"{self.stream} reached its bound of {self.length_max} events"


class BatchTooLarge(Rejection, frozen=True):
    code: ClassVar[str] = "batch_too_large"
    size: int
    size_max: int

    def message(self) -> str:
        return f"a batch of {self.size} commands is over the limit of {self.size_max}"

    def hint(self) -> str:
        return "send several batches"


class BatchAborted(Rejection, frozen=True):
    """Another command of an atomic batch was refused, so nothing of the batch was done."""

    code: ClassVar[str] = "batch_aborted"
    index: int

    def message(self) -> str:
        return f"command {self.index} of this atomic batch was refused, so nothing of the batch was done"


class TextNotStorable(Rejection, frozen=True):
    code: ClassVar[str] = "text_not_storable"
    event_type: str

    def message(self) -> str:
        return f"{self.event_type} would hold text with a NUL character (\\u0000), which cannot be stored"

    def hint(self) -> str:
        return "remove the NUL character"


class WrongLedger(Rejection, frozen=True, kw_only=True):
    """A command of the control ledger was sent to a workspace, or the other way round."""

    code: ClassVar[str] = "wrong_ledger"
    command: str
    belongs_to: str

    def message(self) -> str:
        return f"{self.command} belongs to {self.belongs_to}, not here"


class PlanOutdated(Rejection, frozen=True, kw_only=True):
    """What would be done is no longer what was approved: something in the scope changed since."""

    code: ClassVar[str] = "plan_outdated"
    plan_id: str
    now: str

    def message(self) -> str:
        return "something in the scope of this rollback changed since it was planned"

    def hint(self) -> str:
        return "plan it again and look at the new plan"


class NothingToRollBack(Rejection, frozen=True):
    code: ClassVar[str] = "nothing_to_roll_back"
    to_position: int

    def message(self) -> str:
        return f"everything in the scope already is what it was at position {self.to_position}"


class RollbackTooLarge(Rejection, frozen=True):
    code: ClassVar[str] = "rollback_too_large"
    size: int
    size_max: int

    def message(self) -> str:
        return f"this rollback touches {self.size} or more, the limit is {self.size_max}"

    def hint(self) -> str:
        return "name the entities to roll back, in several rollbacks"


class ReservedName(Rejection, frozen=True):
    code: ClassVar[str] = "reserved_name"
    kind: str
    name: str

    def message(self) -> str:
        return f"no {self.kind} can be called {self.name!r}: the name is reserved"

    def hint(self) -> str:
        return "choose another name"


class PersonIsErased(Rejection, frozen=True):
    code: ClassVar[str] = "person_erased"
    stream: StreamId

    def message(self) -> str:
        return f"{self.stream} was erased, so nothing can be said of this person any more"


class UnderLegalHold(Rejection, frozen=True):
    """The law wants the data kept. The matters that hold it are named, not what they are about."""

    code: ClassVar[str] = "under_legal_hold"
    stream: StreamId
    matters: list[str]

    def message(self) -> str:
        return f"{self.stream} is under legal hold ({', '.join(self.matters)}) and cannot be erased"

    def hint(self) -> str:
        return f"everline person release {self.stream.id} --matter {self.matters[0]!r}, once the law allows it"


class NoSuchHold(Rejection, frozen=True):
    code: ClassVar[str] = "no_such_hold"
    stream: StreamId
    matter: str
    matters: list[str]

    def message(self) -> str:
        return f"{self.stream} is not held for {self.matter!r}"

    def hint(self) -> str:
        return "it is held for " + " and ".join(self.matters) if self.matters else "no legal hold is on it"


class ReasonNamesPerson(Rejection, frozen=True):
    """The reason outlives the erasure, so it must not say what is to be erased."""

    code: ClassVar[str] = "reason_names_person"
    stream: StreamId

    def message(self) -> str:
        return f"the reason holds the name, handle or address of {self.stream}, and it would stay readable"

    def hint(self) -> str:
        return "give a case number instead"


class StackIncomplete(Rejection, frozen=True):
    code: ClassVar[str] = "stack_incomplete"
    missing: list[str]

    def message(self) -> str:
        return "a stack needs " + " and ".join(f"an {kind.replace('_', ' ')}" for kind in self.missing)


class ComponentTypeMismatch(Rejection, frozen=True, kw_only=True):
    code: ClassVar[str] = "component_type_mismatch"
    component: str
    wanted: str
    actual: str

    def message(self) -> str:
        return f"component {self.component!r} is of type {self.actual}, it cannot serve as {self.wanted}"


class ComponentInUse(Rejection, frozen=True, kw_only=True):
    code: ClassVar[str] = "component_in_use"
    component: str
    stack: str

    def message(self) -> str:
        return f"component {self.component!r} is part of stack {self.stack!r}, so it cannot be deleted"

    def hint(self) -> str:
        return "give the stack another component, or delete the stack first"


class UnknownFlavor(Rejection, frozen=True, kw_only=True):
    code: ClassVar[str] = "unknown_flavor"
    component_type: str
    flavor: str
    known: list[str]

    def message(self) -> str:
        return f"there is no {self.component_type.replace('_', ' ')} of flavor {self.flavor!r}"

    def hint(self) -> str:
        return "use " + " or ".join(self.known) if self.known else "no flavor of this component type exists yet"


class InvalidConfiguration(Rejection, frozen=True, kw_only=True):
    """A component's settings do not fit its flavor."""

    code: ClassVar[str] = "invalid_configuration"
    component_type: str
    flavor: str
    reason: str

    def message(self) -> str:
        return f"configuration of {self.component_type}/{self.flavor}: {self.reason}"


class DuplicateStep(Rejection, frozen=True):
    code: ClassVar[str] = "duplicate_step"
    step: str

    def message(self) -> str:
        return f"two steps are called {self.step!r}"


class DuplicateOutput(Rejection, frozen=True, kw_only=True):
    code: ClassVar[str] = "duplicate_output"
    step: str
    output: str

    def message(self) -> str:
        return f"step {self.step!r} declares the output {self.output!r} twice"


class UnknownUpstream(Rejection, frozen=True, kw_only=True):
    code: ClassVar[str] = "unknown_upstream"
    step: str
    upstream: str

    def message(self) -> str:
        return f"step {self.step!r} comes after {self.upstream!r}, which is not a step of this pipeline"


class UnknownInput(Rejection, frozen=True, kw_only=True):
    """An argument comes from something that no upstream step puts out."""

    code: ClassVar[str] = "unknown_input"
    step: str
    argument: str
    source: str

    def message(self) -> str:
        return (
            f"argument {self.argument!r} of step {self.step!r} comes from {self.source!r}, which no upstream step has"
        )

    def hint(self) -> str:
        return "name an output that a step in `upstream` declares"


class CyclicPipeline(Rejection, frozen=True):
    """`cycle` names the first step again at its end."""

    code: ClassVar[str] = "cyclic_pipeline"
    cycle: list[str]

    def message(self) -> str:
        return "these steps wait for each other: " + " -> ".join(self.cycle)


class StageTaken(Rejection, frozen=True, kw_only=True):
    code: ClassVar[str] = "stage_taken"
    stage: str
    holder: UUID
    number: int

    def message(self) -> str:
        return f"version {self.number} of this model is in {self.stage} already"

    def hint(self) -> str:
        return "demote it first, or use force to archive it"


class VersionInStage(Rejection, frozen=True, kw_only=True):
    code: ClassVar[str] = "version_in_stage"
    model_version: UUID
    stage: str

    def message(self) -> str:
        return f"model version {self.model_version} is in {self.stage}, so it cannot be deleted"

    def hint(self) -> str:
        return "move it to another stage first"
