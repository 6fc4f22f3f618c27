"""What states, events and commands have in common: creating once, changing only what differs, going back."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from hashlib import sha256
from typing import Any, Protocol, TypeVar

import msgspec

from commands.command import Command, Decided, Found
from commands.rejections import AlreadyExists
from ledger.envelope import Event, NewEvent

S = TypeVar("S", bound=msgspec.Struct)


class BrokenHistory(Exception):
    """An event that cannot follow the state before it: the stream was not written by these deciders."""


class Deletable(Protocol):
    """A state that knows whether its entity is deleted."""

    @property
    def deleted(self) -> bool: ...


def existing(state: S | None, event: Event) -> S:
    """The state that this event changes; a stream never starts with such an event."""
    if state is None:
        raise BrokenHistory(f"a stream starts with {event.type}")
    return state


def creation(found: Found, *events: Event, evolve: Callable[[Any, Any], msgspec.Struct]) -> Decided:
    """The first events of an entity. If it exists and is exactly what they would make, nothing has to happen: a
    client may send a creation with its own id again."""
    if found.state is None:
        return [NewEvent(found.stream, event) for event in events]
    return [] if reduce(evolve, events, None) == found.state else AlreadyExists(found.stream)


def digest(event: Event, *, after: bytes = b"") -> bytes:
    """Stands for an event's content in a state that need not keep it."""
    return sha256(after + msgspec.json.encode(event, order="sorted")).digest()


def set_fields(struct: msgspec.Struct, *, leaving: str = "") -> dict[str, Any]:
    """The fields that are present, except the one that names the target."""
    fields = {name: getattr(struct, name) for name in struct.__struct_fields__ if name != leaving}
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


def differing(state: object, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields whose value is not what the state holds already: only real changes become events."""
    return {name: value for name, value in fields.items() if getattr(state, name) != value}


def updated(state: S, event: Event) -> S:
    """The state with every present field of an `...Updated` event."""
    return msgspec.structs.replace(state, **set_fields(event))


def way_back(
    current: Deletable,
    past: Deletable | None,
    *,
    fields: tuple[str, ...],
    delete: Command,
    restore: Command,
    update: Callable[..., Command],
) -> list[Command]:
    """The commands that bring an entity back to what it was; `past` is None when it did not exist."""
    if past is None or past.deleted:
        return [] if current.deleted else [delete]
    back = [restore] if current.deleted else []
    changed = differing(current, {name: getattr(past, name) for name in fields})
    return [*back, update(**changed)] if changed else back
