"""An archive's manifest: which files hold which positions, and the proof that they are what was signed.

The proof needs nothing else: the tree's frontier before the first position, grown by the files' leaf hashes, gives the
root at the last one, and the consistency proof leads from there to the signed checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from ledger import checkpoint, merkle
from ledger.archive.errors import ArchiveAltered

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
MANIFEST = "manifest.json"


class ArchivedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One Parquet file; its hash is over its bytes."""

    name: str
    first_position: int
    last_position: int
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`frontier` are the hashes of the tree before `first_position`; `checkpoint` is a signed note, `key` whose."""

    archive_id: UUID
    workspace_id: UUID
    first_position: int
    last_position: int
    files: tuple[ArchivedFile, ...]
    frontier: tuple[bytes, ...]
    checkpoint: str
    key: str
    consistency: tuple[bytes, ...]
    format: int = FORMAT

    def encoded(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1) + b"\n"


def decode(data: bytes, *, url: str, first: int, last: int) -> Manifest:
    """Raises ArchiveAltered for what is no manifest of this format."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArchiveAltered(url, f"it is no manifest: {error}", first=first, last=last) from None
    if manifest.format != FORMAT:
        raise ArchiveAltered(url, f"its format is {manifest.format}, not {FORMAT}", first=first, last=last)
    return manifest


def prove(manifest: Manifest, leaves: Iterable[bytes], *, url: str) -> None:
    """Checks that the leaves are those of the signed checkpoint.

    Raises ArchiveAltered; CheckpointUnsigned, CheckpointForeign or CheckpointMalformed for the checkpoint itself.
    """
    signed = checkpoint.parse(manifest.checkpoint)
    signed.verify(checkpoint.parse_key(manifest.key))
    frontier, size = list(manifest.frontier), manifest.first_position - 1
    for leaf in leaves:
        merkle.grow(frontier, size, leaf)
        size += 1
    proven = size == manifest.last_position and merkle.verify_consistency(
        size,
        signed.checkpoint.size,
        proof=manifest.consistency,
        old_root=merkle.root(frontier),
        root_hash=signed.checkpoint.root,
    )
    if not proven:
        raise ArchiveAltered(
            url, "its events are not those that were signed", first=manifest.first_position, last=manifest.last_position
        )
