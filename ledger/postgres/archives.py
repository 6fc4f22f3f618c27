"""Archives in PostgreSQL: which there are, and the two transactions that take positions out of the log and back.

Only the owner of the schema may do the latter; a trigger lets events go only as part of a recorded archive.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from ledger.archive.errors import ArchiveRestored
from ledger.values import Position, StreamId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg import AsyncConnection

    from ledger.archive.files import Row

EVENT_TYPES = (
    *("uuid", "int8", "text", "uuid", "int4", "uuid", "text", "int2"),
    *("bytea", "text", "uuid", "uuid", "uuid", "timestamptz", "timestamptz", "bytea"),
)
COLUMNS = "id, workspace_id, first_position, last_position, url, path, manifest_sha256, restored_at"


class Archive(NamedTuple):
    """A recorded archive; `path` is that of its objects in the store at `url`."""

    id: UUID
    workspace_id: UUID
    first_position: Position
    last_position: Position
    url: str
    path: str
    manifest_sha256: bytes
    restored_at: datetime | None = None


async def between(
    connection: AsyncConnection[Any], workspace_id: UUID, *, after: Position, until: Position
) -> list[Archive]:
    """What to read for positions that are not in the log, in order. A restored archive still tells what it holds, for
    who looked at the log before it came back; of two for one position the newer comes last."""
    return await _archives(
        connection,
        "workspace_id = %s AND last_position > %s AND first_position <= %s ORDER BY last_position, archived_at",
        workspace_id,
        after,
        until,
    )


async def of_stream(
    connection: AsyncConnection[Any], workspace_id: UUID, stream: StreamId, *, after_version: int
) -> list[Archive]:
    """The archives with versions of this stream beyond one."""
    return await _archives(
        connection,
        "id IN (SELECT archive_id FROM ledger.archived_streams WHERE workspace_id = %s AND stream_id = %s"
        " AND stream_kind = %s AND last_version > %s) ORDER BY last_position, archived_at",
        workspace_id,
        stream.id,
        stream.kind,
        after_version,
    )


async def covering_time(connection: AsyncConnection[Any], workspace_id: UUID, at: datetime) -> list[Archive]:
    """The archives that hold what was recorded before `at` and the newest such time."""
    return await _archives(
        connection,
        "workspace_id = %s AND restored_at IS NULL AND first_recorded_at <= %s ORDER BY last_position DESC LIMIT 1",
        workspace_id,
        at,
    )


async def of_workspace(connection: AsyncConnection[Any], workspace_id: UUID) -> list[Archive]:
    """Every archive of a workspace, in the order of making."""
    return await _archives(connection, "workspace_id = %s ORDER BY archived_at, last_position", workspace_id)


async def with_prefix(connection: AsyncConnection[Any], prefix: str) -> list[Archive]:
    """Archives whose id begins so; two are enough to know that it is ambiguous."""
    return await _archives(connection, "starts_with(id::text, %s) LIMIT 2", prefix)


async def remove(owner: AsyncConnection[Any], archive: Archive) -> None:
    """Records the archive and takes its positions out of the log, in one transaction."""
    where = "workspace_id = %(workspace)s AND position BETWEEN %(first)s AND %(last)s"
    values = {
        "id": archive.id,
        "workspace": archive.workspace_id,
        "first": archive.first_position,
        "last": archive.last_position,
        "url": archive.url,
        "path": archive.path,
        "manifest": archive.manifest_sha256,
    }
    async with owner.transaction():
        await owner.execute(
            "INSERT INTO ledger.archives (id, workspace_id, first_position, last_position, first_recorded_at,"
            " last_recorded_at, url, path, manifest_sha256) SELECT %(id)s, %(workspace)s, %(first)s, %(last)s,"
            " min(recorded_at), max(recorded_at), %(url)s, %(path)s, %(manifest)s"
            f" FROM ledger.events WHERE {where}".encode(),
            values,
        )
        await owner.execute(
            "INSERT INTO ledger.archived_streams SELECT workspace_id, stream_id, stream_kind, %(id)s, min(version),"
            f" max(version) FROM ledger.events WHERE {where} GROUP BY 1, 2, 3".encode(),
            values,
        )
        cursor = await owner.execute(f"DELETE FROM ledger.events WHERE {where}".encode(), values)
        if cursor.rowcount != archive.last_position - archive.first_position + 1:
            raise RuntimeError(f"archive {archive.id} does not hold what the log holds: nothing was removed")


async def put_back(owner: AsyncConnection[Any], archive: Archive, files: AsyncIterator[list[Row]]) -> None:
    """Puts the positions back into the log, in one transaction. Raises ArchiveRestored when another was faster."""
    async with owner.transaction():
        cursor = await owner.execute(
            "UPDATE ledger.archives SET restored_at = now() WHERE id = %s AND restored_at IS NULL", (archive.id,)
        )
        if not cursor.rowcount:
            raise ArchiveRestored(archive.id)
        await owner.execute("DELETE FROM ledger.archived_streams WHERE archive_id = %s", (archive.id,))
        async with owner.cursor().copy("COPY ledger.events FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(EVENT_TYPES)
            async for rows in files:
                for row in rows:
                    await copy.write_row(row)


async def _archives(connection: AsyncConnection[Any], where: str, *values: object) -> list[Archive]:
    query = f"SELECT {COLUMNS} FROM ledger.archives WHERE {where}"
    cursor = await connection.execute(query.encode(), values, binary=True)
    return [Archive(*row) for row in await cursor.fetchall()]
