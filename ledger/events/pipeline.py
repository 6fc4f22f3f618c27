"""A pipeline: the name under which snapshots and runs of the same work gather."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from ledger.envelope import Event

KIND = "pipeline"


class PipelineRegistered(Event, frozen=True):
    type: ClassVar[str] = "pipeline.registered"

    name: str
    description: str = ""


class PipelineUpdated(Event, frozen=True):
    type: ClassVar[str] = "pipeline.updated"

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class PipelineDeleted(Event, frozen=True):
    type: ClassVar[str] = "pipeline.deleted"


class PipelineRestored(Event, frozen=True):
    """A deleted pipeline is back with what it held when it was deleted."""

    type: ClassVar[str] = "pipeline.restored"


EVENTS = (PipelineRegistered, PipelineUpdated, PipelineDeleted, PipelineRestored)
