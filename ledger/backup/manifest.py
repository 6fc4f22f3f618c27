"""What belongs to one backup: every object by name, size and SHA-256, and where each ledger stood.

A manifest is written last. Objects are never changed, so backups share what they have in common.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec

from ledger.backup.errors import BackupDamaged, BackupNewer
from ledger.values import Position

FORMAT = 1


class StoredObject(msgspec.Struct, frozen=True):
    """An immutable object below the place of the backups."""

    name: str
    sha256: str
    size_bytes: int
    rows: int


class Segment(msgspec.Struct, frozen=True):
    """A stretch of one ledger: its entries, and the commands whose last event is in it. `leaf` is the hash of
    position `last` and `frontier` the Merkle tree's up to there, in hexadecimal."""

    first: Position
    last: Position
    entries: StoredObject
    commands: StoredObject
    leaf: str
    frontier: str


class SignedStretch(msgspec.Struct, frozen=True):
    """The checkpoints that were signed since the stretch before, up to and including that of size `last`."""

    last: Position
    rows: StoredObject


class DeploymentBackup(msgspec.Struct, frozen=True):
    """Who signed the checkpoints; the key in hexadecimal."""

    id: UUID
    name: str
    public_key: str


class WorkspaceBackup(msgspec.Struct, frozen=True):
    """One ledger as it was. `clock` is the newest time it gave out, `schema` the pool schema of its query tables (None:
    one of its own). `open_commands` changed nothing at the head
    itself, where others like them could still follow."""

    id: UUID
    position: Position
    clock: datetime | None
    frontier: str
    segments: tuple[Segment, ...]
    claims: int
    claims_sha256: str
    schema: str | None = None
    open_commands: StoredObject | None = None
    checkpoints: tuple[SignedStretch, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """One backup. `schema` is the database's, `made_at` when the snapshot was taken, `deployment` None if nothing was
    ever signed, `keys` where the key files went, if anywhere. `newest` counts only in the newest backup of a place."""

    number: int
    made_at: datetime
    everline: str
    schema: int
    workspaces: tuple[WorkspaceBackup, ...]
    tables: dict[str, StoredObject]
    deployment: DeploymentBackup | None
    keys: str
    newest: dict[str, StoredObject] = {}

    @property
    def events(self) -> int:
        """Of all ledgers."""
        return sum(workspace.position for workspace in self.workspaces)


class _Format(msgspec.Struct):
    format: int


class _Sealed(msgspec.Struct):
    """The manifest with what makes a flipped bit in it visible."""

    format: int
    sha256: str
    manifest: msgspec.Raw


def encode(manifest: Manifest) -> bytes:
    """The manifest as it is stored."""
    body = msgspec.json.encode(manifest, order="sorted")
    return msgspec.json.encode(_Sealed(FORMAT, sha256(body).hexdigest(), msgspec.Raw(body)))


def decode(name: str, stored: bytes, *, schema_known: int) -> Manifest:
    """The inverse. Raises BackupDamaged, and BackupNewer for what this program does not know."""
    try:
        found = msgspec.json.decode(stored, type=_Format).format
        if found > FORMAT:
            raise BackupNewer(name, what="format", found=found, known=FORMAT)
        sealed = msgspec.json.decode(stored, type=_Sealed)
        body = bytes(sealed.manifest)
        if sha256(body).hexdigest() != sealed.sha256:
            raise BackupDamaged(name, "its SHA-256 is another")
        manifest = msgspec.json.decode(body, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupDamaged(name, str(error)) from None
    if manifest.schema > schema_known:
        raise BackupNewer(name, what="database schema", found=manifest.schema, known=schema_known)
    return manifest
