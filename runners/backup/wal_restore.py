"""Brings a lost PostgreSQL back from its archive: the base copy, and every commit that the log has after it."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from runners.errors import ArchiveIncomplete
from runners.processes import launch, stop, wait_until_ready

if TYPE_CHECKING:
    from uuid import UUID

    from ledger.values import Position
    from runners.backup.wal_archive import WalArchive
    from runners.embedded import EmbeddedPostgres

REPLAY_SECONDS_MAX = 24 * 3600.0
SEGMENT_BYTES = 16 << 20
SEGMENTS_PER_LOG = 0x100000000 // SEGMENT_BYTES
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
_START = re.compile(r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")


def restore_wal(archive: WalArchive, postgres: EmbeddedPostgres) -> dict[UUID, Position]:
    """Blocks until everything in the archive is replayed; answers where the ledgers stand. PostgreSQL is stopped then.

    Raises ArchiveIncomplete when a part of the log is missing or cannot be replayed: the rest of it would be lost.
    """
    last = _last_segment(archive)
    shutil.copytree(archive.base, postgres.data)
    postgres.give(postgres.data)
    (postgres.data / "recovery.signal").touch()
    program = postgres.program()
    # Without hot standby it is ready only once it has replayed everything and taken up writing.
    options = ("-c", f"restore_command={_restore_command(archive.wal)}", "-c", "hot_standby=off")
    program = dataclasses.replace(program, command=(*program.command, *options), start_seconds_max=REPLAY_SECONDS_MAX)
    process = launch(program)
    try:
        wait_until_ready(program, process)
        with psycopg.connect(postgres.owner_dsn()) as connection:
            replayed = connection.execute("SELECT pg_last_wal_replay_lsn() - '0/0'").fetchone()
            if replayed and replayed[0] < last * SEGMENT_BYTES:
                reached = int(replayed[0]) // SEGMENT_BYTES
                raise ArchiveIncomplete(archive.directory, reason=f"the log cannot be read beyond {_name(reached)}")
            return dict(connection.execute("SELECT workspace_id, position FROM ledger.heads").fetchall())
    finally:
        stop(program, process)


def _last_segment(archive: WalArchive) -> int:
    """The number of the newest segment. Raises ArchiveIncomplete for a hole between the base copy and it."""
    label = archive.base / "backup_label"
    started = _START.search(label.read_text()) if label.exists() else None
    if started is None:
        raise ArchiveIncomplete(archive.directory, reason="its base copy is not finished")
    first = _number(started[1])
    found = {_number(file.name) for file in archive.wal.iterdir() if _SEGMENT.fullmatch(file.name)}
    last = max(found, default=0)
    missing = set(range(first, last + 1)) - found
    if missing or last < first:
        raise ArchiveIncomplete(archive.directory, reason=f"{_name(min(missing or {first}))} is missing")
    return last


def _number(name: str) -> int:
    return int(name[8:16], 16) * SEGMENTS_PER_LOG + int(name[16:24], 16)


def _name(number: int) -> str:
    return f"the segment {number // SEGMENTS_PER_LOG:08X}{number % SEGMENTS_PER_LOG:08X}"


def _restore_command(wal: Path) -> str:
    """PostgreSQL asks for segments by name; the newest one is still called partial."""
    source = shlex.quote(os.fspath(wal)).replace("%", "%%") + "/%f"
    return f"cp {source} %p || cp {source}.partial %p"
