"""Archiving and restoring positions: the operator's two programs. Each may be repeated after a crash and then goes on.

Archiving: the files first, compared with the log and the signed checkpoint; then the event; then the positions leave
the log in one transaction. Restoring: the files, checked in the same way; then one transaction; then the event.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import psycopg

from commands.archive import RecordArchive, RecordArchiveRestored
from commands.command import Command, Rejection
from commands.handler import CommandHandler
from commands.permissions import EveryoneOnThisMachine
from commands.submission import submission
from ledger.archive.errors import ArchiveOutOfOrder, ArchiveRestored, NoSuchArchive, NothingToArchive
from ledger.archive.making import Maker, check_leaf
from ledger.archive.manifest import prove
from ledger.archive.store import ArchiveStore
from ledger.errors import PositionBeyondHead
from ledger.postgres import archives
from ledger.postgres.append import Appender
from ledger.postgres.proofs import ProofReader
from ledger.postgres.read import LedgerReader
from ledger.values import CONTROL_WORKSPACE, derived_id
from runners import worker
from runners.errors import NoSuchWorkspace, NotRecorded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.postgres.archives import Archive
    from ledger.values import Position
    from runners.settings import ArchiveSettings

ACTOR = "system:archive"
POSITIONS_PER_ARCHIVE_MAX = 500_000
"""More become several archives, each of which leaves the log, and comes back, in a transaction of its own."""


class _Open(NamedTuple):
    """What both programs work with; `owner` holds the lock under which one of them works at a time."""

    pool: AsyncConnectionPool[Any]
    reader: LedgerReader
    handler: CommandHandler
    owner: AsyncConnection[Any]


async def archive(settings: ArchiveSettings, workspace: str, *, before: Position | datetime, url: str) -> list[Archive]:
    """Archives what was recorded before a position, or up to a time; answers the archives that were made.

    Raises NoSuchWorkspace, PositionBeyondHead and the errors of `ledger/archive/errors.py`.
    """
    async with _opened(settings) as opened:
        workspace_id = await opened.handler.workspace_id(workspace)
        if workspace_id is None:
            raise NoSuchWorkspace(workspace)
        head = (await opened.reader.head(workspace_id)).position
        last = before - 1 if isinstance(before, int) else await opened.reader.position_at(workspace_id, before)
        if last > head:
            raise PositionBeyondHead(f"position {before}", head=head)
        known = await archives.of_workspace(opened.owner, workspace_id)
        first = max((one.last_position for one in known if one.restored_at is None), default=0) + 1
        if last < first:
            raise NothingToArchive(first=first, last=last)
        maker = Maker(opened.reader, ProofReader(opened.pool), ArchiveStore(url))
        await maker.check_sealed(workspace_id, last)
        restored = sum(one.restored_at is not None for one in known)
        made = []
        for start in range(first, last + 1, POSITIONS_PER_ARCHIVE_MAX):
            end = min(last, start + POSITIONS_PER_ARCHIVE_MAX - 1)
            made.append(await _archive_one(opened, maker, workspace_id, start, end, attempt=restored))
        return made


async def restore(settings: ArchiveSettings, ref: str) -> Archive:
    """Puts an archive's positions back into the log.

    Raises NoSuchArchive, ArchiveRestored, ArchiveOutOfOrder, and what is wrong with its files: nothing changed then.
    """
    async with _opened(settings) as opened:
        found = await archives.with_prefix(opened.owner, ref)
        if len(found) != 1:
            raise NoSuchArchive(ref)
        chosen = found[0]
        if chosen.restored_at is None:
            await _restore(opened, chosen)
        elif await _is_recorded(opened, chosen):
            raise ArchiveRestored(chosen.id)
        await _record(opened, chosen.id, "restored", RecordArchiveRestored(archive=str(chosen.id)))
        return chosen


async def _archive_one(
    opened: _Open, maker: Maker, workspace_id: UUID, first: Position, last: Position, *, attempt: int
) -> Archive:
    """The id follows from what is archived, so a repeat after a crash finds what it had begun."""
    archive_id = derived_id("archive", workspace_id, first, last, attempt)
    made = await maker.make(workspace_id, archive_id, first=first, last=last)
    record = RecordArchive(
        id=archive_id,
        workspace_id=workspace_id,
        first_position=first,
        last_position=last,
        url=made.archive.url,
        manifest_sha256=made.archive.manifest_sha256.hex(),
        size_bytes=made.size_bytes,
    )
    await _record(opened, archive_id, "made", record)
    await archives.remove(opened.owner, made.archive)
    return made.archive


async def _restore(opened: _Open, chosen: Archive) -> None:
    for other in await archives.of_workspace(opened.owner, chosen.workspace_id):
        if other.restored_at is None and other.first_position > chosen.last_position:
            raise ArchiveOutOfOrder(chosen.id, newer=other.id)
    archived = opened.reader.archived
    leaves: list[bytes] = []
    async for rows in archived.files_of(chosen):
        for row in rows:
            check_leaf(row, where=chosen.url)
            leaves.append(row[15])
    prove(await archived.manifest(chosen), leaves, url=f"{chosen.url}/{chosen.path}")
    await archives.put_back(opened.owner, chosen, archived.files_of(chosen))


async def _is_recorded(opened: _Open, chosen: Archive) -> bool:
    """Whether a restore that was repeated had come to its end."""
    command_id = derived_id("archive", chosen.id, "restored")
    return command_id in await opened.reader.recorded_commands(CONTROL_WORKSPACE, [command_id])


async def _record(opened: _Open, archive_id: UUID, what: str, command: Command) -> None:
    sent = submission(command, command_id=derived_id("archive", archive_id, what))
    [answer] = await opened.handler.submit(CONTROL_WORKSPACE, [sent], actor=ACTOR)
    if isinstance(answer, Rejection):
        raise NotRecorded(answer.code, answer.message())


@asynccontextmanager
async def _opened(settings: ArchiveSettings) -> AsyncIterator[_Open]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(worker.connections(settings.dsn))
        reader = LedgerReader(pool, master_key=worker.master_key(settings.keys))
        appender = Appender(settings.dsn)
        await appender.start()
        stack.push_async_callback(appender.stop)
        handler = CommandHandler(reader=reader, appender=appender, permissions=EveryoneOnThisMachine())
        connecting = psycopg.AsyncConnection.connect(settings.owner_dsn, autocommit=True, options="-c TimeZone=UTC")
        owner = await stack.enter_async_context(await connecting)
        await owner.execute("SELECT pg_advisory_lock(hashtextextended('everline archive', 0))")
        yield _Open(pool, reader, handler, owner)
