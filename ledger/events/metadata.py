"""Metadata and metrics that somebody logged about an entity. Each entry has a stream of its own: a training loop
that logs ten thousand times contends with nobody."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from ledger.envelope import Event
from ledger.values import JsonObject

KIND = "metadata"


class MetadataLogged(Event, frozen=True):
    """`step_index` is the x-axis of a series (an epoch, a batch number); the newest value of a key wins."""

    type: ClassVar[str] = "metadata.logged"

    resource_kind: str
    resource_id: UUID
    values: JsonObject
    step: str = ""
    step_index: int | None = None


EVENTS = (MetadataLogged,)
