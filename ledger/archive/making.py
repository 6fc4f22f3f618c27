"""Making an archive's files: written once, read back and compared with the log before they count for anything."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from ledger import merkle
from ledger.archive import files
from ledger.archive.errors import ArchiveAltered, ArchiveGone, ArchiveNotSealed
from ledger.archive.manifest import MANIFEST, ArchivedFile, Manifest, decode, prove
from ledger.codec import canonical
from ledger.postgres.archives import Archive
from ledger.postgres.read import envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.archive.files import Row
    from ledger.archive.store import ArchiveStore
    from ledger.postgres.proofs import ProofReader, StoredCheckpoint
    from ledger.postgres.read import LedgerReader
    from ledger.values import Position


class Made(NamedTuple):
    """Files that are there, and were compared with the log."""

    archive: Archive
    size_bytes: int


class Maker:
    """Writes the positions of one workspace to a store."""

    def __init__(self, reader: LedgerReader, proofs: ProofReader, store: ArchiveStore) -> None:
        self._reader = reader
        self._proofs = proofs
        self._store = store

    async def make(self, workspace_id: UUID, archive_id: UUID, *, first: Position, last: Position) -> Made:
        """Repeating is harmless: what is there already has to hold the same.

        Raises ArchiveNotSealed beyond the last signed checkpoint, ArchiveAltered when the log or the store holds
        something else than was signed, ArchiveStoreUnusable.
        """
        path = f"{workspace_id}/{first:012d}-{last:012d}-{archive_id}"
        written: list[ArchivedFile] = []
        leaves: list[bytes] = []
        after = first - 1
        while after < last:
            until = min(last, after + files.EVENTS_PER_FILE_MAX)
            rows = files.cut(await self._reader.rows_between(workspace_id, after=after, until=until))
            if [row[1] for row in rows] != list(range(after + 1, after + 1 + len(rows))) or not rows:
                raise ArchiveAltered("the ledger", "positions are missing", first=after + 1, last=until)
            leaves += [row[15] for row in rows]
            written.append(await self._write_file(path, rows))
            after = rows[-1][1]
        manifest = await self._manifest(workspace_id, archive_id, files_=tuple(written), first=first, last=last)
        data = await self._write(f"{path}/{MANIFEST}", manifest.encoded(), first=first, last=last)
        url = self._store.place(f"{path}/{MANIFEST}")
        stored = decode(
            data, url=url, first=first, last=last
        )  # of an earlier attempt, perhaps, with another checkpoint
        if (stored.archive_id, stored.files) != (archive_id, manifest.files):
            raise ArchiveAltered(url, "it is another archive's", first=first, last=last)
        prove(stored, leaves, url=url)
        archive = Archive(archive_id, workspace_id, first, last, self._store.url, path, sha256(data).digest())
        return Made(archive, sum(file.size_bytes for file in written))

    async def check_sealed(self, workspace_id: UUID, last: Position) -> StoredCheckpoint:
        """The signed checkpoint that covers a position. Raises ArchiveNotSealed, before anything is written."""
        covering = await self._proofs.covering(workspace_id, last)
        if covering is None:
            latest = await self._proofs.latest(workspace_id)
            raise ArchiveNotSealed(last, sealed=latest.size if latest else 0)
        return covering

    async def _write_file(self, path: str, rows: Sequence[Row]) -> ArchivedFile:
        first, last = rows[0][1], rows[-1][1]
        name = f"events-{first:012d}.parquet"
        place = self._store.place(f"{path}/{name}")
        for row in rows:
            check_leaf(row, where="the ledger")
        data = await asyncio.to_thread(files.to_parquet, rows)
        stored = await self._write(f"{path}/{name}", data, first=first, last=last)
        try:
            same = await asyncio.to_thread(files.from_parquet, stored) == list(rows)
        except ValueError as error:
            raise ArchiveAltered(place, str(error), first=first, last=last) from error
        if not same:
            raise ArchiveAltered(place, "it holds other events than the ledger", first=first, last=last)
        return ArchivedFile(name, first, last, len(stored), sha256(stored).hexdigest())

    async def _write(self, path: str, data: bytes, *, first: Position, last: Position) -> bytes:
        """What the store holds there afterwards: the data, or what an earlier attempt has left."""
        await self._store.put_new(path, data)
        stored = await self._store.get(path)
        if stored is None:
            raise ArchiveGone(self._store.place(path), first=first, last=last)
        return stored

    async def _manifest(
        self, workspace_id: UUID, archive_id: UUID, *, files_: tuple[ArchivedFile, ...], first: Position, last: Position
    ) -> Manifest:
        covering = await self.check_sealed(workspace_id, last)
        deployment = await self._proofs.deployment()
        return Manifest(
            archive_id=archive_id,
            workspace_id=workspace_id,
            first_position=first,
            last_position=last,
            files=files_,
            frontier=tuple(await self._proofs.frontier(workspace_id, first - 1)),
            checkpoint=covering.note,
            key=str(deployment.key(workspace_id)),
            consistency=tuple(await self._proofs.consistency(workspace_id, last, covering.size)),
        )


def check_leaf(row: Row, *, where: str) -> None:
    """Raises ArchiveAltered unless the row is what its leaf hash says."""
    if merkle.leaf_hash(canonical(envelope(row))) != row[15]:
        raise ArchiveAltered(where, "its leaf hash is another one", first=row[1], last=row[1])
