"""An artifact: the name under which versions of the same data gather."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from ledger.envelope import Event

KIND = "artifact"


class ArtifactRegistered(Event, frozen=True):
    type: ClassVar[str] = "artifact.registered"

    name: str
    description: str = ""


class ArtifactUpdated(Event, frozen=True):
    type: ClassVar[str] = "artifact.updated"

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class ArtifactDeleted(Event, frozen=True):
    type: ClassVar[str] = "artifact.deleted"


class ArtifactRestored(Event, frozen=True):
    """A deleted artifact is back with what it held when it was deleted."""

    type: ClassVar[str] = "artifact.restored"


EVENTS = (ArtifactRegistered, ArtifactUpdated, ArtifactDeleted, ArtifactRestored)
