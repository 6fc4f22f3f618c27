"""A rollback: the record that entities were brought back to what they were at an earlier position, and why."""

from __future__ import annotations

from typing import ClassVar

from ledger.envelope import Event
from ledger.values import Position

KIND = "rollback"


class RollbackApplied(Event, frozen=True):
    """The compensating events share this event's correlation id and follow it in the same batch. `entities` are
    written `kind/id`."""

    type: ClassVar[str] = "rollback.applied"

    to_position: Position
    planned_at_position: Position
    reason: str
    entities: tuple[str, ...]


EVENTS = (RollbackApplied,)
