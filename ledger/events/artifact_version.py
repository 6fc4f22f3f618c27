"""An artifact version: one stored value, where it lies, what it is and which step produced it."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from ledger.envelope import Event

KIND = "artifact_version"
PARENT = "artifact"


class ArtifactVersionRegistered(Event, frozen=True):
    """`number` counts from 1 inside the artifact; `content_hash` is `sha256:<hex>` over the stored files;
    `save_type` is one of step_output, manual, preexisting, external."""

    type: ClassVar[str] = "artifact_version.registered"

    artifact_id: UUID
    number: int
    uri: str
    artifact_type: str
    data_type: str
    materializer: str
    content_hash: str
    size_bytes: int
    save_type: str
    artifact_store_id: UUID | None = None
    run_id: UUID | None = None
    step: str = ""
    output: str = ""


class ArtifactVersionDeleted(Event, frozen=True):
    """The record is withdrawn; whether the stored files are removed is the artifact store's matter."""

    type: ClassVar[str] = "artifact_version.deleted"


class ArtifactVersionRestored(Event, frozen=True):
    type: ClassVar[str] = "artifact_version.restored"


EVENTS = (ArtifactVersionRegistered, ArtifactVersionDeleted, ArtifactVersionRestored)
