"""Personal data: which fields hold it, and what is read where it was erased.

A field of an event or a command is personal by its type, `Personal`; the rest follows. Only the stream of the person
whom it is about may hold such a field: everything else names people by reference (`person/<id>`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from ledger.events.registry import aggregates, event_types

if TYPE_CHECKING:
    from ledger.envelope import Event

MARK = "personal"

Personal = Annotated[str, Meta(extra={MARK: True})]
"""The type of a personal field of an event: the codec seals it with its subject's key."""

ERASED = "[erased]"
"""What a personal field reads as once its subject was erased. No command takes this text, so it is never a value."""


def is_personal(event_type: str) -> bool:
    """Whether events of this type have personal fields."""
    return event_type in _personal_types()


@cache
def holds_personal(kind: str) -> bool:
    """Whether streams of this kind are about a person."""
    return any(event_type.partition(".")[0] == kind for event_type in _personal_types())


@cache
def personal_fields(event: type[Event]) -> tuple[str, ...]:
    """The names of the personal fields."""
    fields = msgspec.inspect.type_info(event).fields  # type: ignore[attr-defined]  # structs have fields
    return tuple(field.name for field in fields if _is_marked(field.type))


@cache
def personal_kinds() -> frozenset[str]:
    """Every kind of stream that is about a person."""
    return frozenset(kind for kind in aggregates() if holds_personal(kind))


@cache
def _personal_types() -> frozenset[str]:
    return frozenset(name for name, event in event_types().items() if personal_fields(event))


def _is_marked(type_: msgspec.inspect.Type) -> bool:
    return isinstance(type_, msgspec.inspect.Metadata) and bool((type_.extra or {}).get(MARK))
