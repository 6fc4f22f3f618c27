"""Entities that a command names and that are made under that name when they are missing.

Two clients that make the same name at once end with one entity: the claim on the name refuses the second, and its
next attempt finds the first.
"""

from __future__ import annotations

from uuid import UUID

from commands.command import Entity, Found, Fresh, Lookup
from ledger.envelope import Event, NewEvent


def lookups_named(kind: str, ref: str, found: dict[str, Found]) -> dict[str, Lookup]:
    """The entity called `ref`, and once it is known to be missing, a fresh one. What looks like an id must exist."""
    lookups: dict[str, Lookup] = {kind: Entity(kind, ref, optional=not _is_id(ref))}
    if kind in found and found[kind].state is None:
        lookups[_new(kind)] = Fresh(kind)
    return lookups


def named(kind: str, found: dict[str, Found]) -> Found | None:
    """The entity, found or fresh; None while it is not looked up yet."""
    if _new(kind) in found:
        return found[_new(kind)]
    return found[kind] if kind in found and found[kind].state is not None else None


def decided(kind: str, found: dict[str, Found]) -> Found:
    """The entity, found or fresh, once every lookup is answered."""
    return found.get(_new(kind), found[kind])


def made_if_missing(entity: Found, event: Event) -> list[NewEvent]:
    """The event that makes the entity, unless it was found."""
    return [NewEvent(entity.stream, event)] if entity.state is None else []


def _new(kind: str) -> str:
    return f"new {kind}"


def _is_id(ref: str) -> bool:
    try:
        UUID(ref)
    except ValueError:
        return False
    return True
