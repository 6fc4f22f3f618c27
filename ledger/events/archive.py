"""An archive: positions of a workspace that lie in an object store. Its events live in the control ledger."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from ledger.envelope import Event

KIND = "archive"


class ArchiveMade(Event, frozen=True):
    """The files are durable and were read back; the positions leave the ledger next."""

    type: ClassVar[str] = "archive.made"

    workspace_id: UUID
    first_position: int
    last_position: int
    url: str
    manifest_sha256: str
    size_bytes: int


class ArchiveRestored(Event, frozen=True):
    """The positions are in the ledger again, byte for byte; the files stay where they are."""

    type: ClassVar[str] = "archive.restored"


EVENTS = (ArchiveMade, ArchiveRestored)
