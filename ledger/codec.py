"""Events as bytes: canonical JSON in the log, the canonical envelope that is hashed and published, and back.

The same event always gives the same bytes: keys are sorted, absent fields are left out, nothing is padded. Personal
fields are sealed, so what is hashed, published and exported is their ciphertext.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from ledger.envelope import Envelope, RecordedEvent
from ledger.errors import EventTooLarge, SealedEvent, UnknownEventType, UnstorableText
from ledger.events.registry import event_types
from ledger.personal import personal_fields
from ledger.upcasters import upcast
from ledger.values import StreamId

if TYPE_CHECKING:
    from ledger.envelope import Event
    from ledger.erasure import Seal

ENVELOPE_BYTES_MAX = 65_535
"""A tile's entry has a 16-bit length (C2SP tlog-tiles), so an event as a whole stays under 64 KiB."""

EVENT_DATA_BYTES_MAX = ENVELOPE_BYTES_MAX - 4_095
"""What the envelope's own fields can need is kept free."""

_encoder = msgspec.json.Encoder(order="sorted")
_envelope_decoder = msgspec.json.Decoder(Envelope)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def encode_data(event: Event, seal: Seal | None = None) -> bytes:
    """The canonical JSON of an event's data, with its personal fields sealed.

    Raises EventTooLarge over EVENT_DATA_BYTES_MAX, UnstorableText for text with a NUL character, and SealedEvent for
    personal fields without a seal.
    """
    data = _encoder.encode(_sealed(event, seal))
    if len(data) > EVENT_DATA_BYTES_MAX:
        raise EventTooLarge(event.type, size_bytes=len(data), size_bytes_max=EVENT_DATA_BYTES_MAX)
    if b"\\u0000" in data and _NUL.search(data):
        raise UnstorableText(event.type)
    return data


def decode_data(type_name: str, schema: int, data: bytes | msgspec.Raw, seal: Seal | None = None) -> Event:
    """The event as the newest schema of its type, its personal fields opened.

    Raises UnknownEventType for what this program does not know, SealedEvent for personal fields without a seal, and
    SealBroken for fields that were altered.
    """
    return _opened(_decoded(type_name, schema, data), seal)


def _decoded(type_name: str, schema: int, data: bytes | msgspec.Raw) -> Event:
    event_type = event_types().get(type_name)
    if event_type is None or schema > event_type.schema:
        raise UnknownEventType(type_name, schema)
    if schema == event_type.schema:
        return msgspec.json.decode(data, type=event_type)
    fields = upcast(type_name, msgspec.json.decode(data), schema=schema, to_schema=event_type.schema)
    return msgspec.convert(fields, type=event_type)


def _sealed(event: Event, seal: Seal | None) -> Event:
    texts = _personal_texts(event)
    if not texts:
        return event
    if seal is None:
        raise SealedEvent(event.type)
    if any("\x00" in text for text in texts.values()):
        raise UnstorableText(event.type)
    return msgspec.structs.replace(event, **{name: seal.close(name, text) for name, text in texts.items()})


def _opened(event: Event, seal: Seal | None) -> Event:
    texts = _personal_texts(event)
    if not texts:
        return event
    if seal is None:
        raise SealedEvent(event.type)
    return msgspec.structs.replace(event, **{name: seal.open(name, text) for name, text in texts.items()})


def _personal_texts(event: Event) -> dict[str, str]:
    """The personal fields that are set."""
    texts = {name: getattr(event, name) for name in personal_fields(type(event))}
    return {name: text for name, text in texts.items() if text is not msgspec.UNSET}


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
