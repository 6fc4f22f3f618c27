"""Events as bytes: canonical JSON in the log, the canonical envelope that is hashed and published, and back.

The same event always gives the same bytes: keys are sorted, absent fields are left out, nothing is padded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from ledger.envelope import Envelope, RecordedEvent
from ledger.errors import EventTooLarge, UnknownEventType, UnstorableText
from ledger.events.registry import event_types
from ledger.upcasters import upcast
from ledger.values import StreamId

if TYPE_CHECKING:
    from ledger.envelope import Event

ENVELOPE_BYTES_MAX = 65_535
"""A tile's entry has a 16-bit length (C2SP tlog-tiles), so an event as a whole stays under 64 KiB."""

EVENT_DATA_BYTES_MAX = ENVELOPE_BYTES_MAX - 4_095
"""What the envelope's own fields can need is kept free."""

_encoder = msgspec.json.Encoder(order="sorted")
_envelope_decoder = msgspec.json.Decoder(Envelope)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def encode_data(event: Event) -> bytes:
    """The canonical JSON of an event's data.

    Raises EventTooLarge over EVENT_DATA_BYTES_MAX, UnstorableText for text with a NUL character.
    """
    data = _encoder.encode(event)
    if len(data) > EVENT_DATA_BYTES_MAX:
        raise EventTooLarge(event.type, size_bytes=len(data), size_bytes_max=EVENT_DATA_BYTES_MAX)
    if b"\\u0000" in data and _NUL.search(data):
        raise UnstorableText(event.type)
    return data


def decode_data(type_name: str, schema: int, data: bytes | msgspec.Raw) -> Event:
    """The event as the newest schema of its type. Raises UnknownEventType for what this program does not know."""
    event_type = event_types().get(type_name)
    if event_type is None or schema > event_type.schema:
        raise UnknownEventType(type_name, schema)
    if schema == event_type.schema:
        return msgspec.json.decode(data, type=event_type)
    fields = upcast(type_name, msgspec.json.decode(data), schema=schema, to_schema=event_type.schema)
    return msgspec.convert(fields, type=event_type)


def canonical(envelope: Envelope) -> bytes:
    """The bytes that the Merkle tree's leaf covers and that NATS carries."""
    return _encoder.encode(envelope)


def from_canonical(message: bytes, *, leaf_hash: bytes) -> RecordedEvent:
    """The event that a published envelope carries."""
    envelope = _envelope_decoder.decode(message)
    kind, _, stream_id = envelope.stream.partition("/")
    return RecordedEvent(
        workspace_id=envelope.workspace_id,
        position=envelope.position,
        stream=StreamId(kind, UUID(stream_id)),
        version=envelope.version,
        event_id=envelope.event_id,
        type=envelope.type,
        schema=envelope.schema,
        event=decode_data(envelope.type, envelope.schema, envelope.data),
        actor=envelope.actor,
        command_id=envelope.command_id,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        occurred_at=envelope.occurred_at,
        recorded_at=envelope.recorded_at,
        leaf_hash=leaf_hash,
    )


def public(event: RecordedEvent) -> dict[str, Any]:
    """The event as people and programs outside see it."""
    return {
        "position": event.position,
        "type": event.type,
        "schema": event.schema,
        "stream": str(event.stream),
        "version": event.version,
        "event_id": event.event_id,
        "actor": event.actor,
        "command_id": event.command_id,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "leaf_hash": event.leaf_hash.hex(),
        "data": event.event,
    }
