"""What an event is: `NewEvent` to append, `RecordedEvent` read back, `Envelope` as it is hashed and published."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from ledger.values import Position, StreamId, Version


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fact. Subclasses live in `ledger/events/`, one file per aggregate, and are never changed once released:
    a new shape is a new `schema` with an upcaster from the old one."""

    type: ClassVar[str]
    schema: ClassVar[int] = 1
    erases: ClassVar[bool] = False
    """Whether it destroys the key of the person whom its stream is about, in the transaction that records it."""


class NewEvent(msgspec.Struct, frozen=True):
    """An event that a decider wants to append to a stream."""

    stream: StreamId
    event: Event


class RecordedEvent(msgspec.Struct, frozen=True):
    """An event of the ledger: where it stands, who caused it, when, and what happened."""

    workspace_id: UUID
    position: Position
    stream: StreamId
    version: Version
    event_id: UUID
    type: str
    schema: int
    event: Event
    actor: str
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime
    leaf_hash: bytes

    @property
    def happened_at(self) -> datetime:
        """When it occurred as far as can be: a client's clock that is ahead puts nothing after its own recording."""
        return min(self.occurred_at, self.recorded_at)


class Envelope(msgspec.Struct, frozen=True):
    """The canonical form: field names sorted, data spliced in as its stored bytes. Its encoding is the Merkle
    tree's entry (RFC 6962 leaf) and the message that NATS carries."""

    actor: str
    causation_id: UUID | None
    command_id: UUID
    correlation_id: UUID
    data: msgspec.Raw
    event_id: UUID
    occurred_at: datetime
    position: Position
    recorded_at: datetime
    schema: int
    stream: str
    type: str
    version: Version
    workspace_id: UUID
