"""A copy of PostgreSQL's write-ahead log on another disk, complete at every acknowledged commit.

`pg_receivewal` streams the log into the archive and is a synchronous standby: a commit is acknowledged once the
archive has it on its disk too. So what a lost PostgreSQL directory loses is nothing, and while the archive cannot be
written nothing is acknowledged. With a base copy, made at the first start, it is replayed by `everline restore`.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from runners.errors import ArchiveForeign, ArchiveUnusable
from runners.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runners.embedded import EmbeddedPostgres
    from runners.processes import Program

STANDBY = "everline_wal"
"""The receiver's name to PostgreSQL, and that of its slot, which keeps the log until the archive has it."""

MARK = "everline-wal.json"
BASE_SECONDS_MAX = 24 * 3600.0

SETTINGS: Mapping[str, str] = {"synchronous_standby_names": STANDBY, "synchronous_commit": "on"}


class WalArchive:
    """One directory: `wal/` with the log, `base/` with the copy that it is replayed on."""

    def __init__(self, directory: Path, postgres: EmbeddedPostgres) -> None:
        self.directory = directory.expanduser().absolute()
        self.wal = self.directory / "wal"
        self.base = self.directory / "base"
        self._postgres = postgres
        self._unfinished = self.directory / "base.unfinished"

    def prepare(self) -> None:
        """Makes it for this cluster. Raises ArchiveForeign for another one's, ArchiveUnusable."""
        own = self._postgres.history()
        try:
            for made in (self.directory, self.wal):
                if not made.exists():
                    self._postgres.make_private(made)
            mark = self.directory / MARK
            if not mark.exists():
                if any(self.wal.iterdir()):
                    raise ArchiveForeign(self.directory)
                write_json(mark, {"history": own})
            elif read_json(mark).get("history") != own:
                raise ArchiveForeign(self.directory)
            if self._unfinished.exists():
                shutil.rmtree(self._unfinished)
        except (OSError, ValueError) as error:
            raise ArchiveUnusable(self.directory, str(error)) from error

    def slot(self) -> Program:
        """Makes the slot, to its end; PostgreSQL runs."""
        return self._tool("wal-slot", "pg_receivewal", "--create-slot", "--if-not-exists", f"--slot={STANDBY}")

    def receiver(self) -> Program:
        """Receives for as long as it runs; it waits for a PostgreSQL that is away."""
        return self._tool(
            "wal", "pg_receivewal", f"--directory={self.wal}", f"--slot={STANDBY}", "--synchronous", "--no-password"
        )

    def base_copy(self) -> Program | None:
        """Copies the cluster while it runs, to its end; None when there is a copy."""
        if self.base.exists():
            return None
        arguments = (f"--pgdata={self._unfinished}", "--checkpoint=fast", "--wal-method=stream", "--no-password")
        copying = self._tool("wal-base", "pg_basebackup", *arguments)
        return dataclasses.replace(copying, start_seconds_max=BASE_SECONDS_MAX)

    def keep_base(self) -> None:
        """The copy is whole: from now on the archive can be restored."""
        self._unfinished.rename(self.base)
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _tool(self, name: str, program: str, *arguments: str) -> Program:
        where = f"{self._postgres.owner_dsn()} application_name={STANDBY}"
        return self._postgres.tool(name, program, f"--dbname={where}", *arguments)


def is_archive(where: str) -> bool:
    """Whether a place is the archive of a write-ahead log, not one of backups."""
    return "://" not in where and (Path(where).expanduser() / MARK).exists()
