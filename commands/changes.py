"""Changed fields: what a command sets, which of it differs from the state, and a state with an event's fields."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ledger.envelope import Event

S = TypeVar("S", bound=msgspec.Struct)


class BrokenHistory(Exception):
    """An event that cannot follow the state before it: the stream was not written by these deciders."""


def existing(state: S | None, event: Event) -> S:
    """The state that this event changes; a stream never starts with such an event."""
    if state is None:
        raise BrokenHistory(f"a stream starts with {event.type}")
    return state


def set_fields(struct: msgspec.Struct, *, leaving: str = "") -> dict[str, Any]:
    """The fields that are present, except the one that names the target."""
    fields = {name: getattr(struct, name) for name in struct.__struct_fields__ if name != leaving}
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


def differing(state: msgspec.Struct, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields whose value is not what the state holds already: only real changes become events."""
    return {name: value for name, value in fields.items() if getattr(state, name) != value}


def updated(state: S, event: Event) -> S:
    """The state with every present field of an `...Updated` event."""
    return msgspec.structs.replace(state, **set_fields(event))
