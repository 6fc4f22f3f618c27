"""A tag on an entity. Each pair has a stream of its own, so that a popular tag is no bottleneck."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from ledger.envelope import Event

KIND = "tagging"


class TagAttached(Event, frozen=True):
    type: ClassVar[str] = "tag.attached"

    tag_id: UUID
    tag: str
    resource_kind: str
    resource_id: UUID


class TagDetached(Event, frozen=True):
    type: ClassVar[str] = "tag.detached"

    tag_id: UUID
    tag: str
    resource_kind: str
    resource_id: UUID


EVENTS = (TagAttached, TagDetached)
