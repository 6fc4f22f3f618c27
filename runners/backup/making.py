"""Makes a backup while everything runs: adds to a place what it does not have yet, then the manifest that counts.

An interrupted backup leaves objects that nobody refers to and every backup before it intact.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from ledger import merkle
from ledger.backup.errors import BackupDiverged, LedgerDamaged
from ledger.backup.manifest import (
    DeploymentBackup,
    Manifest,
    Segment,
    SignedStretch,
    StoredObject,
    WorkspaceBackup,
)
from ledger.backup.segment import Compressor, lines
from ledger.backup.tables import newest, whole
from runners.backup import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.postgres.copy_out import LedgerHead, Source
    from ledger.values import Position
    from runners.backup.place import Place
    from runners.progress import Progress

SEGMENT_EVENTS_MAX = 50_000
SEGMENT_BYTES_MAX = 8 << 20
"""Compressed: what a backup or a restore holds in memory at a time is a small multiple of it."""


class Made(NamedTuple):
    """A finished backup, and what of it was new."""

    manifest: Manifest
    events_added: int
    bytes_added: int


def back_up(source: Source, place: Place, *, keys: str, progress: Progress) -> Made:
    """Blocks until the backup is durable. Raises BackupError and the errors of places; then nothing counts."""
    return _Backup(source, place, progress).make(keys)


class _Backup:
    def __init__(self, source: Source, place: Place, progress: Progress) -> None:
        self._source = source
        self._place = place
        self._progress = progress
        self._previous = catalog.newest(place)
        self._known = {one.id: one for one in self._previous.workspaces} if self._previous else {}
        self._events_added = self._bytes_added = 0

    def make(self, keys: str) -> Made:
        source = self._source
        replaced = [name for table in newest() for name in self._place.names(_folder(table))]
        with source.snapshot():
            made_at, schema = source.now(), source.schema()
            heads = source.heads()
            self._check_continuity({head.workspace_id: head for head in heads}, source.moved_away())
            copied = {table: _compressed(source.whole(table)) for table in (*whole(), *newest())}
            deployment = source.deployment()
            claims = {head.workspace_id: self._claims(head) for head in heads}
            signed = {head.workspace_id: source.signed(head.workspace_id) for head in heads}
        tables = {table: self._whole(table, *copied[table]) for table in whole()}
        only_now = {table: self._put(f"{_folder(table)}/rows.csv", *copied[table]) for table in newest()}
        kept = {head.workspace_id: self._kept(head) for head in heads}
        self._progress.start(sum(head.position - _end(kept[head.workspace_id]) for head in heads))
        manifest = Manifest(
            number=self._previous.number + 1 if self._previous else 1,
            made_at=made_at,
            everline=version("everline"),
            schema=schema,
            workspaces=tuple(
                self._workspace(head, kept[head.workspace_id], claims[head.workspace_id], signed[head.workspace_id])
                for head in heads
            ),
            tables=tables,
            deployment=deployment and DeploymentBackup(deployment.id, deployment.name, deployment.public_key.hex()),
            keys=keys,
            newest=only_now,
        )
        catalog.publish(self._place, manifest)
        self._place.delete(set(replaced) - {stored.name for stored in only_now.values()})
        self._progress.finish()
        return Made(manifest, self._events_added, self._bytes_added)

    def _check_continuity(self, heads: dict[UUID, LedgerHead], moved_away: set[UUID]) -> None:
        """What was backed up before must be the beginning of what is here."""
        for workspace_id, known in self._known.items():
            if workspace_id in moved_away:
                continue
            head = heads.get(workspace_id)
            if head is None or head.position < known.position:
                raise BackupDiverged(workspace_id, position=known.position)
            if known.segments:
                leaf = self._source.leaf(workspace_id, known.position)
                if leaf is None or leaf.hex() != known.segments[-1].leaf:
                    raise BackupDiverged(workspace_id, position=known.position)

    def _claims(self, head: LedgerHead) -> tuple[int, str]:
        """They follow from the events, so at the same position they are the same."""
        known = self._known.get(head.workspace_id)
        if known is not None and known.position == head.position:
            return known.claims, known.claims_sha256
        return self._source.claims(head.workspace_id)

    def _kept(self, head: LedgerHead) -> list[Segment]:
        known = self._known.get(head.workspace_id)
        return _worth_keeping(known.segments if known else (), head.position)

    def _workspace(
        self, head: LedgerHead, segments: list[Segment], claims: tuple[int, str], signed: Position
    ) -> WorkspaceBackup:
        folder = f"segments/{head.workspace_id.hex}"
        while (after := _end(segments)) < head.position:
            frontier = merkle.unpack(bytes.fromhex(segments[-1].frontier)) if segments else []
            segments.append(self._segment(head, folder, after, frontier))
        stood = segments[-1].frontier if segments else ""
        if stood != head.frontier.hex():
            raise LedgerDamaged(
                head.workspace_id, position=head.position, reason="its events do not add up to the head's frontier"
            )
        return WorkspaceBackup(
            id=head.workspace_id,
            position=head.position,
            clock=head.clock,
            frontier=head.frontier.hex(),
            segments=tuple(segments),
            claims=claims[0],
            claims_sha256=claims[1],
            schema=head.schema,
            open_commands=self._open_commands(head, folder),
            checkpoints=self._checkpoints(head.workspace_id, folder, signed),
        )

    def _segment(self, head: LedgerHead, folder: str, after: Position, frontier: list[bytes]) -> Segment:
        """One segment from a position on; it ends at the head or where it is full. While a page is compressed the
        next one is read."""
        compressor = Compressor()
        last, limit, leaf = after, min(head.position, after + SEGMENT_EVENTS_MAX), b""
        with ThreadPoolExecutor(1) as aside:
            compressing: Future[None] | None = None
            while last < limit and compressor.size_bytes < SEGMENT_BYTES_MAX:
                page = self._source.entries(head.workspace_id, after=last, until=limit, frontier=frontier)
                last, leaf = last + len(page), page[-1][0]
                if compressing is not None:
                    compressing.result()
                compressing = aside.submit(compressor.add, lines(page))
                self._progress.advance(len(page))
            if compressing is not None:
                compressing.result()
        name = f"{folder}/{after + 1:012d}-{last:012d}"
        self._events_added += last - after
        return Segment(
            first=after + 1,
            last=last,
            entries=self._put(f"{name}.events", compressor.finish(), last - after),
            commands=self._store(f"{name}.commands", self._source.commands(head.workspace_id, after=after, until=last)),
            leaf=leaf.hex(),
            frontier=merkle.pack(frontier).hex(),
        )

    def _open_commands(self, head: LedgerHead, folder: str) -> StoredObject | None:
        content, rows = _compressed(self._source.open_commands(head.workspace_id, head=head.position))
        return self._put(f"{folder}/{head.position:012d}.open.csv", content, rows) if rows else None

    def _checkpoints(self, workspace_id: UUID, folder: str, until: Position) -> tuple[SignedStretch, ...]:
        known = self._known.get(workspace_id)
        stretches = known.checkpoints if known else ()
        after = stretches[-1].last if stretches else 0
        if until <= after:
            return stretches
        pieces = self._source.checkpoints(workspace_id, after=after, until=until)
        return (*stretches, SignedStretch(until, self._store(f"{folder}/{after:012d}-{until:012d}.signed", pieces)))

    def _whole(self, table: str, content: bytes, rows: int) -> StoredObject:
        known = self._previous.tables.get(table) if self._previous else None
        is_known = known is not None and known.sha256 == sha256(content).hexdigest()
        return known if known and is_known else self._put(f"tables/{table}.csv", content, rows)

    def _store(self, name: str, pieces: Iterable[bytes]) -> StoredObject:
        return self._put(f"{name}.csv", *_compressed(pieces))

    def _put(self, name: str, content: bytes, rows: int) -> StoredObject:
        """Named after its content too: what another program put there under the same positions stays."""
        digest = sha256(content).hexdigest()
        stored = StoredObject(f"{name}.{digest[:12]}.gz", digest, len(content), rows)
        self._place.put(stored.name, content)
        self._bytes_added += len(content)
        return stored


def _compressed(pieces: Iterable[bytes]) -> tuple[bytes, int]:
    """CSV as it comes from PostgreSQL, row by row, and how many rows: the first line names the columns."""
    compressor, rows = Compressor(), -1
    for piece in pieces:
        compressor.add(piece)
        rows += 1
    return compressor.finish(), rows


def _worth_keeping(segments: tuple[Segment, ...], head: Position) -> list[Segment]:
    """The segments that stay. Small ones at the end are written again together with what follows them once that is as
    much as they hold, so that frequent backups leave few segments and write each event a few times at most."""
    kept = list(segments)
    while kept and _is_small(kept[-1]) and kept[-1].last - kept[-1].first < head - kept[-1].last:
        kept.pop()
    return kept


def _folder(table: str) -> str:
    """Where the only copy of such a table lies: every other object there is one from before."""
    return f"newest/{table}"


def _end(segments: list[Segment]) -> Position:
    return segments[-1].last if segments else 0


def _is_small(segment: Segment) -> bool:
    return segment.entries.rows < SEGMENT_EVENTS_MAX and segment.entries.size_bytes < SEGMENT_BYTES_MAX
