"""The full check of a database: every event is hashed again from its row and held against everything that was sealed.

The first witness that an event contradicts names it: its own leaf hash, the gap-free order, its tile, and, when all of
these were made to fit, the signed checkpoints. It reads one snapshot and needs no more memory than a few thousand rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from ledger import checkpoint, merkle, tiles
from ledger.archive.errors import ArchiveAltered, ArchiveGone
from ledger.checkpoint import Checkpoint
from ledger.merkle import HASH_BYTES
from ledger.postgres.scan import Leaf, Scan, StoredHead
from ledger.proof_errors import ProofError
from ledger.tiles import Edge, Tile
from ledger.values import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger.checkpoint import VerifierKey
    from ledger.deployment import Deployment
    from ledger.postgres.scan import Sealed


class Finding(NamedTuple):
    """What does not hold: the first position that it may concern, and the last."""

    code: str
    position: Position
    last: Position
    detail: str


class LogReport(NamedTuple):
    """What was found of one log; without a finding every event of it is what was appended and sealed. A workspace that
    was moved to another PostgreSQL is not here, and is checked there."""

    origin: str
    log_id: UUID
    events: int
    sealed: int
    finding: Finding | None
    is_here: bool = True


class Contradiction(Exception):
    """Ends the scan of one log."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.detail)


def verify_database(scan: Scan, *, public_key: bytes | None = None) -> Iterator[LogReport]:
    """Checks the deployment's own log, then every workspace that is known from anywhere, as they are in one snapshot.

    `public_key` is the key as it is known from elsewhere; without it the database's own statement is believed."""
    deployment = scan.deployment()
    if public_key is not None:
        deployment = deployment._replace(public_key=public_key)
    yield verify_log(scan, deployment, deployment.id)
    elsewhere = scan.elsewhere()
    for workspace_id in scan.workspaces():
        if workspace_id in elsewhere:
            yield LogReport(deployment.origin(workspace_id), workspace_id, 0, 0, None, is_here=False)
        else:
            yield verify_log(scan, deployment, workspace_id)


def verify_log(scan: Scan, deployment: Deployment, log_id: UUID) -> LogReport:
    """Checks one log from its first entry to its head. Raises ArchiveStoreUnusable when archived entries cannot be
    asked for."""
    is_own = log_id == deployment.id
    head = scan.own_head() if is_own else scan.head(log_id)
    checking = _Check(scan, log_id, deployment.key(log_id), head)
    try:
        checking.run(scan.own_leaves() if is_own else scan.leaves(log_id))
    except Contradiction as found:
        finding: Finding | None = found.finding
    except (ArchiveGone, ArchiveAltered) as error:
        finding = Finding(error.code, error.first, error.last, str(error))
    else:
        finding = None
    return LogReport(deployment.origin(log_id), log_id, checking.size, checking.good, finding)


class _Check:
    """One log's scan: what was added so far, the last checkpoint that held, and a tile that contradicts an event."""

    def __init__(self, scan: Scan, log_id: UUID, key: VerifierKey, head: StoredHead) -> None:
        self._scan, self._log_id, self._key, self._head = scan, log_id, key, head
        self._edge = Edge(0, {})
        self._frontier: list[bytes] = []
        self._checkpoints = scan.sealed(log_id)
        self._next = next(self._checkpoints, None)
        self._suspect: Finding | None = None
        self.size = 0
        self.good = 0

    def run(self, chunks: Iterable[list[Leaf]]) -> None:
        """Raises Contradiction at the first position that contradicts."""
        for chunk in chunks:
            found: Finding | None = None
            leaves: list[bytes] = []
            for leaf in chunk:
                found = self._judged(leaf, self.size + len(leaves) + 1)
                if found is not None:
                    break
                leaves.append(leaf.computed)
            self._add(leaves)
            if found is not None:
                raise Contradiction(self._suspect or found)
        self._end()

    def _judged(self, leaf: Leaf, expected: Position) -> Finding | None:
        """The row by itself: where it stands, and whether it hashes to its own leaf hash."""
        if leaf.position > expected:
            return Finding("event_missing", expected, leaf.position - 1, f"there is no event at position {expected}")
        if leaf.position < expected or leaf.position > self._head.position:
            detail = f"the event at position {leaf.position} was not appended: the head is at {self._head.position}"
            return Finding("event_inserted", leaf.position, leaf.position, detail)
        if leaf.computed != leaf.recorded:
            detail = f"the event at position {expected} does not hash to its leaf hash"
            return Finding("event_changed", expected, expected, detail)
        return None

    def _add(self, leaves: list[bytes]) -> None:
        self._edge.add(leaves)
        differing = list(self._differing(self._edge.take()))
        if differing and self._suspect is None:
            # A hash above covers many positions; the leaf's own names one.
            self._suspect = min(differing, key=lambda one: (one.last, -one.position))
        for leaf in leaves:
            merkle.grow(self._frontier, self.size, leaf)
            self.size += 1
            while self._next is not None and self._next.size == self.size:
                self._check_sealed(self._next)
                self._next = next(self._checkpoints, None)

    def _differing(self, computed: dict[Tile, bytes]) -> Iterator[Finding]:
        """Where the stored tiles, as far as they are sealed, are not what the events hash to."""
        stored = self._scan.tiles(self._log_id, list(computed)) if computed else {}
        for tile, hashes in computed.items():
            width = min(len(hashes) // HASH_BYTES, tiles.width_at(tile, self._head.sealed))
            found = stored.get(tile, b"")
            for number in range(width):
                part = slice(number * HASH_BYTES, (number + 1) * HASH_BYTES)
                if hashes[part] != found[part]:
                    first = (tile.number * tiles.WIDTH + number) << tiles.HEIGHT * tile.level
                    last = first + (1 << tiles.HEIGHT * tile.level)
                    is_short = len(found) < part.stop
                    code = "tile_truncated" if is_short else "tile_disagrees"
                    what = "is missing in" if is_short else "is not what is stored in"
                    detail = f"the hash of positions {first + 1} to {last} {what} tile {tile.level}/{tile.number}"
                    yield Finding(code, first + 1, last, detail)
                    break

    def _check_sealed(self, sealed: Sealed) -> None:
        """The checkpoint decides who is right where an event and its tile disagree."""
        suspect = self._suspect if self._suspect and self._suspect.position <= sealed.size else None
        if sealed.note is not None:
            self._check_note(sealed, sealed.note)
        if merkle.root(self._frontier) != sealed.root:
            raise Contradiction(_convicted(suspect, sealed) if suspect else self._rewritten(sealed))
        if suspect is not None:
            raise Contradiction(suspect)
        self.good = sealed.size

    def _rewritten(self, sealed: Sealed) -> Finding:
        detail = f"positions {self.good + 1} to {sealed.size} are not what the checkpoint at {sealed.size} covers"
        return Finding("history_rewritten", self.good + 1, sealed.size, detail)

    def _check_note(self, sealed: Sealed, note: str) -> None:
        try:
            signed = checkpoint.parse(note)
            signed.verify(self._key)
        except ProofError as error:
            raise Contradiction(Finding(error.code, self.good + 1, sealed.size, str(error))) from None
        if signed.checkpoint != Checkpoint(self._key.name, sealed.size, sealed.root):
            detail = f"the checkpoint at {sealed.size} is stored with another root than it was signed with"
            raise Contradiction(Finding("checkpoint_rewritten", self.good + 1, sealed.size, detail))

    def _end(self) -> None:
        """What should be there and is not, and the head's own frontier over what is not sealed yet."""
        last = max(self._head.position, self._next.size if self._next else 0, self._head.sealed)
        if self._suspect is not None:
            raise Contradiction(self._suspect)
        if self.size < last:
            detail = f"there is no event at position {self.size + 1}, and the log goes on to {last}"
            raise Contradiction(Finding("event_missing", self.size + 1, last, detail))
        if self._head.frontier is not None and self._frontier != merkle.unpack(self._head.frontier):
            detail = f"positions {self.good + 1} to {self.size} do not lead to the head's Merkle frontier"
            raise Contradiction(Finding("head_diverged", self.good + 1, self.size, detail))


def _convicted(suspect: Finding, sealed: Sealed) -> Finding:
    """An event whose own leaf hash was made to fit."""
    detail = f"the event at position {suspect.position} is not what was sealed, says the checkpoint at {sealed.size}"
    return suspect._replace(code="event_changed", detail=detail)
