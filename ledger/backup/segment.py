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
PIECE_BYTES_MAX = 1 << 20
SEARCHED_BYTES_MAX = 64
LEAF_DIGITS = 2 * merkle.HASH_BYTES


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
    """One line: the leaf in the tree, and the fields that it covers."""

    leaf: bytes
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


def inflate(name: str, compressed: bytes, *, piece_bytes_max: int = PIECE_BYTES_MAX) -> Iterator[bytes]:
    """The object's content in bounded pieces. Raises BackupDamaged where it does not decompress, or ends early."""
    inflater = zlib.decompressobj(GZIP)
    try:
        while not inflater.eof:
            piece = inflater.decompress(compressed, piece_bytes_max)
            compressed = inflater.unconsumed_tail
            if piece:
                yield piece
            elif not compressed and not inflater.eof:
                raise BackupDamaged(name, "it ends too early")
    except zlib.error:
        raise BackupDamaged(name, "it cannot be decompressed") from None


def read(name: str, compressed: bytes, *, first: Position, workspace_id: str) -> Iterator[Entry]:
    """The entries of a segment in order, each leaf recomputed.

    Raises BackupDamaged with the position of the first line that is not what was written.
    """
    try:
        for position, line in enumerate(_split(name, inflate(name, compressed)), start=first):
            yield _entry(name, line, position, workspace_id)
    except BackupDamaged as damage:
        if damage.position is not None:
            raise
        position = _first_damaged(name, compressed, first, workspace_id)
        raise BackupDamaged(name, damage.reason, position=position) from None


def _first_damaged(name: str, compressed: bytes, first: Position, workspace_id: str) -> Position:
    """Where an object that does not decompress begins to be damaged: read in small pieces, because what the failed
    one held is lost."""
    position = first
    try:
        for line in _split(name, inflate(name, compressed, piece_bytes_max=SEARCHED_BYTES_MAX)):
            _entry(name, line, position, workspace_id)
            position += 1
    except BackupDamaged:
        pass
    return position


def _split(name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
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
    return Entry(leaf, stored)


def entry_of(canonical: bytes) -> Entry:
    """A canonical envelope as an entry of the log."""
    return Entry(merkle.leaf_hash(canonical), _decoder.decode(canonical))
