"""A stretch of the log as bytes: gzip over one line per event, its leaf hash in hexadecimal and its canonical envelope.

The envelope is the Merkle tree's entry, so whoever has a segment can recompute the leaf of each line and, from the
first segment on, the tree, with nothing of ours and no PostgreSQL.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ledger import merkle
from ledger.backup.errors import BackupDamaged
from ledger.values import Position

if TYPE_CHECKING:
    from collections.abc import Iterable

GZIP = 16 + zlib.MAX_WBITS
LEVEL = 1
"""The fastest: a backup should not compete with the system it backs up."""

PIECE_BYTES_MIN = 64 << 10
INFLATED_BYTES_MAX = 1 << 20
LEAF_DIGITS = 2 * merkle.HASH_BYTES

_NOT_DEFLATE = "it cannot be decompressed"


class StoredEntry(msgspec.Struct, frozen=True):
    """An envelope as text, ready for a database: nothing is parsed that is only passed on."""

    actor: str
    causation_id: str | None
    command_id: str
    correlation_id: str
    data: msgspec.Raw
    event_id: str
    occurred_at: str
    position: Position
    recorded_at: str
    schema: int
    stream: str
    type: str
    version: int
    workspace_id: str


class Entry(NamedTuple):
    """One line: what the tree's leaf covers, that leaf, and the fields."""

    leaf: bytes
    canonical: bytes
    stored: StoredEntry


_decoder = msgspec.json.Decoder(StoredEntry)


class Compressor:
    """Makes one gzip object out of pieces."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        self._small: list[bytes] = []
        self._small_bytes = 0
        self._compressed: list[bytes] = []
        self.size_bytes = 0

    def add(self, piece: bytes) -> None:
        """Pieces may be as small as a row: they are compressed together."""
        self._small.append(piece)
        self._small_bytes += len(piece)
        if self._small_bytes >= PIECE_BYTES_MIN:
            self._compress()

    def finish(self) -> bytes:
        """The whole object; nothing can be added after it."""
        self._compress()
        self._keep(self._deflate.flush())
        return b"".join(self._compressed)

    def _compress(self) -> None:
        self._keep(self._deflate.compress(b"".join(self._small)))
        self._small.clear()
        self._small_bytes = 0

    def _keep(self, compressed: bytes) -> None:
        self._compressed.append(compressed)
        self.size_bytes += len(compressed)


def lines(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """(leaf, canonical envelope) pairs as lines."""
    return b"".join([b"%s %s\n" % (leaf.hex().encode(), canonical) for leaf, canonical in entries])


def inflate(name: str, compressed: bytes) -> Iterator[bytes]:
    """The object's content in bounded pieces. Raises BackupDamaged where it does not decompress, or ends early."""
    inflater = zlib.decompressobj(GZIP)
    try:
        while not inflater.eof:
            piece = inflater.decompress(compressed, INFLATED_BYTES_MAX)
            compressed = inflater.unconsumed_tail
            if piece:
                yield piece
            elif not compressed and not inflater.eof:
                raise BackupDamaged(name, "it ends too early")
    except zlib.error:
        raise BackupDamaged(name, _NOT_DEFLATE) from None


def read(name: str, compressed: bytes, *, first: Position, workspace_id: str) -> Iterator[Entry]:
    """The entries of a segment in order, each leaf recomputed.

    Raises BackupDamaged with the position of the first line that is not what was written.
    """
    position = first - 1
    try:
        for line in _split(name, compressed):
            position += 1
            yield _entry(name, line, position, workspace_id)
    except BackupDamaged as damage:
        if damage.position is not None:
            raise
        raise BackupDamaged(name, damage.reason, position=position + 1) from None


def _split(name: str, compressed: bytes) -> Iterator[bytes]:
    rest = b""
    for piece in inflate(name, compressed):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        raise BackupDamaged(name, "its last line is cut")


def _entry(name: str, line: bytes, position: Position, workspace_id: str) -> Entry:
    canonical = line[LEAF_DIGITS + 1 :]
    leaf = merkle.leaf_hash(canonical)
    if line[:LEAF_DIGITS] != leaf.hex().encode():
        raise BackupDamaged(name, "the event does not hash to its leaf", position=position)
    try:
        stored = _decoder.decode(canonical)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupDamaged(name, str(error), position=position) from None
    if stored.position != position or stored.workspace_id != workspace_id:
        raise BackupDamaged(name, f"position {stored.position} of {stored.workspace_id} is there", position=position)
    return Entry(leaf, canonical, stored)
