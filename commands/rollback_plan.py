"""Rollback: which commands bring entities back to what they were, shown before anything is done.

Nothing is deleted: applying a plan is one atomic batch of ordinary commands under one correlation id, headed by the
record of the reason. It can be rolled back like any other change.
"""

from __future__ import annotations

from functools import cache
from graphlib import TopologicalSorter
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec

from commands.command import Command, Entity, Rejection, command_name
from commands.registry import decider
from commands.rejections import EntityNotFound, NothingToRollBack, PlanOutdated, RollbackTooLarge
from commands.rollback import RecordRollback
from commands.submission import BATCH_MAX, Receipt, submission
from commands.working_set import FoldCache, WorkingSet
from ledger.errors import PositionBeyondHead
from ledger.events.registry import aggregates, parent_of
from ledger.values import Position, StreamId, Version, derived_id, new_id

if TYPE_CHECKING:
    from commands.handler import CommandHandler
    from ledger.postgres.read import LedgerReader

ENTITIES_MAX = 200


class FieldChange(NamedTuple):
    """What a field holds now and what it held then."""

    field: str
    now: Any
    then: Any


class PlannedCommand(msgspec.Struct, frozen=True):
    name: str
    body: Command


class PlannedEntity(msgspec.Struct, frozen=True):
    """One entity's way back: what differs, and the commands that undo it."""

    entity: str
    version: Version
    changes: list[FieldChange]
    commands: list[PlannedCommand]


class NotUndone(msgspec.Struct, frozen=True):
    entity: str
    reason: str


class Plan(msgspec.Struct, frozen=True):
    """What a rollback would do. `plan_id` is a digest: applying is refused if a new plan would differ."""

    plan_id: str
    to_position: Position
    planned_at_position: Position
    entities: list[PlannedEntity]
    not_undone: list[NotUndone]


class Applied(msgspec.Struct, frozen=True):
    id: UUID
    position: Position
    receipts: list[Receipt]


class RollbackPlanner:
    """Plans from the ledger alone: streams folded to the position and to the head."""

    def __init__(self, handler: CommandHandler, reader: LedgerReader) -> None:
        self._handler = handler
        self._reader = reader

    async def plan(self, workspace_id: UUID, *, to: Position, entities: list[str] | None) -> Plan | Rejection:
        """The plan that brings these entities (`kind/ref`), or everything that changed since, back to position `to`.

        Reads only. Raises PositionBeyondHead.
        """
        head = (await self._reader.head(workspace_id)).position
        if to > head:
            raise PositionBeyondHead(to, head=head)
        streams = await self._scope(workspace_id, to=to, head=head, entities=entities)
        if isinstance(streams, Rejection):
            return streams
        planned: list[PlannedEntity] = []
        not_undone: list[NotUndone] = []
        for stream in streams:
            outcome = await self._plan_one(workspace_id, stream, to=to)
            if isinstance(outcome, PlannedEntity):
                planned.append(outcome)
            elif outcome is not None:
                not_undone.append(outcome)
        planned.sort(key=lambda entity: entity.entity)
        return Plan(_digest(to, planned), to, head, planned, not_undone)

    async def apply(
        self, workspace_id: UUID, *, plan: Plan, plan_id: str, reason: str, actor: str, command_id: UUID
    ) -> Applied | Rejection:
        """Executes a plan that was just made again for the same scope, if it still is the plan that was approved.

        A repeat with the same command id answers what the first one did.
        """
        commands = in_order(plan.entities)
        earlier = await self._earlier(workspace_id, command_id)
        if earlier is not None:
            return earlier
        if plan.plan_id != plan_id:
            return PlanOutdated(plan_id=plan_id, now=plan.plan_id)
        if not commands:
            return NothingToRollBack(plan.to_position)
        if len(commands) >= BATCH_MAX:
            return RollbackTooLarge(len(commands), size_max=BATCH_MAX - 1)
        record = RecordRollback(
            id=derived_id("rollback", command_id),
            to_position=plan.to_position,
            planned_at_position=plan.planned_at_position,
            reason=reason,
            entities=tuple(entity.entity for entity in plan.entities),
        )
        batch = [submission(record, command_id=command_id)]
        batch += [
            submission(command, command_id=derived_id("rollback", command_id, number))
            for number, command in enumerate(commands)
        ]
        # One change: a name may go back to its old holder before the new one gives it up.
        answers = await self._handler.submit(
            workspace_id, batch, actor=actor, unique_at_end=True, correlation_id=new_id()
        )
        receipts = [answer for answer in answers if isinstance(answer, Receipt)]
        if len(receipts) < len(answers):
            return next(
                answer for answer in answers if isinstance(answer, Rejection) and answer.code != "batch_aborted"
            )
        return Applied(receipts[0].id, receipts[0].position, receipts)

    async def _earlier(self, workspace_id: UUID, command_id: UUID) -> Applied | None:
        """The answer of the same application, if the ledger has it."""
        recorded = (await self._reader.recorded_commands(workspace_id, [command_id])).get(command_id)
        if recorded is None:
            return None
        return Applied(recorded.stream.id, recorded.last_position, [])

    async def _scope(
        self, workspace_id: UUID, *, to: Position, head: Position, entities: list[str] | None
    ) -> list[StreamId] | Rejection:
        if entities is None:
            found = await self._reader.changed_streams(workspace_id, after=to, until=head, limit=ENTITIES_MAX + 1)
        else:
            found = []
            working = WorkingSet(self._reader, workspace_id, folds=FoldCache(), fresh=True)
            for entity in entities[: ENTITIES_MAX + 1]:
                stream = await _named(working, entity)
                if isinstance(stream, Rejection):
                    return stream
                found.append(stream)
        if len(found) > ENTITIES_MAX:
            return RollbackTooLarge(len(found), size_max=ENTITIES_MAX)
        return found

    async def _plan_one(
        self, workspace_id: UUID, stream: StreamId, *, to: Position
    ) -> PlannedEntity | NotUndone | None:
        judge: Any = decider(stream.kind)
        past: Any = None
        current: Any = None
        version = 0
        for recorded in await self._reader.read_stream(workspace_id, stream):
            current = judge.evolve(current, recorded.event)
            version = recorded.version
            if recorded.position <= to:
                past = current
        if current == past:
            return None
        restore = getattr(judge, "restore", None)
        if restore is None:
            return NotUndone(str(stream), judge.WHY_NOT_RESTORED)
        commands = restore(stream, current, past)
        if not commands:
            return None
        return PlannedEntity(
            entity=str(stream),
            version=version,
            changes=_changes(current, past),
            commands=[PlannedCommand(command_name(type(command)), command) for command in commands],
        )


async def _named(working: WorkingSet, entity: str) -> StreamId | Rejection:
    """The stream of `kind/ref`."""
    kind, _, ref = entity.partition("/")
    kind = kind.replace("-", "_")
    if kind not in aggregates():
        return EntityNotFound("kind", kind)
    found = await working.find({"entity": Entity(kind, ref, deleted_too=True)})
    return found if isinstance(found, Rejection) else found["entity"].stream


def _changes(current: msgspec.Struct, past: msgspec.Struct | None) -> list[FieldChange]:
    """The fields that differ; `then` is None throughout for an entity that did not exist."""
    fields = current.__struct_fields__
    return [
        FieldChange(field, getattr(current, field), None if past is None else getattr(past, field))
        for field in fields
        if past is None or getattr(current, field) != getattr(past, field)
    ]


def in_order(planned: list[PlannedEntity]) -> list[Command]:
    """The commands in an order that holds: what others use is restored first, changed next, and deleted last."""
    ranks = _ranks()
    ordered: list[tuple[int, int, Command]] = []
    for entity in planned:
        rank = ranks[entity.entity.partition("/")[0]]
        for command in entity.commands:
            if command.name.startswith("restore-"):
                ordered.append((0, rank, command.body))
            elif command.name.startswith("delete-"):
                ordered.append((2, -rank, command.body))
            else:
                ordered.append((1, rank, command.body))
    return [command for _, _, command in sorted(ordered, key=itemgetter(0, 1))]


@cache
def _ranks() -> dict[str, int]:
    """Kinds in the order of use: a kind comes after its parent and after every kind that it names in `USES`."""
    uses = {kind: {*getattr(decider(kind), "USES", ()), parent_of(kind)} - {None} for kind in aggregates()}
    return {kind: rank for rank, kind in enumerate(TopologicalSorter(uses).static_order())}


def _digest(to: Position, planned: list[PlannedEntity]) -> str:
    """What was approved: the target and every command on every version."""
    return sha256(msgspec.json.encode((to, planned), order="sorted")).hexdigest()
