"""Positions that left the log, read from their archives: every file is checked against its manifest, and the manifest
against the hash that PostgreSQL kept, before a row of it is believed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ledger.archive import files
from ledger.archive.errors import ArchiveAltered, ArchiveGone
from ledger.archive.manifest import MANIFEST, ArchivedFile, Manifest, decode
from ledger.archive.store import ArchiveStore
from ledger.postgres import archives

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator
    from datetime import datetime

    from psycopg_pool import AsyncConnectionPool

    from ledger.archive.files import Row
    from ledger.postgres.archives import Archive
    from ledger.values import Position, StreamId, Version

FILES_CACHED_MAX = 8
"""Files whose rows are kept in memory: about 40,000 events."""

MANIFESTS_CACHED_MAX = 64


class ArchivedEvents:
    """The archives of one PostgreSQL's workspaces. Raises ArchiveGone, ArchiveAltered and ArchiveStoreUnusable."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._rows: OrderedDict[tuple[UUID, str], list[Row]] = OrderedDict()
        self._manifests: OrderedDict[UUID, Manifest] = OrderedDict()

    async def between(self, workspace_id: UUID, *, after: Position, until: Position) -> list[Row]:
        """The archived rows of (after, until], in order."""
        async with self._pool.connection() as connection:
            found = await archives.between(connection, workspace_id, after=after, until=until)
        return await self._rows_of(found, after=after, until=until)

    async def at(self, workspace_id: UUID, positions: Collection[Position]) -> list[Row]:
        """The archived rows at these positions, in order."""
        wanted = set(positions)
        async with self._pool.connection() as connection:
            found = await archives.between(connection, workspace_id, after=min(wanted) - 1, until=max(wanted))
        rows: dict[Position, Row] = {}
        for archive in found:
            manifest = await self.manifest(archive)
            for file in manifest.files:
                if any(file.first_position <= position <= file.last_position for position in wanted):
                    loaded = await self._load(archive, file)
                    rows |= {row[1]: row for row in loaded if row[1] in wanted}
        return [rows[position] for position in sorted(rows)]

    async def of_stream(
        self, workspace_id: UUID, stream: StreamId, *, after_version: Version, until: Position | None
    ) -> list[Row]:
        """The archived rows of a stream after a version, up to and including position `until`."""
        async with self._pool.connection() as connection:
            found = await archives.of_stream(connection, workspace_id, stream, after_version=after_version)
        rows = await self._rows_of(found, after=0, until=until)
        return [row for row in rows if (row[2], row[3]) == stream and row[4] > after_version]

    async def position_at(self, workspace_id: UUID, at: datetime) -> Position:
        """The last archived position recorded at or before `at`; 0 if there is none."""
        async with self._pool.connection() as connection:
            found = await archives.covering_time(connection, workspace_id, at)
        for archive in found:
            for file in reversed((await self.manifest(archive)).files):
                before = [row[1] for row in await self._load(archive, file) if row[14] <= at]
                if before:
                    return int(before[-1])
        return 0

    async def manifest(self, archive: Archive) -> Manifest:
        """What the archive says it holds."""
        if archive.id not in self._manifests:
            data = await self._get(archive, MANIFEST, first=archive.first_position, last=archive.last_position)
            url = _place(archive, MANIFEST)
            if sha256(data).digest() != archive.manifest_sha256:
                first, last = archive.first_position, archive.last_position
                raise ArchiveAltered(url, "its hash is another one", first=first, last=last)
            _keep(self._manifests, archive.id, _decoded(archive, data), MANIFESTS_CACHED_MAX)
        return self._manifests[archive.id]

    async def files_of(self, archive: Archive) -> AsyncIterator[list[Row]]:
        """Everything that an archive holds, a file at a time."""
        for file in (await self.manifest(archive)).files:
            yield await self._load(archive, file)

    async def _rows_of(self, found: list[Archive], *, after: Position, until: Position | None) -> list[Row]:
        rows: dict[Position, Row] = {}
        for archive in found:
            for file in (await self.manifest(archive)).files:
                if file.last_position > after and (until is None or file.first_position <= until):
                    loaded = await self._load(archive, file)
                    rows |= {row[1]: row for row in loaded if row[1] > after and (until is None or row[1] <= until)}
        return [rows[position] for position in sorted(rows)]

    async def _load(self, archive: Archive, file: ArchivedFile) -> list[Row]:
        key = (archive.id, file.name)
        if key in self._rows:
            self._rows.move_to_end(key)
            return self._rows[key]
        data = await self._get(archive, file.name, first=file.first_position, last=file.last_position)
        rows = await asyncio.to_thread(_checked, archive, file, data)
        _keep(self._rows, key, rows, FILES_CACHED_MAX)
        return rows

    async def _get(self, archive: Archive, name: str, *, first: Position, last: Position) -> bytes:
        data = await ArchiveStore(archive.url).get(f"{archive.path}/{name}")
        if data is None:
            raise ArchiveGone(_place(archive, name), first=first, last=last)
        return data


def _checked(archive: Archive, file: ArchivedFile, data: bytes) -> list[Row]:
    """The rows of a file whose bytes are those of the manifest."""
    first, last = file.first_position, file.last_position
    if sha256(data).hexdigest() != file.sha256:
        raise ArchiveAltered(_place(archive, file.name), "its hash is another one", first=first, last=last)
    try:
        rows = files.from_parquet(data)
    except ValueError as error:
        raise ArchiveAltered(_place(archive, file.name), str(error), first=first, last=last) from error
    if [row[1] for row in rows] != list(_positions(file)):
        raise ArchiveAltered(_place(archive, file.name), "it holds other positions", first=first, last=last)
    return rows


def _positions(file: ArchivedFile) -> Iterator[Position]:
    return iter(range(file.first_position, file.last_position + 1))


def _decoded(archive: Archive, data: bytes) -> Manifest:
    url, first, last = _place(archive, MANIFEST), archive.first_position, archive.last_position
    manifest = decode(data, url=url, first=first, last=last)
    if (manifest.archive_id, manifest.workspace_id) != (archive.id, archive.workspace_id):
        raise ArchiveAltered(url, "it is another archive's", first=first, last=last)
    return manifest


def _place(archive: Archive, name: str) -> str:
    return f"{archive.url}/{archive.path}/{name}"


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any, size_max: int) -> None:
    cache[key] = value
    if len(cache) > size_max:
        cache.popitem(last=False)
