"""What is asked of an append, and how the ledger judges it: pure rules, without SQL.

A unit is a list of commands whose events enter the ledger together or not at all.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import msgspec

from ledger import merkle
from ledger.codec import canonical
from ledger.envelope import Envelope
from ledger.errors import ClaimTaken, CommandRecorded, GuardFailed, StreamTooLong, VersionConflict, WorkspaceElsewhere
from ledger.values import Position, StreamId, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAM_LENGTH_MAX = 50_000
"""Events in one stream; longer histories belong in several entities."""

HERE = "here"
"""The presence of a workspace on the one PostgreSQL where it is written (`ledger.heads`)."""

CLOCK_TICK = timedelta(microseconds=1)


class EventToAppend(NamedTuple):
    """An event with its data encoded already, so that the time under the head's lock is short."""

    stream: StreamId
    event_id: UUID
    type: str
    schema: int
    data: bytes


class CommandToAppend(NamedTuple):
    """One command: its id, the hash of what was asked, what it acted on, and the events it caused."""

    command_id: UUID
    request_hash: bytes
    target: StreamId
    events: tuple[EventToAppend, ...]
    occurred_at: datetime


class Unit(NamedTuple):
    """Commands that enter the ledger together. `expected` holds the version of every stream that was looked at;
    `guards` maps a claim prefix to the last key that was seen under it; `subject_keys` the new wrapped key of a person,
    or None to destroy it. A claim that one stream both takes and releases has to be free, and stays so."""

    workspace_id: UUID
    commands: tuple[CommandToAppend, ...]
    expected: Mapping[StreamId, Version]
    actor: str
    correlation_id: UUID
    causation_id: UUID | None = None
    take: Mapping[str, StreamId] = {}
    release: Mapping[str, StreamId] = {}
    guards: Mapping[str, str | None] = {}
    subject_keys: Mapping[UUID, bytes | None] = {}


class Appended(NamedTuple):
    """The first and last position of each command (last < first if it had no events), and the head after the unit."""

    positions: tuple[tuple[Position, Position], ...]
    recorded_at: datetime
    head: Position


class EventRow(NamedTuple):
    """A row of the log, in the order of its columns."""

    workspace_id: UUID
    position: Position
    stream_kind: str
    stream_id: UUID
    version: Version
    event_id: UUID
    type: str
    schema: int
    data: bytes
    actor: str
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime
    leaf_hash: bytes


class Ledger:
    """One workspace's head and everything a batch needs to know of it, read under the head's lock.

    `admit` judges one unit and, if it holds, moves this state on as if the unit were committed: the units of a batch
    see each other. What has to be written gathers in the public lists and maps.
    """

    def __init__(
        self,
        *,
        position: Position,
        clock: datetime | None,
        frontier: bytes,
        now: datetime,
        presence: str = HERE,
    ) -> None:
        self.position = position
        self.presence = presence
        self.recorded_at = now if clock is None else max(now, clock + CLOCK_TICK)
        self.frontier = merkle.unpack(frontier)
        self.commands: set[UUID] = set()
        self.versions: dict[StreamId, Version] = {}
        self.claims: dict[str, StreamId] = {}
        self.last_keys: dict[str, str | None] = {}
        self.event_rows: list[EventRow] = []
        self.command_rows: list[tuple[UUID, UUID, bytes, Position, Position, str, UUID]] = []
        self.new_keys: list[tuple[UUID, UUID, bytes]] = []
        self.ended_keys: list[tuple[UUID, UUID, Position]] = []
        self.touched: set[StreamId] = set()
        self.changed_claims: set[str] = set()

    def admit(self, unit: Unit) -> Appended:
        """Judges a unit, then records it. Raises an AppendRefused, having changed nothing."""
        self._judge(unit)
        for key in unit.release:
            self.claims.pop(key, None)
        kept = {key: stream for key, stream in unit.take.items() if unit.release.get(key) != stream}
        self.claims.update(kept)
        self.changed_claims.update(unit.release, unit.take)
        for prefix, last in self.last_keys.items():
            under = [key for key in kept if key.startswith(prefix)]
            self.last_keys[prefix] = max([*under, last or ""]) or None
        positions = tuple(self._record(unit, command) for command in unit.commands)
        for subject, wrapped in unit.subject_keys.items():
            self._record_key(unit.workspace_id, subject, wrapped)
        return Appended(positions, self.recorded_at, self.position)

    def _judge(self, unit: Unit) -> None:
        if self.presence != HERE:
            raise WorkspaceElsewhere(unit.workspace_id, presence=self.presence)
        for command in unit.commands:
            if command.command_id in self.commands:
                raise CommandRecorded(command.command_id)
            for event in command.events:
                if self.versions.get(event.stream, 0) >= STREAM_LENGTH_MAX:
                    raise StreamTooLong(event.stream, length_max=STREAM_LENGTH_MAX)
        for stream, expected in unit.expected.items():
            actual = self.versions.get(stream, 0)
            if actual != expected:
                raise VersionConflict(stream, expected=expected, actual=actual)
        for prefix, last in unit.guards.items():
            if self.last_keys.get(prefix) != last:
                raise GuardFailed(prefix)
        for key, stream in unit.take.items():
            holder = self.claims.get(key)
            if holder is not None and holder != stream and holder != unit.release.get(key):
                raise ClaimTaken(key, holder=holder)

    def _record(self, unit: Unit, command: CommandToAppend) -> tuple[Position, Position]:
        first = self.position + 1
        # What is read back is in UTC: the leaf has to cover those very bytes.
        command = command._replace(occurred_at=command.occurred_at.astimezone(UTC))
        for event in command.events:
            self._record_event(unit, command, event)
        target = command.target
        self.commands.add(command.command_id)
        self.command_rows.append(
            (
                unit.workspace_id,
                command.command_id,
                command.request_hash,
                first,
                self.position,
                target.kind,
                target.id,
            )
        )
        return first, self.position

    def _record_key(self, workspace_id: UUID, subject: UUID, wrapped: bytes | None) -> None:
        """A key ends at the last event of its subject, the one that says so."""
        if wrapped is not None:
            self.new_keys.append((workspace_id, subject, wrapped))
        else:
            ended = next(row.position for row in reversed(self.event_rows) if row.stream_id == subject)
            self.ended_keys.append((workspace_id, subject, ended))

    def _record_event(self, unit: Unit, command: CommandToAppend, event: EventToAppend) -> None:
        self.position += 1
        version = self.versions.get(event.stream, 0) + 1
        self.versions[event.stream] = version
        self.touched.add(event.stream)
        envelope = Envelope(
            actor=unit.actor,
            causation_id=unit.causation_id,
            command_id=command.command_id,
            correlation_id=unit.correlation_id,
            data=msgspec.Raw(event.data),
            event_id=event.event_id,
            occurred_at=command.occurred_at,
            position=self.position,
            recorded_at=self.recorded_at,
            schema=event.schema,
            stream=str(event.stream),
            type=event.type,
            version=version,
            workspace_id=unit.workspace_id,
        )
        leaf = merkle.leaf_hash(canonical(envelope))
        merkle.grow(self.frontier, self.position - 1, leaf)
        self.event_rows.append(
            EventRow(
                workspace_id=unit.workspace_id,
                position=self.position,
                stream_kind=event.stream.kind,
                stream_id=event.stream.id,
                version=version,
                event_id=event.event_id,
                type=event.type,
                schema=event.schema,
                data=event.data,
                actor=unit.actor,
                command_id=command.command_id,
                correlation_id=unit.correlation_id,
                causation_id=unit.causation_id,
                occurred_at=command.occurred_at,
                recorded_at=self.recorded_at,
                leaf_hash=leaf,
            )
        )
