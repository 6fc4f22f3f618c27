"""A tag: a named, coloured word that people put on other entities."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from ledger.envelope import Event

KIND = "tag"


class TagCreated(Event, frozen=True):
    type: ClassVar[str] = "tag.created"

    name: str
    color: str


class TagUpdated(Event, frozen=True):
    """A tag keeps its name for life: rows that carry it are found by that name."""

    type: ClassVar[str] = "tag.updated"

    color: str | UnsetType = UNSET


class TagDeleted(Event, frozen=True):
    type: ClassVar[str] = "tag.deleted"


class TagRestored(Event, frozen=True):
    type: ClassVar[str] = "tag.restored"


EVENTS = (TagCreated, TagUpdated, TagDeleted, TagRestored)
